#pragma once

#include <gossip/core/errors.hpp>
#include <gossip/provider/redis/connection.hpp>
#include <gossip/provider/redis/options.hpp>
#include <gossip/provider/redis/server_error.hpp>
#include <gossip/provider/redis/stream_entry.hpp>
#include <gossip/provider/redis/stream_lease.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail {

/// The rarer conversations with the server about a group, one question and its answer at a time: groups, claims,
/// burials, trimming, idle consumers, the registry of streams.
///
/// Threads: that of the connection. Nothing else may be under way on it.
/// Stalls:  each question waits for its answer, up to command_timeout; a stop ends it.
/// Errors:  a failed Result is the connection's, which is to be closed. What the server refuses is `refusal`, or leaves
///          the answer empty where nothing depends on it.
class StreamKeeper {
public:
    struct Pending {
        EntryId id;
        std::int64_t deliveries;
        bool is_own = false; // this consumer's
    };

    StreamKeeper(const RedisOptions& options, std::string consumer, Connection& connection)
        : options_(options), consumer_(std::move(consumer)), connection_(connection) {}

    [[nodiscard]] const std::string& consumer() const noexcept { return consumer_; }

    /// The group exists afterwards, or `refusal` says why not. `made`: it did not before.
    Result make_group(std::string_view stream, std::string_view start, std::optional<Error>& refusal, bool& made) {
        made = false;
        if (Result asked = ask({"XGROUP", "CREATE", stream, options_.group, start, "MKSTREAM"}); !asked) {
            return asked;
        }
        made = !reply().failed();
        if (reply().failed() && first_word(reply().line()) != "BUSYGROUP") {
            refusal = server_error(reply().line());
        }
        return {};
    }

    /// Whose entries: this consumer's, anyone's that are unrenewed for min_idle, or all.
    enum class Whose : std::uint8_t { own, idle, all };

    /// Up to a hundred entries from `from` on that are pending. `next` is where to go on; nothing at the end.
    Result pending(std::string_view stream, const EntryId& from, Whose whose, std::vector<Pending>& found,
                   std::optional<EntryId>& next) {
        const bool own = whose == Whose::own;
        const bool asks_idle = whose == Whose::idle && knows_idle_;
        const Number idle{std::int64_t{options_.stream.min_idle.count()}};
        const Number page{page_size};
        next.reset();
        Result asked = asks_idle ? ask({"XPENDING", stream, options_.group, "IDLE", idle, IdText{from}, "+", page})
                                 : ask_pending(stream, {IdText{from}, "+", page, consumer_}, own);
        if (asked && asks_idle && reply().failed() && first_word(reply().line()) == "ERR") {
            knows_idle_ = false; // before 6.2
            asked = ask_pending(stream, {IdText{from}, "+", page, consumer_}, false);
        }
        if (!asked) {
            return asked;
        }
        ReplyCursor at{reply()};
        std::size_t seen = 0;
        for (std::size_t left = at.array(); left > 0; --left, ++seen) {
            if (at.array() != 4) {
                break;
            }
            const EntryId id = parse_id(at.text(), from.stream);
            const bool is_own = at.text() == consumer_;
            const std::int64_t idle_for = at.integer();
            const std::int64_t deliveries = at.integer();
            if (whose != Whose::idle || knows_idle_ || idle_for >= options_.stream.min_idle.count()) {
                found.push_back({id, deliveries, is_own});
            }
            next = after(id);
        }
        if (seen < page_size) {
            next.reset();
        }
        return {};
    }

    /// Asks for the entries; `reply` has those that are this consumer's now. Nobody gets what another has renewed.
    Result claim(std::string_view stream, const std::vector<Pending>& entries, std::chrono::milliseconds min_idle,
                 bool ids_alone = false) {
        const Number idle{std::int64_t{min_idle.count()}};
        std::vector<std::string> texts;
        texts.reserve(entries.size());
        for (const Pending& entry : entries) {
            texts.emplace_back(std::string_view{IdText{entry.id}});
        }
        std::vector<std::string_view> arguments{"XCLAIM", stream, options_.group, consumer_, idle};
        arguments.insert(arguments.end(), texts.begin(), texts.end());
        if (ids_alone) {
            arguments.emplace_back("JUSTID");
        }
        connection_.queue(Arguments{arguments});
        return connection_.await_reply(until());
    }

