#pragma once

// The asymmetric fence of gossip/platform.hpp, for the explorer: as the kernel does it, and as it is done elsewhere.

#include "support/explorer.hpp"
#include "support/mutation.hpp"

#include <atomic>

namespace gossip_test {

/// The light half is nothing but a rule for the compiler, the heavy half a fence in every thread.
class ExploredKernelFence {
public:
    void light() const {}
    void heavy(int line = __builtin_LINE(), const char* file = __builtin_FILE()) const {
        Execution::now().step();
        if (Mutation::order(std::memory_order_seq_cst, {file, line, Operation::fence}) != std::memory_order_relaxed) {
            Execution::now().tell("fence in all threads");
            Execution::now().order_all();
        }
    }
};

/// Each half is a full fence.
class ExploredFullFence {
public:
    void light(int line = __builtin_LINE(), const char* file = __builtin_FILE()) const { fence(line, file); }
    void heavy(int line = __builtin_LINE(), const char* file = __builtin_FILE()) const { fence(line, file); }

private:
    static void fence(int line, const char* file) {
        Execution::now().step();
        if (Mutation::order(std::memory_order_seq_cst, {file, line, Operation::fence}) != std::memory_order_relaxed) {
            Execution::now().tell("fence");
            Execution::now().order_me();
        }
    }
};

} // namespace gossip_test
