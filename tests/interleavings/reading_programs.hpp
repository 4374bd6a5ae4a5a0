#pragma once

// Small programs over the shipped turn of those who read a connection, for the explorer: a turn that nobody takes
// leaves all threads waiting.

#include <gossip/provider/redis/reading_turn.hpp>

#include "support/explored_parker.hpp"
#include "support/explorer.hpp"

#include <cstdint>
#include <utility>

namespace gossip_test::reading_programs {

using Turn = gossip::redis::detail::ReadingTurn<ExploredParker, ExploredMutex>;

/// Two read `messages` by turns, and run each outside, where the other one stands by. Both end.
template <unsigned messages>
class Reads {
public:
    static constexpr unsigned threads = 2;

    void run(unsigned me) {
        while (turn_.await(me)) {
            read();
        }
    }
    void end() const { require(read_ == messages, "a message was not read"); }

protected:
    virtual void handle(unsigned message) = 0;
    ~Reads() = default;

    Turn turn_;

private:
    /// As a reader does.
    void read() {
        for (;;) {
            require(!std::exchange(reads_, true), "two read at once");
            await(read_);
            Execution::now().step();
            const unsigned message = read_;
            read_ += message < messages ? 1 : 0;
            reads_ = false;
            if (message == messages) {
                turn_.end();
                return;
            }
            if (!turn_.may_step_out()) {
                handle_here(message);
                continue;
            }
            turn_.step_out();
            handle(message);
            if (!turn_.step_in()) {
                return;
            }
        }
    }
    virtual void handle_here(unsigned /*message*/) {}
    virtual void await(unsigned /*message*/) {}

    unsigned read_ = 0;
    bool reads_ = false;
};

/// Each is brief.
template <unsigned messages>
struct ReadsByTurns final : Reads<messages> {
    void handle(unsigned) override { Execution::now().step(); }
};

/// The last but one lasts until the last has been read: somebody takes the turn meanwhile. Before it there have been so
/// many brief ones that the other is not called at once; `asleep`: and then none for so long that it does not look up.
template <unsigned brief, bool asleep = false>
class ReadsPastALongOne final : public Reads<brief + 2> {
public:
    void end() const {
        Reads<brief + 2>::end();
        require(ended_, "what was long has not ended");
    }

private:
    void await(unsigned message) override {
        if (asleep && message == brief) {
            silence_.park(Turn::period_ns * (Turn::quiet_periods + 2));
        }
    }
    void handle(unsigned message) override {
        if (message == brief) {
            last_.park(-1);
            ended_ = true;
        } else if (message > brief) {
            last_.unpark();
        }
    }
    void handle_here(unsigned message) override { // a worker does it
        ended_ |= message == brief;
        if (message > brief) {
            last_.unpark();
        }
    }

    ExploredParker silence_;
    ExploredParker last_;
    bool ended_ = false;
};

} // namespace gossip_test::reading_programs
