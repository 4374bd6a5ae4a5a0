// The service: a bus, and who listens on it.
#pragma once

#include "detector.hpp"
#include "events.hpp"
#include "sshd_log.hpp"

#include <gossip/filter/filter.hpp>
#include <gossip/filter/payload.hpp>
#include <gossip/gossip.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <istream>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace auth {

/// What a run has come to.
struct Summary {
    struct Offender {
        std::uint64_t failures = 0;
        Time first{};
        Time last{};
    };
    struct BadLine {
        std::uint64_t number;
        std::string_view fault;
        std::string text; // its first bytes
    };

    std::map<LineKind, std::uint64_t> lines;
    std::vector<BadLine> bad;                    // the first few
    std::map<std::string, std::uint64_t> events; // by name
    std::map<std::string, Offender> offenders;   // by address
    std::vector<std::size_t> mails;              // how many alerts each told of
    std::uint64_t published = 0;
    gossip::ShutdownReport report{};

    /// Nothing is lost: each event that was published, each alert among them, was handled, and the audit saw it.
    [[nodiscard]] bool adds_up() const {
        std::uint64_t audited = 0;
        for (const auto& [name, count] : events) {
            audited += count;
        }
        return report.complete && report.adds_up() && report.accepted == published && report.handled == published &&
               audited == published;
    }
};

/// Who is told of alerts, in batches; called once at a time.
using Mailer = std::function<void(std::span<const Alert>)>;

/// Threads: one; its processors run on the bus's workers.
class AuthService {
public:
    explicit AuthService(Mailer mailer, gossip::Config config = {})
        : mailer_(std::move(mailer)), bus_(std::move(config)) {
        namespace filter = gossip::filter;
        using namespace std::chrono_literals;

        // All of it, whatever its data.
        listen(gossip::Pattern{"auth.**"}, [this](const gossip::Event& event) {
            const std::lock_guard lock(mutex_);
            ++summary_.events[std::string(event.type().name())];
        });

        listen(login_failed, [this](const LoginFailed& failed) {
            const std::lock_guard lock(mutex_);
            Summary::Offender& offender = summary_.offenders[failed.address];
            offender.first = offender.failures++ == 0 ? failed.time : offender.first;
            offender.last = failed.time;
        });

        // One address at a time and in the log's order, because the events' key is the address. A client may try all
        // of its keys, so a key that is refused is no guess.
        const auto guesses = filter::where<LoginFailed>([](const LoginFailed& f) { return f.method != "publickey"; });
        listen(login_failed, filter::only_if(guesses, [this](const LoginFailed& failed) {
                   const bool too_often = guessing_.failure(failed.address, failed.time);
                   return too_often
                              ? alert(brute_force, {failed.time, failed.address, "brute force", guessing_.limit()})
                              : gossip::Result{};
               }));

        const auto is_root = filter::where<LoginFailed>([](const LoginFailed& f) { return f.user == "root"; });
        listen(login_failed, filter::only_if(guesses && is_root, [this](const LoginFailed& failed) {
                   const bool too_often = rooting_.failure(failed.address, failed.time);
                   return too_often ? alert(root_attempts,
                                            {failed.time, failed.address, "logging in as root", rooting_.limit()})
                                    : gossip::Result{};
               }));

        // One mail for many alerts. A batch processor is never run twice at once, so this needs no lock.
        listen(gossip::Pattern{"auth.alert.*"},
               gossip::batch<Alert>({.size = 8, .period = 2s}, [this](std::span<const Alert> alerts) {
                   summary_.mails.push_back(alerts.size());
                   mailer_(alerts);
               }));
    }

    /// Publishes what the lines tell, and waits where the bus has no room.
    void read(std::istream& in) {
        std::string text;
        for (std::uint64_t number = 1; read_line(in, text); ++number) {
            const Line line = log_.parse(text);
            ++summary_.lines[line.kind];
            if (line.kind == LineKind::bad && summary_.bad.size() < 5) {
                summary_.bad.push_back({number, line.fault, text.substr(0, 80)});
            }
            for (std::size_t i = 0; line.kind == LineKind::event && i < line.times; ++i) {
                published_ += bus_.publish(*line.event) == gossip::PublishStatus::accepted ? 1U : 0U;
            }
        }
    }

    /// Ends it: all that was published is handled, the last mail is sent.
    Summary finish() {
        // Shutdown refuses new events, and processors still have alerts to publish: first wait until they are quiet. An
        // event in a batch is not handled before the batch is, hence the flush.
        while (!bus_.drain(std::chrono::milliseconds{50})) {
            bus_.flush();
        }
        summary_.report = bus_.shutdown();
        summary_.published = published_;
        return summary_; // without a lock: nobody else is left
    }

private:
    template <class What, class Processor>
    void listen(const What& what, Processor&& processor) {
        subscriptions_.push_back(bus_.subscribe(what, std::forward<Processor>(processor)));
    }
    /// An alert that the bus does not take fails the event that it is about.
    gossip::Result alert(const gossip::Topic<Alert>& topic, Alert what) {
        const std::string key = what.address;
        if (bus_.publish(topic, std::move(what), {.key = key}) != gossip::PublishStatus::accepted) {
            return gossip::ProcessingError{"the alert was refused"};
        }
        ++published_;
        return {};
    }

    // The order matters: what processors use stands before the bus and its subscriptions, which end first.
    SshdLog log_;
    Mailer mailer_;
    Detector guessing_{5, std::chrono::seconds{60}};
    Detector rooting_{3, std::chrono::minutes{10}};
    std::mutex mutex_; // of events and offenders
    Summary summary_;
    std::atomic<std::uint64_t> published_ = 0;
    gossip::EventBus<> bus_;
    std::vector<gossip::Subscription> subscriptions_;
};

} // namespace auth