    /// Whether the entry is still in its stream; `reply` has it.
    Result look_up(std::string_view stream, const EntryId& id, bool& exists) {
        const IdText text{id};
        if (Result asked = ask({"XRANGE", stream, text, text}); !asked) {
            return asked;
        }
        exists = reply().failed() || ReplyCursor{reply()}.array() != 0;
        return {};
    }

    Result acknowledge(std::string_view stream, const EntryId& id) {
        return ask({"XACK", stream, options_.group, IdText{id}});
    }

    enum class Burial : std::uint8_t { done, gone, refused };

    /// Copies the entry to the dead-letter stream and acknowledges it, in this order: a crash in between buries it
    /// twice, and never loses it.
    Result bury(std::string_view stream, const Pending& entry, std::string_view reason, Burial& end,
                std::optional<Error>& refusal) {
        bool exists = false;
        if (Result looked = look_up(stream, entry.id, exists); !looked) {
            return looked;
        }
        end = Burial::gone;
        if (exists) {
            std::vector<std::string> fields;
            ReplyCursor at{reply()};
            at.array();
            at.array();
            at.skip(); // its id
            for (std::size_t left = at.array(); left > 0; --left) {
                fields.emplace_back(at.text());
            }
            const IdText id{entry.id};
            const Number deliveries{entry.deliveries};
            const std::string grave = dead_letter_stream(options_);
            std::vector<std::string_view> arguments{"XADD", grave, "*"};
            arguments.insert(arguments.end(), fields.begin(), fields.end());
            for (const std::string_view more :
                 {std::string_view{"gossip.reason"}, reason, std::string_view{"gossip.stream"}, stream,
                  std::string_view{"gossip.id"}, std::string_view{id}, std::string_view{"gossip.group"},
                  std::string_view{options_.group}, std::string_view{"gossip.deliveries"},
                  std::string_view{deliveries}}) {
                arguments.push_back(more);
            }
            connection_.queue(Arguments{arguments});
            if (Result added = connection_.await_reply(until()); !added) {
                return added;
            }
            if (reply().failed()) {
                end = Burial::refused;
                refusal = server_error(reply().line());
                return {};
            }
            end = Burial::done;
        }
        return acknowledge(stream, entry.id);
    }

    /// Cuts off what every group of the stream has read and settled, and what is older than `keep`. Approximate: more
    /// may stay, nothing else goes. A group made meanwhile from the beginning begins behind the cut. Where the server
    /// does not say what is pending nothing is cut; `refusal` has its reason. Before 6.2 it knows no such cut.
    Result trim(std::string_view stream, std::optional<Error>& refusal) {
        if (Result asked = ask({"XINFO", "GROUPS", stream}); !asked || is_refused(refusal)) {
            return asked;
        }
        struct Group {
            std::string name;
            EntryId first_kept;
            bool has_pending = false;
        };
        std::vector<Group> groups;
        ReplyCursor at{reply()};
        for (std::size_t left = at.array(); left > 0; --left) {
            Group& group = groups.emplace_back();
            for (std::size_t pairs = at.array() / 2; pairs > 0; --pairs) {
                const std::string_view key = at.text();
                if (key == "name") {
                    group.name = at.text();
                } else if (key == "pending") {
                    group.has_pending = at.integer() != 0;
                } else if (key == "last-delivered-id") {
                    group.first_kept = after(parse_id(at.text(), 0));
                } else {
                    at.skip();
                }
            }
        }
        if (groups.empty()) {
            return {};
        }
        EntryId cut = groups.front().first_kept;
        for (const Group& group : groups) {
            cut = is_before(group.first_kept, cut) ? group.first_kept : cut;
            if (group.has_pending) {
                if (Result asked = ask({"XPENDING", stream, group.name}); !asked || is_refused(refusal)) {
                    return asked;
                }
                ReplyCursor summary{reply()};
                if (summary.array() == 4 && summary.integer() != 0) {
                    const EntryId first = parse_id(summary.text(), 0);
                    cut = is_before(first, cut) ? first : cut;
                }
            }
        }
        if (options_.stream.keep.count() != 0) {
            if (Result asked = ask({"TIME"}); !asked || is_refused(refusal)) {
                return asked;
            }
            ReplyCursor time{reply()};
            const std::int64_t now = time.array() == 2 ? std::atoll(std::string{time.text()}.c_str()) * 1000 : 0;
            const std::int64_t oldest = std::max<std::int64_t>(now - options_.stream.keep.count(), 0);
            const EntryId young{static_cast<std::uint64_t>(oldest), 0, 0};
            cut = is_before(young, cut) ? young : cut;
        }
        Result cut_off = ask({"XTRIM", stream, "MINID", "~", IdText{cut}});
        if (cut_off) {
            static_cast<void>(is_refused(refusal));
        }
        return cut_off;
    }

