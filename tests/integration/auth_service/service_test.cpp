#include <auth_service/sample_log.hpp>
#include <auth_service/service.hpp>

#include "support/catch.hpp"

#include <cstddef>
#include <span>
#include <sstream>
#include <string>

namespace service_test {

using auth::AuthService;
using auth::LineKind;

inline namespace parts {

void no_mail(std::span<const auth::Alert>) {}

auth::Summary serve(const std::string& log, const gossip::Config& config = {}) {
    AuthService service(no_mail, config);
    std::istringstream in(log);
    service.read(in);
    return service.finish();
}

} // namespace parts

TEST_CASE("the sample adds up", "[auth_service]") {
    std::size_t told = 0;
    AuthService service([&](std::span<const auth::Alert> alerts) { told += alerts.size(); });
    std::istringstream in{std::string(auth::sample_log)};
    service.read(in);
    const auth::Summary summary = service.finish();

    CHECK(summary.adds_up());
    CHECK(told == 2);
    CHECK(summary.events.at("auth.alert.brute_force") == 1);
    CHECK(summary.events.at("auth.login.failed") == 10);
    CHECK(summary.offenders.at("203.0.113.9").failures == 5);
    CHECK(summary.bad.size() == 2);
}

TEST_CASE("each address is judged in the log's order, by any number of workers", "[auth_service]") {
    // 200 addresses take turns; each fails five times within a minute, keeps quiet for an hour, and so on
    std::string log;
    for (int hour = 0; hour < 5; ++hour) {
        for (int second = 0; second < 5; ++second) {
            for (int address = 0; address < 200; ++address) {
                log += "Dec 10 0" + std::to_string(hour) + ":00:0" + std::to_string(second) +
                       " gate sshd[1]: Failed password for root from 192.0.2." + std::to_string(address) +
                       " port 1 ssh2\n";
            }
        }
    }
    const auth::Summary summary = serve(log, {.workers = 4, .buffer_size = 64});

    CHECK(summary.adds_up());
    CHECK(summary.events.at("auth.login.failed") == 5000);
    CHECK(summary.events.at("auth.alert.brute_force") == 1000);
    CHECK(summary.events.at("auth.alert.root_attempts") == 1000);
    std::size_t told = 0;
    for (const std::size_t mail : summary.mails) {
        told += mail;
    }
    CHECK(told == 2000);
}

TEST_CASE("keys that are refused are no guesses", "[auth_service]") {
    std::string log;
    for (int i = 0; i < 10; ++i) {
        log += "Dec 10 00:00:00 gate sshd[1]: Failed publickey for root from 192.0.2.1 port 1 ssh2: RSA SHA256:q0\n";
    }
    const auth::Summary summary = serve(log);

    CHECK(summary.adds_up());
    CHECK(summary.events.at("auth.login.failed") == 10);
    CHECK(summary.events.size() == 1);
}

TEST_CASE("bad lines are counted, and the first few kept", "[auth_service]") {
    const auth::Summary summary = serve("rubbish\n\x01\xff\n" + std::string(100'000, 'x') + "\n\n1\n2\n3");

    CHECK(summary.adds_up());
    CHECK(summary.lines.at(LineKind::bad) == 6);
    CHECK(summary.lines.at(LineKind::nothing) == 1);
    REQUIRE(summary.bad.size() == 5);
    CHECK(summary.bad[0].text == "rubbish");
    CHECK(summary.bad[2].text.size() == 80);
    CHECK(summary.bad[4].number == 6);
}

TEST_CASE("a service that is not finished ends all the same", "[auth_service]") {
    AuthService service(no_mail);
    std::istringstream in{std::string(auth::sample_log)};
    service.read(in);
}

} // namespace service_test
