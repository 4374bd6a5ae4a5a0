#pragma once

#include <gossip/core/errors.hpp>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

namespace gossip::GOSSIP_VERSION_NAMESPACE::redis {

namespace detail {

[[nodiscard]] inline std::string_view first_word(std::string_view line) noexcept {
    return line.substr(0, line.find(' '));
}

/// The server's state, not the command, is the reason; it passes.
[[nodiscard]] inline bool is_passing(std::string_view line) noexcept {
    constexpr std::array<std::string_view, 9> words{"LOADING",  "READONLY",    "OOM",  "MISCONF",   "MASTERDOWN",
                                                    "TRYAGAIN", "CLUSTERDOWN", "BUSY", "NOREPLICAS"};
    return std::find(words.begin(), words.end(), first_word(line)) != words.end();
}

/// Who we are, or what we may do, is the reason; the same command fails again.
[[nodiscard]] inline bool is_login_refused(std::string_view line) noexcept {
    const std::string_view word = first_word(line);
    return word == "NOAUTH" || word == "WRONGPASS" || word == "DENIED" || word == "NOPERM" ||
           line.find("invalid password") != std::string_view::npos;
}

} // namespace detail

/// What an error line of the server means: a RetryableError where its state will pass (LOADING, READONLY, OOM, MISCONF,
/// MASTERDOWN, TRYAGAIN, ...), a FatalError otherwise (WRONGPASS, NOPERM, WRONGTYPE, ERR, ...).
[[nodiscard]] inline Error server_error(std::string_view line) noexcept {
    if (detail::is_passing(line)) {
        return RetryableError{line};
    }
    return FatalError{line};
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::redis
