#pragma once

// All programs of this folder, each with how far it is explored.

#include "interleavings/counting_programs.hpp"
#include "interleavings/inbox_programs.hpp"
#include "interleavings/message_programs.hpp"
#include "interleavings/parking_programs.hpp"
#include "interleavings/queue_programs.hpp"
#include "interleavings/reading_programs.hpp"
#include "interleavings/reclaim_programs.hpp"
#include "interleavings/settling_programs.hpp"
#include "interleavings/waiting_programs.hpp"

#include "support/explorer.hpp"

#include <cstdint>
#include <vector>

namespace gossip_test {

struct Program {
    const char* name;
    Bounds bounds; // within which every execution is tried
    Explored (*explore)(const Bounds& bounds);
    Explored (*explore_at_random)(const Bounds& bounds, std::uint64_t executions);
};

template <class P>
Program program(const char* name, const Bounds& bounds) {
    return {name, bounds, &explore<P>, &explore_at_random<P>};
}

inline std::vector<Program> queue_programs_all() {
    using namespace queue_programs;
    const Bounds far{.preemptions = 3, .stale_reads = 1};
    const Bounds wide{.preemptions = 2, .stale_reads = 2, .spurious_failures = 1};
    const Bounds small{.preemptions = 4, .stale_reads = 2, .spurious_failures = 1};
    return {
        program<PushesAndPops>("pushes and pops", far),
        program<TwoLaps>("two laps", far),
        program<RunsOfTwo>("runs of two", wide),
        program<StepsOverParked>("steps over parked ones", far),
        program<VacatesWhatIsSteppedOver>("vacates what is stepped over", small),
        program<TwoStepOver>("two step over parked ones", small),
        program<TwoPassOver>("two pass over parked ones", small),
        program<SeesTheParkedValue>("sees the parked value", wide),
        program<OneSeesTheOther<Draws, SeesPending>>("draws | sees it pending", small),
        program<OneSeesTheOther<DrawsOverParked, SeesPending>>("draws over a parked one | sees it pending", small),
        program<OneSeesTheOther<Claims, SeesNothingPending>>("claims | sees nothing pending", small),
        program<OneSeesTheOther<ClaimsOverParked, SeesNothingPending>>("steps over a parked one | sees nothing pending",
                                                                       small),
        program<OneSeesTheOther<Claims, SeesItClaimed>>("claims | sees it claimed", small),
        program<OneSeesTheOther<VacatesParked, SeesRoom>>("vacates a parked one | sees room", small),
        program<OneSeesTheOther<VacatesParkedInFront, SeesNothingInTheWay>>(
            "vacates a parked one | sees nothing in the way", small),
        program<ReadsTheCounts>("reads the counts", wide),
        program<AsksForTheSize>("asks for the size", wide),
        program<ClosesInTheMiddle>("closes in the middle", wide),
        program<GateWhileDrawing>("gate while drawing", small),
    };
}

inline std::vector<Program> parking_programs_all() {
    using namespace parking_programs;
    const Bounds few{.preemptions = 2, .stale_reads = 1};
    const Bounds fewest{.preemptions = 1, .stale_reads = 1};
    const Bounds timed{.preemptions = 2, .stale_reads = 1, .timeouts = 12};
    const Bounds early{.preemptions = 2, .stale_reads = 1, .early_timeouts = 1, .timeouts = 12};
    const Bounds earliest{.preemptions = 1, .stale_reads = 1, .early_timeouts = 1, .timeouts = 12};
    return {
        program<AllIsHandled<1, 1, 2, false>>("1 worker, 1 publisher", few),
        program<AllIsHandled<1, 2, 1, false>>("1 worker, 2 publishers", few),
        program<AllIsHandled<2, 1, 2, false>>("2 workers, 1 publisher", few),
        program<AllIsHandled<2, 1, 2, true>>("2 workers, 1 publisher, brief", few),
        program<AllIsHandled<2, 2, 1, false>>("2 workers, 2 publishers", fewest),
        program<AllIsHandled<2, 2, 1, true>>("2 workers, 2 publishers, brief", fewest),
        program<AllIsHandled<3, 1, 2, false>>("3 workers, 1 publisher", fewest),
        program<LendsAPlace<1, 1, false>>("lends a place, 1 worker, 1 publisher", few),
        program<LendsAPlace<1, 2, true>>("lends a place, 1 worker, 2 publishers, brief", few),
        program<LendsAPlace<2, 1, false>>("lends a place, 2 workers, 1 publisher", fewest),
        program<LendsForLong>("lends a place for long", fewest),
        program<LeavesForLong<2>>("leaves for long, 2 workers", few),
        program<LeavesForLong<3>>("leaves for long, 3 workers", fewest),
        program<LeavesForLong<2, false>>("leaves for a source that cannot, 2 workers", few),
        program<LeavesForLong<3, false>>("leaves for a source that cannot, 3 workers", fewest),
        program<CallsForHelp>("calls for help", {.preemptions = 3}),
        program<BlocksBySurprise<2>>("blocks by surprise, 2 workers", early),
        program<BlocksBySurprise<3>>("blocks by surprise, 3 workers", earliest),
        program<LookoutServesATimer>("the lookout serves a timer", early),
        program<ResignsWhileTheLookoutLeaves>("resigns while the lookout leaves",
                                              {.preemptions = 3, .early_timeouts = 1, .timeouts = 12}),
        program<ServesTimers>("serves timers", timed),
        program<ServesTimersOfALentPlace>("serves timers of a lent place", timed),
        program<ArmsATimer>("arms a timer", few),
    };
}

inline std::vector<Program> reading_programs_all() {
    using namespace reading_programs;
    const Bounds bounds{.preemptions = 3, .early_timeouts = 1, .timeouts = 40};
    return {
        program<ReadsByTurns<2>>("reads by turns", bounds),
        program<ReadsPastALongOne<0>>("reads past a long one", bounds),
        program<ReadsPastALongOne<Turn::convincing>>("reads past a long one that was thought brief", bounds),
        program<ReadsPastALongOne<Turn::convincing, true>>("reads past a long one after a silence", bounds),
    };
}

inline std::vector<Program> inbox_programs_all() {
    using namespace inbox_programs;
    const Bounds wide{.preemptions = 2, .stale_reads = 2, .spurious_failures = 1};
    const Bounds small{.preemptions = 4, .stale_reads = 2, .spurious_failures = 1};
    return {
        program<TakesAndSteals>("takes and steals", wide),
        program<TakesTheOldest>("takes the oldest", wide),
        program<RunsSeeEachOther<KeepsARun, SeesARun>>("keeps a run | sees a run", small),
        program<RunsSeeEachOther<StealsARun, SeesARun>>("steals a run | sees a run", small),
        program<KeepsTheRest>("keeps the rest of a claim", {.preemptions = 3, .stale_reads = 1}),
        program<RunsSeeEachOther<TakesFromARun, SeesTheTicketGone>>("takes from a run | sees the ticket gone", small),
        program<RunsSeeEachOther<StealsATicket, SeesTheTicketGone>>("steals a ticket | sees the ticket gone", small),
        program<RaisesABit<false, std::memory_order_release, std::memory_order_acquire>>("raises a bit", small),
        program<RaisesABit<true, std::memory_order_seq_cst, std::memory_order_seq_cst>>("raises a bit that is up",
                                                                                        small),
        program<MakesARing>("makes a ring", {.preemptions = 3, .stale_reads = 1}),
        program<CountsEnds>("counts ends", small),
        program<LetsAnEventRun<false>>("lets an event run whose key is free", small),
        program<LetsAnEventRun<true>>("lets a spilled event run", small),
        program<MovesWhatWasSpilled>("moves what was spilled", small),
        program<ReadsTheDeadLetters>("reads the dead letters", {.preemptions = 3, .stale_reads = 1}),
    };
}

inline std::vector<Program> waiting_programs_all() {
    using namespace waiting_programs;
    const Bounds far{.preemptions = 3, .stale_reads = 1};
    const Bounds small{.preemptions = 4, .stale_reads = 2};
    return {
        program<WaitsForAPiece<1>>("waits for a piece", small),
        program<WaitsForAPiece<2>>("wait for a piece each", far),
        program<WakesAll>("wakes all", {.preemptions = 3, .stale_reads = 1, .early_timeouts = 1, .timeouts = 2}),
        program<ChangesUnderTheLock<2>>("2 change under the lock", small),
        program<ChangesUnderTheLock<3>>("3 change under the lock", {.preemptions = 2, .stale_reads = 1}),
        program<AddsATask>("adds a task", far),
        program<ParksForSomething>("parks for something", small),
        program<ParksForTwo>("parks for two", far),
        program<RenewsAnAnchor<false>>("renews a clock's anchor", {.preemptions = 3, .stale_reads = 2}),
        program<RenewsAnAnchor<true>>("drops a clock's anchor", small),
    };
}

inline std::vector<Program> reclaim_programs_all() {
    using namespace reclaim_programs;
    const Bounds far{.preemptions = 3, .stale_reads = 1};
    const Bounds small{.preemptions = 4, .stale_reads = 2};
    return {
        program<ReadsWhatIsReplaced<ExploredKernelFence, 1, 2, 2>>("reads what is replaced", small),
        program<ReadsWhatIsReplaced<ExploredFullFence, 1, 2, 2>>("reads what is replaced, without the kernel", small),
        program<ReadsWhatIsReplaced<ExploredKernelFence, 2, 1, 1>>("2 read what is replaced", far),
        program<KeepsAStray>("keeps a stray", small),
        program<GivesUpItsShare<2>>("2 give up their shares", small),
        program<GivesUpItsShare<3>>("3 give up their shares", far),
        program<ChangesItsOwn>("changes its own", small),
        program<EndsASubscription<ExploredKernelFence, 1>>("ends a subscription", small),
        program<EndsASubscription<ExploredFullFence, 1>>("ends a subscription, without the kernel", small),
        program<EndsASubscription<ExploredKernelFence, 2>>("ends a subscription that 2 run", {.preemptions = 2}),
        program<WaitsForWhoEndsIt<ExploredKernelFence>>("waits for who ends it", small),
        program<WaitsForTheLastEnd<ExploredKernelFence, 1>>("waits for the last end", small),
        program<WaitsForTheLastEnd<ExploredFullFence, 1>>("waits for the last end, without the kernel", small),
        program<WaitsForTheLastEnd<ExploredKernelFence, 2>>("waits for the last of two ends", far),
        program<ClosesWhilePublishesAreToCome<ExploredKernelFence, 1>>("closes while a publish is to come", small),
        program<ClosesWhilePublishesAreToCome<ExploredFullFence, 1>>(
            "closes while a publish is to come, without the kernel", small),
        program<ClosesWhilePublishesAreToCome<ExploredKernelFence, 2>>("closes while 2 are to come",
                                                                       {.preemptions = 2, .stale_reads = 1}),
        program<SitsDown<2, 2>>("2 sit down", small),
        program<SitsDown<3, 1>>("3 sit down", far),
    };
}

inline std::vector<Program> settling_programs_all() {
    using namespace settling_programs;
    const Bounds far{.preemptions = 3, .stale_reads = 1};
    const Bounds few{.preemptions = 2, .stale_reads = 1};
    return {
        program<EndsOnce<false>>("ends once", far),
        program<EndsOnce<true>>("ends once, abandoned or not", few),
        program<ClosesTheLastShare>("closes the last share", far),
    };
}

inline std::vector<Program> message_programs_all() {
    using namespace message_programs;
    const Bounds few{.preemptions = 2, .stale_reads = 1};
    const Bounds far{.preemptions = 3, .stale_reads = 1};
    const Bounds wide{.preemptions = 3, .stale_reads = 2, .spurious_failures = 1};
    const Bounds small{.preemptions = 4, .stale_reads = 2};
    return {
        program<FindsWhatIsPublished>("finds what is published", small),
        program<FillsPlaces>("fills places", far),
        program<AsksWhoIsInARun>("asks who is in a run", small),
        program<LeavesAHandedRun>("leaves a run that was handed on", small),
        program<LeavesAHandedRunOfALetter>("leaves a run of a dead letter that was handed on", small),
        program<CallsOffTheWorkers<false>>("calls off the workers", small),
        program<CallsOffTheWorkers<true>>("calls off workers that are called already", small),
        program<GrowsAList>("grows a list", wide),
        program<ListsOnce>("lists once", wide),
        program<RenewsOneAtATime>("renews one at a time", small),
        program<MovesAClock>("moves a clock", wide),
        program<ServesATimerOfAMovedClock>("serves a timer of a clock that is moved", few),
    };
}

inline std::vector<Program> counting_programs_all() {
    using namespace counting_programs;
    const Bounds few{.preemptions = 2, .stale_reads = 1};
    const Bounds far{.preemptions = 3, .stale_reads = 1};
    const Bounds small{.preemptions = 4, .stale_reads = 2};
    return {
        program<CountsWhatIsSent<&Counts::sent>>("counts what is sent", far),
        program<CountsWhatIsSent<&Counts::dropped>>("counts what is dropped", far),
        program<CountsWhatIsSent<&Counts::abandoned>>("counts what is abandoned", far),
        program<CountsAll>("counts all", few),
        program<CountsUpAndDown>("counts up and down", small),
        program<HasTheLeastPatience>("has the least patience", small),
        program<TakesATokenEach>("takes a token each", small),
    };
}

inline std::vector<Program> programs_all() {
    std::vector<Program> all;
    for (const auto& some :
         {&queue_programs_all, &parking_programs_all, &reading_programs_all, &inbox_programs_all, &waiting_programs_all,
          &reclaim_programs_all, &settling_programs_all, &message_programs_all, &counting_programs_all}) {
        for (const Program& program : some()) {
            all.push_back(program);
        }
    }
    return all;
}

} // namespace gossip_test
