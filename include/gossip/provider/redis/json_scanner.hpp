// JsonScanner: passes over JSON text and says where its parts begin and end.
#pragma once

#include <gossip/provider/redis/json_text.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

/// How deep arrays and objects may stand in each other, at most; a scanner keeps one bit for each level.
inline constexpr std::size_t deepest_json = 512;

/// Passes over JSON text from left to right, checking all of it: grammar (RFC 8259), UTF-8, depth.
///
/// Cost:   linear in the text, about 1 ns for 2 bytes; allocates nothing and does not recurse.
/// Owns:   nothing; the text outlives it.
/// Errors: a member that fails returns false; `fault` and `position` tell what and where, and it is of no further use.
class JsonScanner {
public:
    explicit JsonScanner(std::string_view text, std::size_t max_depth = 64) noexcept
        : begin_(text.data()),
          p_(begin_),
          end_(begin_ + text.size()),
          max_depth_(max_depth < deepest_json ? max_depth : deepest_json) {}

    [[nodiscard]] std::string_view fault() const noexcept { return fault_; }
    [[nodiscard]] std::size_t position() const noexcept { return static_cast<std::size_t>(p_ - begin_); }

    void skip_space() noexcept {
        while (p_ != end_ && (*p_ == ' ' || *p_ == '\n' || *p_ == '\r' || *p_ == '\t')) {
            ++p_;
        }
    }

    /// Nothing but white space is left.
    [[nodiscard]] bool at_end() noexcept {
        skip_space();
        return p_ == end_ || fail("more text behind the value");
    }

    /// Passes white space and then `c`, if it stands there.
    [[nodiscard]] bool take(char c) noexcept {
        skip_space();
        if (p_ != end_ && *p_ == c) {
            ++p_;
            return true;
        }
        return false;
    }

    [[nodiscard]] bool expect(char c, std::string_view fault) noexcept { return take(c) || fail_here(fault); }

    /// What the next value begins with; NUL at the end of the text.
    [[nodiscard]] char peek() noexcept {
        skip_space();
        return p_ != end_ ? *p_ : '\0';
    }

    /// Passes a string; `raw` is what stands between its quotes, `escaped` whether a backslash does.
    [[nodiscard]] bool string(std::string_view& raw, bool& escaped) noexcept {
        escaped = false;
        if (!expect('"', "expected a string")) {
            return false;
        }
        const char* const start = p_;
        p_ = end_of_plain(start, end_);
        if (!(p_ != end_ && *p_ == '"') && !skip_special(escaped)) [[unlikely]] {
            return false;
        }
        raw = {start, static_cast<std::size_t>(p_ - start)};
        ++p_;
        return true;
    }

    /// Passes any value; `text` is it, without white space around it.
    [[nodiscard]] bool value(std::string_view& text) noexcept {
        skip_space();
        const char* const start = p_;
        if (!skip_value()) {
            return false;
        }
        text = {start, static_cast<std::size_t>(p_ - start)};
        return true;
    }

private:
    bool fail(std::string_view fault) noexcept {
        fault_ = fault;
        return false;
    }

    bool fail_here(std::string_view fault) noexcept {
        return fail(p_ == end_ ? std::string_view{"the text ends too early"} : fault);
    }

    /// The rest of a string, up to its closing quote.
    [[gnu::noinline]] bool skip_special(bool& escaped) noexcept {
        for (;; p_ = end_of_plain(p_, end_)) {
            if (p_ == end_) {
                return fail("the text ends within a string");
            }
            if (*p_ == '"') {
                return true;
            }
            if (*p_ == '\\') {
                escaped = true;
                if (!skip_escape()) {
                    return false;
                }
            } else if (static_cast<unsigned char>(*p_) < 0x20) {
                return fail("a control character within a string");
            } else if (const char* const next = end_of_utf8(p_, end_); next != nullptr) {
                p_ = next;
            } else {
                return fail("invalid UTF-8");
            }
        }
    }

