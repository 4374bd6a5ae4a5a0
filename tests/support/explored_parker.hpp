#pragma once

// What waits, for the explorer: a mutex, and the parker of gossip/platform.hpp.

#include "support/explorer.hpp"

#include <cstdint>
#include <utility>

namespace gossip_test {

class ExploredMutex {
public:
    void lock() {
        Execution& now = Execution::now();
        now.step();
        while (held_) {
            now.wait(this, -1);
        }
        held_ = true;
        now.tell("locks");
        now.known().join(released_);
    }
    void unlock() {
        Execution& now = Execution::now();
        released_ = now.known();
        held_ = false;
        now.wake(this);
    }

private:
    bool held_ = false;
    HappenedBefore released_;
};

class ExploredParker {
public:
    static std::int64_t now_ns() { return Execution::now().time(); }
    bool park(std::int64_t timeout_ns) {
        Execution& now = Execution::now();
        now.step();
        now.tell("parks, timeout ", timeout_ns);
        while (!permitted_) {
            if (!now.wait(this, timeout_ns)) {
                return false;
            }
        }
        permitted_ = false;
        now.known().join(released_);
        return true;
    }
    void unpark() {
        Execution& now = Execution::now();
        now.step();
        now.tell("unparks");
        released_.join(now.known());
        permitted_ = true;
        now.wake(this);
    }

private:
    bool permitted_ = false;
    HappenedBefore released_;
};

} // namespace gossip_test
