// Lines of an sshd log into events.
#pragma once

#include "events.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <istream>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace auth {

enum class LineKind {
    event,         // something to publish
    nothing,       // sshd says what no event needs, such as PAM's echo of a failure; or an empty line
    other_program, // a line of somebody else
    bad,           // no line of a log, or a message that should be known but makes no sense
};

/// What one line turned out to be.
struct Line {
    LineKind kind = LineKind::nothing;
    std::optional<gossip::Event> event{}; // keyed by the address it is about
    std::size_t times = 1;                // syslog writes what repeats only once
    std::string_view fault{};             // why it is bad
};

inline constexpr std::size_t longest_line = 8192;
inline constexpr std::size_t most_repeats = 1000; // a line that claims more lies

/// Reads a line of any length and content, and keeps at most one byte more than a line may have: what is longer is bad.
inline bool read_line(std::istream& in, std::string& line) {
    line.clear();
    std::streambuf& bytes = *in.rdbuf();
    for (int byte = bytes.sbumpc(); byte != std::char_traits<char>::eof(); byte = bytes.sbumpc()) {
        if (byte == '\n') {
            return true;
        }
        if (line.size() <= longest_line) {
            line.push_back(static_cast<char>(byte));
        }
    }
    return !line.empty();
}

namespace detail {

inline bool take_prefix(std::string_view& text, std::string_view prefix) {
    const bool has = text.starts_with(prefix);
    text.remove_prefix(has ? prefix.size() : 0);
    return has;
}
inline bool take_suffix(std::string_view& text, std::string_view suffix) {
    const bool has = text.ends_with(suffix);
    text.remove_suffix(has ? suffix.size() : 0);
    return has;
}
/// Takes what stands before the first `separator`, and the separator; all of it if there is none.
inline std::string_view take_until(std::string_view& text, char separator) {
    const std::size_t at = text.find(separator);
    const std::string_view taken = text.substr(0, at);
    text.remove_prefix(at == text.npos ? text.size() : at + 1);
    return taken;
}
/// Takes the last word and the space before it.
inline std::string_view take_last_word(std::string_view& text) {
    const std::size_t space = text.rfind(' ');
    const std::string_view word = text.substr(space == text.npos ? 0 : space + 1);
    text.remove_suffix(space == text.npos ? text.size() : text.size() - space);
    return word;
}

/// A number of 1 to 6 digits and nothing else.
inline std::optional<unsigned> number(std::string_view digits) {
    unsigned value = 0;
    for (const char c : digits) {
        if (c < '0' || c > '9') {
            return std::nullopt;
        }
        value = value * 10 + static_cast<unsigned>(c - '0');
    }
    return digits.empty() || digits.size() > 6 ? std::nullopt : std::optional(value);
}

/// Four numbers, or what can only be IPv6; UNKNOWN is what sshd writes when the peer is gone already.
inline bool is_address(std::string_view text) {
    if (text.find(':') != text.npos) {
        const std::string_view digits = text.substr(0, text.find('%')); // fe80::1%eth0
        return digits.size() <= 45 && digits.find_first_not_of("0123456789abcdefABCDEF:.") == digits.npos;
    }
    std::string_view rest = text;
    for (int i = 0; i < 3; ++i) {
        if (const auto part = number(take_until(rest, '.')); !part || *part > 255) {
            return text == "UNKNOWN";
        }
    }
    const auto last = number(rest);
    return last && *last <= 255;
}

/// Takes `ADDRESS` or `ADDRESS port N` from the end. From the end, because a user name before it may be anything that
/// an attacker likes, ` from 192.0.2.1 port 22` included.
inline std::optional<std::string> take_origin(std::string_view& text) {
    std::string_view rest = text;
    std::string_view word = take_last_word(rest);
    if (number(word) && take_suffix(rest, " port")) {
        word = take_last_word(rest);
    }
    if (!is_address(word)) {
        return std::nullopt;
    }
    text = rest;
    return std::string(word);
}

} // namespace detail

