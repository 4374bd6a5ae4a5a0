#include <gossip/core/payload.hpp>

#include "support/catch.hpp"
#include "support/hostile_data.hpp"

#include <array>
#include <memory>
#include <string>
#include <vector>

using namespace gossip::detail;

template <>
inline constexpr bool gossip::share_data<support::LiesAboutCopying<int>> = true;

namespace {

struct Bytes64 {
    std::array<unsigned char, 64> bytes{};
};
struct Bytes65 {
    std::array<unsigned char, 65> bytes{};
};
struct alignas(16) Align16 {
    int value = 0;
};

template <int>
const PayloadOps& ops_of_a_local_type() {
    struct Local {
        int value;
    };
    return payload_ops<Local>;
}

} // namespace

TEST_CASE("small data that copies and moves safely stands in place, all else in a shared block", "[payload]") {
    STATIC_REQUIRE(fits_in_place<int>);
    STATIC_REQUIRE(fits_in_place<Bytes64>);
    STATIC_REQUIRE(fits_in_place<std::string>);
    STATIC_REQUIRE(fits_in_place<support::ThrowingCopy>);
    STATIC_REQUIRE(fits_in_place<std::shared_ptr<int>>);

    STATIC_REQUIRE_FALSE(fits_in_place<Bytes65>);
    STATIC_REQUIRE_FALSE(fits_in_place<Align16>);
    STATIC_REQUIRE_FALSE(fits_in_place<support::OverAligned>);
    STATIC_REQUIRE_FALSE(fits_in_place<support::MoveOnly>);
    STATIC_REQUIRE_FALSE(fits_in_place<support::ThrowingMove>);
    STATIC_REQUIRE_FALSE(fits_in_place<support::LiesAboutCopying<int>>);
}

TEST_CASE("plain data needs no functions at all", "[payload]") {
    const PayloadOps& ops = payload_ops<Bytes64>;

    CHECK(ops.in_place);
    CHECK(ops.size == 64);
    CHECK(ops.copy == nullptr);
    CHECK(ops.relocate == nullptr);
    CHECK(ops.destroy == nullptr);
    CHECK(ops.box == nullptr);
    CHECK(ops.free_box == nullptr);
}

TEST_CASE("boxed data says its size, alignment and name", "[payload]") {
    const PayloadOps& ops = payload_ops<support::OverAligned>;

    CHECK_FALSE(ops.in_place);
    CHECK(ops.size == 128);
    CHECK(ops.align == 128);
    CHECK(ops.type_name == "support::OverAligned");
    CHECK(ops.free_box != nullptr);
}

TEST_CASE("a type is itself and no other", "[payload]") {
    CHECK(is_type<int>(&payload_ops<int>));
    CHECK_FALSE(is_type<int>(&payload_ops<unsigned>));
    CHECK_FALSE(is_type<int>(nullptr));
}

TEST_CASE("a second copy of the operations, as a shared library with hidden symbols has, is the same type",
          "[payload]") {
    const PayloadOps copy = payload_ops<support::MoveOnly>;

#if defined(__cpp_rtti)
    CHECK(is_type<support::MoveOnly>(&copy));
#endif
    CHECK_FALSE(is_type<support::OverAligned>(&copy));
}

TEST_CASE("local types of one name in two functions are two types", "[payload]") {
    CHECK_FALSE(same_identity(ops_of_a_local_type<1>().identity, ops_of_a_local_type<2>().identity));
}

TEST_CASE("boxing moves the data once and ends the old one", "[payload]") {
    support::SelfPointer::moved = 0;
    const int alive = support::SelfPointer::alive;
    alignas(8) unsigned char place[64];
    ::new (static_cast<void*>(place)) support::SelfPointer{7};

    const BoxedPointer boxed = payload_ops<support::SelfPointer>.box(place);

    const auto* const data = static_cast<const support::SelfPointer*>(boxed.data);
    CHECK(data->intact());
    CHECK(data->value == 7);
    CHECK(support::SelfPointer::moved == 1);
    CHECK(support::SelfPointer::alive == alive + 1);
    payload_ops<support::SelfPointer>.free_box(boxed.box);
    CHECK(support::SelfPointer::alive == alive);
}
