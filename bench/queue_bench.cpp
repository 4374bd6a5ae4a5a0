// What does a hand-off cost? MpmcQueue beside a deque under a mutex and the textbook ring, 48- and 64-byte items,
// capacity 1024. One item is one value *delivered*: its push, its pop and every retry of both; `retries_per_op` says
// how often a full or empty queue sent a thread away, which then yielded.

#include "support/handoff.hpp"
#include "support/textbook_ring.hpp"

#include <gossip/concurrency/mpmc_queue.hpp>

#include <benchmark/benchmark.h>

namespace {

template <class T>
using MpmcQueue = gossip::MpmcQueue<T>;
using handing_off::LockedDeque;

} // namespace

GOSSIP_QUEUE(MpmcQueue, 48, "mpmc_queue");
GOSSIP_QUEUE(TextbookRing, 48, "textbook_ring");
GOSSIP_QUEUE(LockedDeque, 48, "locked_deque");
GOSSIP_QUEUE(MpmcQueue, 64, "mpmc_queue");
GOSSIP_QUEUE(TextbookRing, 64, "textbook_ring");
GOSSIP_QUEUE(LockedDeque, 64, "locked_deque");

BENCHMARK_MAIN();