/// Turns lines into events, one after another: it remembers the year and who has logged in.
///
/// Threads: one.
/// Owns:    an address for each session that is open.
class SshdLog {
public:
    /// Takes any bytes. What is no line of sshd is said to be `nothing`, `other_program` or `bad`, never thrown.
    Line parse(std::string_view line) {
        using namespace detail;
        if (line.size() > longest_line) {
            return bad("longer than 8192 bytes");
        }
        take_suffix(line, "\r");
        if (line.empty()) {
            return {};
        }
        if (!take_traditional_time(line) && !take_iso_time(line)) {
            return bad("no time at its beginning");
        }
        const std::string_view host = take_until(line, ' ');
        const std::string_view process = take_until(line, ':');
        const std::string_view program = process.substr(0, process.find('['));
        if (host.empty() || program.empty()) {
            return bad("no host and program");
        }
        if (program != "sshd" && program != "sshd-session") {
            return {LineKind::other_program};
        }
        take_prefix(line, " ");
        return parse_message(line, std::string(host) + ' ' + std::string(process));
    }

private:
    static Line bad(std::string_view fault) { return {LineKind::bad, std::nullopt, 1, fault}; }

    template <class T>
    static Line event(const gossip::Topic<T>& topic, T data) {
        const std::string key = data.address;
        return {LineKind::event, gossip::Event{topic, std::move(data)}.with_key(key)};
    }

    /// `06:55:46` and whatever follows.
    bool set_time(std::chrono::year_month_day date, std::string_view clock, std::chrono::minutes zone) {
        using namespace std::chrono;
        if (clock.size() < 8 || clock[2] != ':' || clock[5] != ':') {
            return false;
        }
        const auto h = detail::number(clock.substr(0, 2));
        const auto m = detail::number(clock.substr(3, 2));
        const auto s = detail::number(clock.substr(6, 2));
        if (!h || *h > 23 || !m || *m > 59 || !s || *s > 60) {
            return false;
        }
        time_ = sys_days(date) + hours(*h) + minutes(*m) + seconds(*s) - zone;
        return true;
    }

    /// `Dec 10 06:55:46 `: the year begins anew where December is followed by January.
    bool take_traditional_time(std::string_view& line) {
        using namespace std::chrono;
        constexpr std::string_view names = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec ";
        std::string_view rest = line.substr(std::min<std::size_t>(line.size(), 4));
        const std::size_t at = names.find(line.substr(0, 4));
        if (line.size() < 4 || at == names.npos || line[3] != ' ') {
            return false;
        }
        detail::take_prefix(rest, " "); // a day below 10 has two spaces before it
        const auto d = detail::number(detail::take_until(rest, ' '));
        if (!d || *d < 1 || *d > 31) {
            return false;
        }
        const month now(static_cast<unsigned>(at / 4 + 1));
        const year then = month_ == December && now == January ? year_ + years(1) : year_;
        if (!set_time(then / now / day(*d), detail::take_until(rest, ' '), minutes(0))) {
            return false;
        }
        year_ = then;
        month_ = now;
        line = rest;
        return true;
    }

    /// `2023-12-10T06:55:46.123456+01:00 `, as newer systems have it.
    bool take_iso_time(std::string_view& line) {
        using namespace std::chrono;
        if (line.size() < 20 || line[4] != '-' || line[7] != '-' || line[10] != 'T') {
            return false;
        }
        const auto y = detail::number(line.substr(0, 4));
        const auto m = detail::number(line.substr(5, 2));
        const auto d = detail::number(line.substr(8, 2));
        std::string_view rest = line.substr(11);
        const std::string_view clock = detail::take_until(rest, ' ');
        const std::string_view zone = clock.substr(std::min(clock.find_first_of("+-Z"), clock.size()));
        const bool utc = zone.empty() || zone == "Z";
        const auto h = utc ? 0U : detail::number(zone.substr(1, 2));
        const auto min = utc ? 0U : detail::number(zone.substr(std::min<std::size_t>(zone.size(), 4)));
        if (!y || !m || *m < 1 || *m > 12 || !d || *d < 1 || *d > 31 || !h || *h > 23 || !min || *min > 59) {
            return false;
        }
        const minutes east = hours(*h) + minutes(*min);
        line = rest;
        return set_time(year(static_cast<int>(*y)) / month(*m) / day(*d), clock, zone.starts_with('-') ? -east : east);
    }

