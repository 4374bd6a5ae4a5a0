#include <gossip/concurrency/reclaim.hpp>

#include "support/catch.hpp"

#include <vector>

namespace reclaim_test {

using gossip::detail::BasicHazard;
using Snapshot = gossip::detail::BasicSnapshot<const int>;

/// Replaces a value just before each of a reader's second looks at it.
struct Replacing {
    Snapshot& snapshot;
    std::vector<const int*>& by;
    void light() const {
        if (!by.empty()) {
            snapshot.replace(by.back());
            by.pop_back();
        }
    }
};

TEST_CASE("what is read is shown until it is cleared", "[reclaim]") {
    const int value = 1;
    Snapshot snapshot;
    BasicHazard<> hazard;
    std::vector<const int*> none;
    CHECK(hazard.protect(snapshot, Replacing{snapshot, none}) == nullptr);
    CHECK(hazard.shown() == nullptr);

    snapshot.replace(&value);

    CHECK(hazard.protect(snapshot, Replacing{snapshot, none}) == &value);
    CHECK(hazard.shown() == &value);
    hazard.clear();
    CHECK(hazard.shown() == nullptr);
}

TEST_CASE("a reader that is overtaken reads the newest value, and keeps no older one from being freed", "[reclaim]") {
    const int first = 1;
    const int second = 2;
    const int third = 3;
    Snapshot snapshot;
    snapshot.replace(&first);
    BasicHazard<> hazard;

    SECTION("by one after the other") {
        std::vector<const int*> by{&third, &second};
        CHECK(hazard.protect(snapshot, Replacing{snapshot, by}) == &third);
        CHECK(hazard.shown() == &third);
    }
    SECTION("by the end of all values") {
        std::vector<const int*> by{nullptr, &second};
        CHECK(hazard.protect(snapshot, Replacing{snapshot, by}) == nullptr);
        CHECK(hazard.shown() == nullptr);
    }
}

} // namespace reclaim_test