    bool skip_escape() noexcept {
        const auto left = end_ - p_;
        if (left < 2) {
            return fail("the text ends within a string");
        }
        switch (p_[1]) {
        case '"':
        case '\\':
        case '/':
        case 'b':
        case 'f':
        case 'n':
        case 'r':
        case 't':
            p_ += 2;
            return true;
        case 'u':
            if (left >= 6 && hex4(p_ + 2) <= 0xFFFF) {
                p_ += 6;
                return true;
            }
            break;
        default:
            break;
        }
        return fail("an escape that JSON does not know");
    }

    bool skip_word(std::string_view word) noexcept {
        if (std::string_view{p_, static_cast<std::size_t>(end_ - p_)}.starts_with(word)) {
            p_ += word.size();
            return true;
        }
        return fail("expected a value");
    }

    bool skip_digits() noexcept {
        const char* const start = p_;
        while (p_ != end_ && *p_ >= '0' && *p_ <= '9') {
            ++p_;
        }
        return p_ != start;
    }

    bool skip_number() noexcept {
        const auto stands = [this](char a, char b) { return p_ != end_ && (*p_ == a || *p_ == b); };
        if (stands('-', '-')) {
            ++p_;
        }
        if (stands('0', '0')) {
            ++p_;
        } else if (!skip_digits()) {
            return fail_here("expected a value");
        }
        if (stands('.', '.')) {
            ++p_;
            if (!skip_digits()) {
                return fail_here("expected a digit");
            }
        }
        if (stands('e', 'E')) {
            ++p_;
            if (stands('+', '-')) {
                ++p_;
            }
            if (!skip_digits()) {
                return fail_here("expected a digit");
            }
        }
        return true;
    }

    bool skip_scalar() noexcept {
        std::string_view raw;
        bool escaped = false;
        switch (p_ != end_ ? *p_ : '\0') {
        case '"':
            return string(raw, escaped);
        case 't':
            return skip_word("true");
        case 'f':
            return skip_word("false");
        case 'n':
            return skip_word("null");
        default:
            return skip_number();
        }
    }

    bool skip_name() noexcept {
        std::string_view raw;
        bool escaped = false;
        skip_space();
        return string(raw, escaped) && expect(':', "expected a ':'");
    }

    bool skip_value() noexcept {
        std::size_t depth = 0; // of what is open
        while (true) {
            skip_space();
            const char c = p_ != end_ ? *p_ : '\0';
            if (c == '{' || c == '[') {
                if (depth == max_depth_) {
                    return fail("nested too deeply");
                }
                ++p_;
                set_object(depth++, c == '{');
                if (!take(c == '{' ? '}' : ']')) {
                    if (c == '{' && !skip_name()) {
                        return false;
                    }
                    continue;
                }
                --depth;
            } else if (!skip_scalar()) {
                return false;
            }
            // Behind a value: the end of what it stands in, or the next one.
            while (true) {
                if (depth == 0) {
                    return true;
                }
                const bool object = is_object(depth - 1);
                if (take(',')) {
                    if (object && !skip_name()) {
                        return false;
                    }
                    break;
                }
                if (!expect(object ? '}' : ']', object ? "expected ',' or '}'" : "expected ',' or ']'")) {
                    return false;
                }
                --depth;
            }
        }
    }

    void set_object(std::size_t level, bool object) noexcept {
        const std::uint64_t bit = std::uint64_t{1} << (level % 64);
        std::uint64_t& word = objects_[level / 64];
        word = object ? word | bit : word & ~bit;
    }
    [[nodiscard]] bool is_object(std::size_t level) const noexcept {
        return (objects_[level / 64] >> (level % 64) & 1U) != 0;
    }

    const char* begin_;
    const char* p_;
    const char* end_;
    std::size_t max_depth_;
    std::string_view fault_;
    std::array<std::uint64_t, deepest_json / 64> objects_{};
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