    Line parse_message(std::string_view text, const std::string& process) {
        using namespace detail;
        if (take_prefix(text, "message repeated ")) {
            const auto times = number(take_until(text, ' '));
            const bool framed = take_prefix(text, "times: [ ") && take_suffix(text, "]");
            if (!times || *times == 0 || *times > most_repeats || !framed || text.starts_with("message repeated ")) {
                return bad("a repetition that makes no sense");
            }
            Line line = parse_message(text, process);
            line.times = *times;
            return line;
        }
        take_suffix(text, " [preauth]");
        take_prefix(text, "error: ");
        if (take_prefix(text, "Failed ")) {
            return parse_login(text, false, process);
        }
        if (take_prefix(text, "Accepted ")) {
            return parse_login(text, true, process);
        }
        if (take_prefix(text, "Invalid user ")) {
            const auto address = take_origin(text);
            return address && take_suffix(text, " from") ? event(user_invalid, {time_, *address, std::string(text)})
                                                         : bad("an invalid user from nowhere");
        }
        if (take_prefix(text, "pam_unix(sshd:session): session ")) {
            return parse_session(text, process);
        }
        if (take_prefix(text, "Received disconnect from ")) {
            return parse_disconnect(text);
        }
        if (take_prefix(text, "Connection closed by ") || take_prefix(text, "Connection reset by ")) {
            const auto address = take_origin(text);
            return address ? event(connection_closed, {time_, *address, std::string(text)})
                           : bad("a connection closed by nobody");
        }
        if (take_prefix(text, "Did not receive identification string from ")) {
            const auto address = take_origin(text);
            return address ? event(connection_silent, {time_, *address, {}}) : bad("silence from nowhere");
        }
        if (take_prefix(text, "reverse mapping checking getaddrinfo for ")) {
            const std::string_view name = take_until(text, ' ');
            take_prefix(text, "[");
            const std::string_view address = take_until(text, ']');
            return is_address(address) ? event(connection_mismatched, {time_, std::string(address), std::string(name)})
                                       : bad("a reverse mapping of nothing");
        }
        return {};
    }

    /// `password for invalid user guest from 192.0.2.1 port 22 ssh2`
    Line parse_login(std::string_view text, bool succeeded, const std::string& process) {
        using namespace detail;
        const std::string_view method = take_until(text, ' ');
        if (!take_prefix(text, "for ")) {
            return {}; // `Failed to release session`, `Accepted key ... found at`
        }
        const bool invalid = take_prefix(text, "invalid user ");
        text = text.substr(0, text.rfind(" ssh2")); // a key's fingerprint may follow
        const auto address = take_origin(text);
        if (!address || !take_suffix(text, " from")) {
            return bad("a login from nowhere");
        }
        if (!succeeded) {
            return event(login_failed, {time_, *address, std::string(text), std::string(method), !invalid});
        }
        sessions_[process] = *address;
        return event(login_succeeded, {time_, *address, std::string(text), std::string(method)});
    }

    /// `opened for user alice(uid=1000) by (uid=0)`; where from was said when the process accepted the login.
    Line parse_session(std::string_view text, const std::string& process) {
        const std::string_view what = detail::take_until(text, ' ');
        if ((what != "opened" && what != "closed") || !detail::take_prefix(text, "for user ")) {
            return bad("a session that makes no sense");
        }
        text = text.substr(0, text.find_first_of(" ("));
        const auto login = sessions_.find(process);
        Session session{time_, login == sessions_.end() ? "" : login->second, std::string(text)};
        if (what == "opened") {
            return event(session_opened, std::move(session));
        }
        sessions_.erase(process);
        return event(session_closed, std::move(session));
    }

    /// `192.0.2.1: 11: Bye Bye`, or `192.0.2.1 port 22:11: Bye Bye`
    Line parse_disconnect(std::string_view text) {
        using namespace detail;
        std::string_view address = take_until(text, ' ');
        const bool port_follows = take_prefix(text, "port ");
        const bool sound = port_follows ? number(take_until(text, ':')).has_value() : take_suffix(address, ":");
        if (!sound || !is_address(address) || !number(take_until(text, ':'))) {
            return bad("a disconnect from nowhere");
        }
        take_prefix(text, " ");
        return event(connection_disconnected, {time_, std::string(address), std::string(text)});
    }

    Time time_{};
    std::chrono::year year_{2000}; // a leap year, for 29 February
    std::chrono::month month_{1};
    std::unordered_map<std::string, std::string> sessions_; // by host and process
};

} // namespace auth