    /// Removes the group's consumers that have been idle for consumer_idle and have nothing pending.
    Result remove_idle(std::string_view stream) {
        if (Result asked = ask({"XINFO", "CONSUMERS", stream, options_.group}); !asked) {
            return asked;
        }
        std::vector<std::string> idle;
        ReplyCursor at{reply()};
        for (std::size_t left = at.array(); left > 0; --left) {
            std::string name;
            std::int64_t pending = 1;
            std::int64_t idle_for = 0;
            for (std::size_t pairs = at.array() / 2; pairs > 0; --pairs) {
                const std::string_view key = at.text();
                if (key == "name") {
                    name = at.text();
                } else if (key == "pending") {
                    pending = at.integer();
                } else if (key == "idle") {
                    idle_for = at.integer();
                } else {
                    at.skip();
                }
            }
            if (pending == 0 && idle_for >= options_.stream.consumer_idle.count() && name != consumer_) {
                idle.push_back(std::move(name));
            }
        }
        for (const std::string& name : idle) {
            if (Result removed = remove_consumer(stream, name); !removed) {
                return removed;
            }
        }
        return {};
    }

    /// Deleting a consumer forgets what is pending for it: the server itself checks, in the same step, that nothing is.
    Result remove_consumer(std::string_view stream, std::string_view name) {
        constexpr std::string_view script =
            "if #redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2]) == 0 then "
            "return redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2]) end return -1";
        return ask({"EVAL", script, "1", stream, options_.group, name});
    }

    /// Gives a stream's lease up, if it is ours.
    Result release(std::string_view stream, std::string_view token) {
        return ask({"EVAL", release_script, "1", lease_key(options_, stream), token});
    }

    /// The names of all streams, or `refusal` says why not.
    Result registered(std::vector<std::string>& names, std::optional<Error>& refusal) {
        if (Result asked = ask({"SMEMBERS", stream_registry(options_)}); !asked || is_refused(refusal)) {
            return asked;
        }
        ReplyCursor at{reply()};
        for (std::size_t left = at.array(); left > 0; --left) {
            names.emplace_back(at.text());
        }
        return {};
    }

    /// What the server said, where nothing may go on without it: to be asked again, on another connection.
    [[nodiscard]] Result verdict() { return reply().failed() ? Result{RetryableError{reply().line()}} : Result{}; }
    [[nodiscard]] Reply& reply() noexcept { return connection_.reply(); }

private:
    static constexpr std::size_t page_size = 100;

    [[nodiscard]] Deadline until() const noexcept { return SteadyClock::now() + options_.command_timeout; }
    Result ask(std::initializer_list<std::string_view> arguments) { return connection_.ask(arguments, until()); }

    /// Whether the answer is an error of the server's.
    bool is_refused(std::optional<Error>& refusal) {
        if (reply().failed()) {
            refusal = server_error(reply().line());
        }
        return refusal.has_value();
    }

    struct Range {
        std::string_view from;
        std::string_view to;
        std::string_view count;
        std::string_view consumer;
    };
    Result ask_pending(std::string_view stream, const Range& range, bool own) {
        return own ? ask({"XPENDING", stream, options_.group, range.from, range.to, range.count, range.consumer})
                   : ask({"XPENDING", stream, options_.group, range.from, range.to, range.count});
    }

    const RedisOptions& options_;
    std::string consumer_;
    Connection& connection_;
    bool knows_idle_ = true; // XPENDING's IDLE
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail
