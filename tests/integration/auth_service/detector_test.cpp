#include <auth_service/detector.hpp>

#include "support/catch.hpp"

#include <chrono>

namespace detector_test {

using namespace std::chrono_literals;
using auth::Detector;
using auth::Time;

TEST_CASE("an alert needs so many failures within the window", "[auth_service]") {
    Detector detector(3, 60s);

    CHECK_FALSE(detector.failure("192.0.2.1", Time{0s}));
    CHECK_FALSE(detector.failure("192.0.2.1", Time{30s}));
    CHECK_FALSE(detector.failure("192.0.2.1", Time{60s})); // the first has left the window
    CHECK(detector.failure("192.0.2.1", Time{61s}));
}

TEST_CASE("addresses are told apart", "[auth_service]") {
    Detector detector(2, 60s);

    CHECK_FALSE(detector.failure("192.0.2.1", Time{0s}));
    CHECK_FALSE(detector.failure("192.0.2.2", Time{0s}));
    CHECK(detector.failure("192.0.2.1", Time{1s}));
}

TEST_CASE("one alert is enough until the address has kept quiet", "[auth_service]") {
    Detector detector(2, 60s);
    CHECK_FALSE(detector.failure("192.0.2.1", Time{0s}));
    CHECK(detector.failure("192.0.2.1", Time{1s}));
    CHECK_FALSE(detector.failure("192.0.2.1", Time{50s}));
    CHECK_FALSE(detector.failure("192.0.2.1", Time{100s}));

    CHECK_FALSE(detector.failure("192.0.2.1", Time{160s}));
    CHECK(detector.failure("192.0.2.1", Time{161s}));
}

TEST_CASE("a clock that was set back does not hide failures", "[auth_service]") {
    Detector detector(3, 60s);

    CHECK_FALSE(detector.failure("192.0.2.1", Time{3600s}));
    CHECK_FALSE(detector.failure("192.0.2.1", Time{0s}));
    CHECK(detector.failure("192.0.2.1", Time{1s}));
}

} // namespace detector_test
