// What an sshd log tells: one type of data and one topic for each kind of event.
#pragma once

#include <gossip/gossip.hpp>

#include <chrono>
#include <cstddef>
#include <string>

namespace auth {

/// The log's own time. Syslog's traditional format has no year: only differences mean something.
using Time = std::chrono::sys_seconds;

struct LoginFailed {
    Time time;
    std::string address;
    std::string user;
    std::string method; // password, publickey, none, ...
    bool user_exists;
};
struct LoginSucceeded {
    Time time;
    std::string address;
    std::string user;
    std::string method;
};
struct UserInvalid {
    Time time;
    std::string address;
    std::string user;
};
struct Session {
    Time time;
    std::string address; // empty if the log does not show where the session came from
    std::string user;
};
struct Connection {
    Time time;
    std::string address;
    std::string detail; // the reason of a disconnect, the name that did not match
};
struct Alert {
    Time time;
    std::string address;
    const char* what;
    std::size_t failures;
};

inline constexpr gossip::Topic<LoginFailed> login_failed{"auth.login.failed"};
inline constexpr gossip::Topic<LoginSucceeded> login_succeeded{"auth.login.succeeded"};
inline constexpr gossip::Topic<UserInvalid> user_invalid{"auth.user.invalid"};
inline constexpr gossip::Topic<Session> session_opened{"auth.session.opened"};
inline constexpr gossip::Topic<Session> session_closed{"auth.session.closed"};
inline constexpr gossip::Topic<Connection> connection_closed{"auth.connection.closed"};
inline constexpr gossip::Topic<Connection> connection_disconnected{"auth.connection.disconnected"};
inline constexpr gossip::Topic<Connection> connection_silent{"auth.connection.silent"}; // never said who it was
inline constexpr gossip::Topic<Connection> connection_mismatched{
    "auth.connection.mismatched"}; // name and address differ

inline constexpr gossip::Topic<Alert> brute_force{"auth.alert.brute_force"};
inline constexpr gossip::Topic<Alert> root_attempts{"auth.alert.root_attempts"};

} // namespace auth
