// A dead letter as one line of JSON.
#pragma once

#include <gossip/core/errors.hpp>
#include <gossip/core/event.hpp>
#include <gossip/dispatch/dead_letter.hpp>

#include <array>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

/// Appends the parts of a JSON object to a text. What is no UTF-8 becomes U+FFFD, what is no finite number null: the
/// line is JSON whatever stood in the event.
class JsonLine {
public:
    explicit JsonLine(std::string& out) noexcept : out_(out) {}

    JsonLine& open(char bracket) {
        value();
        out_ += bracket;
        first_ = true;
        return *this;
    }
    JsonLine& close(char bracket) {
        out_ += bracket;
        first_ = false;
        return *this;
    }
    JsonLine& name(std::string_view text) {
        put(text);
        out_ += ':';
        first_ = true; // no comma before the value
        return *this;
    }
    void put(std::string_view text) {
        value();
        out_ += '"';
        while (!text.empty()) {
            const std::size_t size = character(text);
            if (size == 0) {
                out_ += "\xEF\xBF\xBD";
                text.remove_prefix(1);
            } else {
                put_character(text.substr(0, size));
                text.remove_prefix(size);
            }
        }
        out_ += '"';
    }
    template <class Number>
    requires std::is_arithmetic_v<Number>
    void put(Number number) {
        value();
        std::array<char, 32> digits{};
        const char* const end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
        out_.append(digits.data(), static_cast<std::size_t>(end - digits.data()));
    }
    void put(bool truth) { put_raw(truth ? "true" : "false"); }
    void put(const MetadataValue& metadata) {
        switch (metadata.kind()) {
        case MetadataValue::Kind::string:
            return put(metadata.get<std::string_view>().value_or(""));
        case MetadataValue::Kind::integer:
            return put(metadata.get<std::int64_t>().value_or(0));
        case MetadataValue::Kind::boolean:
            return put(metadata.get<bool>().value_or(false));
        case MetadataValue::Kind::floating:
            break;
        }
        const double number = metadata.get<double>().value_or(0);
        return number - number <= 0 ? put(number) : put_raw("null"); // neither infinite nor not-a-number
    }
    /// Coordinated universal time: 2026-01-02T03:04:05.678901234Z.
    void put(std::chrono::system_clock::time_point time) {
        const auto day = std::chrono::floor<std::chrono::days>(time);
        const std::chrono::year_month_day date{day};
        const std::chrono::hh_mm_ss clock{std::chrono::nanoseconds(time - day)};
        value();
        out_ += '"';
        put_padded(static_cast<int>(date.year()), 4, '-');
        put_padded(static_cast<unsigned>(date.month()), 2, '-');
        put_padded(static_cast<unsigned>(date.day()), 2, 'T');
        put_padded(clock.hours().count(), 2, ':');
        put_padded(clock.minutes().count(), 2, ':');
        put_padded(clock.seconds().count(), 2, '.');
        put_padded(clock.subseconds().count(), 9, 'Z');
        out_ += '"';
    }
    /// JSON that somebody else has written; empty: null.
    void put_raw(std::string_view json) {
        value();
        out_ += json.empty() ? "null" : json;
    }

private:
    void value() {
        if (!first_) {
            out_ += ',';
        }
        first_ = false;
    }

    /// How many bytes the UTF-8 character at the front of `text` has; 0: it is none.
    static std::size_t character(std::string_view text) noexcept {
        const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
        const unsigned lead = byte(0);
        if (lead < 0x80) {
            return 1;
        }
        const std::size_t size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
        if (lead < 0xC2 || lead > 0xF4 || text.size() < size) {
            return 0;
        }
        // Overlong forms, surrogates and what is above U+10FFFF show in the second byte.
        const unsigned lowest = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
        const unsigned highest = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
        bool good = byte(1) >= lowest && byte(1) <= highest;
        for (std::size_t i = 2; i < size; ++i) {
            good = good && byte(i) >= 0x80 && byte(i) <= 0xBF;
        }
        return good ? size : 0;
    }

    void put_character(std::string_view one) {
        const char c = one.front();
        constexpr std::string_view named = "\"\\\b\f\n\r\t";
        if (const std::size_t at = named.find(c); at != named.npos) {
            out_ += '\\';
            out_ += "\"\\bfnrt"[at];
        } else if (static_cast<unsigned char>(c) < 0x20) {
            out_ += "\\u00";
            out_ += static_cast<char>('0' + (c >> 4));
            out_ += "0123456789abcdef"[c & 15];
        } else {
            out_ += one;
        }
    }

    template <class Number>
    void put_padded(Number number, std::size_t width, char mark) {
        std::array<char, 24> digits{};
        const char* const end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
        const auto size = static_cast<std::size_t>(end - digits.data());
        out_.append(size < width ? width - size : 0, '0').append(digits.data(), size);
        out_ += mark;
    }

    std::string& out_;
    bool first_ = true;
};

inline std::string_view kind_text(ErrorKind kind) noexcept {
    constexpr std::array<std::string_view, 9> names{"retryable", "validation",    "processing",
                                                    "timeout",   "fatal",         "type_assertion",
                                                    "no_data",   "invalid_event", "unsupported_event_type"};
    return names[static_cast<std::size_t>(kind)];
}
inline std::string_view priority_text(Priority priority) noexcept {
    constexpr std::array<std::string_view, priority_count> names{"low", "normal", "high", "critical"};
    return names[static_cast<std::size_t>(priority)];
}

inline void put_error(JsonLine& line, const Error& error) {
    line.open('{');
    line.name("kind").put(kind_text(error.kind()));
    line.name("text").put(std::string_view{error.what()});
    line.name("causes").open('[');
    for (std::optional<Error> cause = error.cause(); cause; cause = cause->cause()) {
        line.put(std::string_view{cause->what()});
    }
    line.close(']').close('}');
}

/// Appends the letter and a line's end. `data` is the event's data in JSON; empty: null.
inline void append_json(std::string& out, std::uint64_t number, const DeadLetter& letter, std::string_view data) {
    const Event& event = letter.event;
    JsonLine line(out);
    line.open('{');
    line.name("number").put(number);
    line.name("type").put(event.type().name());
    line.name("id").put(std::string_view{event.id_text()});
    line.name("time").put(event.timestamp());
    line.name("priority").put(priority_text(event.priority()));
    line.name("key").put(event.key());
    line.name("metadata").open('{');
    for (const auto& [name, value] : event.metadata()) {
        line.name(name).put(value);
    }
    line.close('}');
    line.name("data_type").put(event.data_type_name());
    line.name("data").put_raw(data);
    line.name("subscription").put(std::string_view{letter.subscription});
    line.name("attempts").put(letter.attempts);
    put_error(line.name("error"), letter.error);
    line.name("failures").open('[');
    for (const Failure& failure : letter.failures) {
        line.open('{');
        line.name("subscription").put(std::string_view{failure.name});
        line.name("attempts").put(failure.attempts);
        put_error(line.name("error"), failure.error);
        line.close('}');
    }
    line.close(']');
    line.name("first_time").put(letter.first_time);
    line.name("last_time").put(letter.last_time);
    line.close('}');
    out += '\n';
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
