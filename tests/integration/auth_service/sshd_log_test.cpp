#include <auth_service/sshd_log.hpp>

#include "support/catch.hpp"

#include <chrono>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace sshd_log_test {

using auth::LineKind;

inline namespace parts {

auth::Line parse_message(std::string_view message) {
    return auth::SshdLog{}.parse("Dec 10 06:55:46 gate sshd[24200]: " + std::string(message));
}

template <class T>
T read_as(const gossip::Topic<T>& topic, std::string_view message) {
    const auth::Line line = parse_message(message);
    INFO(message);
    REQUIRE(line.kind == LineKind::event);
    REQUIRE(line.event->type() == topic.type());
    CHECK(line.event->key() == line.event->data<T>().address);
    return line.event->data<T>();
}

LineKind kind_of(std::string_view line) { return auth::SshdLog{}.parse(line).kind; }

} // namespace parts

TEST_CASE("a failed login has address, user and method, and is keyed by the address", "[auth_service]") {
    const auto failed = read_as(auth::login_failed, "Failed password for root from 192.0.2.1 port 52683 ssh2");

    CHECK(failed.address == "192.0.2.1");
    CHECK(failed.user == "root");
    CHECK(failed.method == "password");
    CHECK(failed.user_exists);
}

TEST_CASE("the user of a failed login may be unknown, empty, or of several words", "[auth_service]") {
    const auto user = [](std::string_view message) {
        const auto failed = read_as(auth::login_failed, message);
        CHECK(failed.address == "192.0.2.1");
        CHECK_FALSE(failed.user_exists);
        return failed.user;
    };

    CHECK(user("Failed password for invalid user guest from 192.0.2.1 port 22 ssh2") == "guest");
    CHECK(user("Failed password for invalid user  from 192.0.2.1 port 22 ssh2").empty());
    CHECK(user("Failed password for invalid user  0101 from 192.0.2.1 port 22 ssh2") == " 0101");
    CHECK(user("Failed none for invalid user big boss from 192.0.2.1 port 22 ssh2") == "big boss");
    CHECK(user("Failed password for invalid user from from 192.0.2.1 port 22 ssh2") == "from");
    CHECK(user("Failed keyboard-interactive/pam for invalid user guest from 192.0.2.1 port 22 ssh2") == "guest");
}

TEST_CASE("a user name cannot pretend to another address", "[auth_service]") {
    const auto failed = read_as(auth::login_failed, "Failed password for invalid user x from 198.51.100.1 port 1 ssh2 "
                                                    "from 192.0.2.1 port 22 ssh2");
    const auto invalid = read_as(auth::user_invalid, "Invalid user x from 198.51.100.1 port 1 from 192.0.2.1 port 22");

    CHECK(failed.address == "192.0.2.1");
    CHECK(failed.user == "x from 198.51.100.1 port 1 ssh2");
    CHECK(invalid.address == "192.0.2.1");
    CHECK(invalid.user == "x from 198.51.100.1 port 1");
}

TEST_CASE("addresses may be IPv6", "[auth_service]") {
    const auto address = [](std::string_view message) { return read_as(auth::login_failed, message).address; };

    CHECK(address("Failed password for root from 2001:db8::5 port 22 ssh2") == "2001:db8::5");
    CHECK(address("Failed password for root from ::ffff:192.0.2.1 port 22 ssh2") == "::ffff:192.0.2.1");
    CHECK(address("Failed password for root from fe80::1%eth0 port 22 ssh2") == "fe80::1%eth0");
    CHECK(read_as(auth::connection_disconnected, "Received disconnect from 2001:db8::: 11: Bye").address ==
          "2001:db8::");
    CHECK(read_as(auth::connection_closed, "Connection closed by 2001:db8::5 [preauth]").address == "2001:db8::5");
}

TEST_CASE("a repeated message is as many events", "[auth_service]") {
    const auth::Line line =
        parse_message("message repeated 5 times: [ Failed password for root from 192.0.2.1 port 42393 ssh2]");

    CHECK(line.kind == LineKind::event);
    CHECK(line.times == 5);
    CHECK(line.event->data<auth::LoginFailed>().user == "root");
}

TEST_CASE("a repetition that makes no sense is a bad line", "[auth_service]") {
    CHECK(parse_message("message repeated 0 times: [ Connection closed by 192.0.2.1]").kind == LineKind::bad);
    CHECK(parse_message("message repeated 1001 times: [ Connection closed by 192.0.2.1]").kind == LineKind::bad);
    CHECK(parse_message("message repeated -1 times: [ Connection closed by 192.0.2.1]").kind == LineKind::bad);
    CHECK(parse_message("message repeated 2 times: Connection closed by 192.0.2.1").kind == LineKind::bad);
    CHECK(parse_message("message repeated 2 times: [ message repeated 2 times: [ x]]").kind == LineKind::bad);
    CHECK(parse_message("message repeated 99999999999999999999 times: [ x]").kind == LineKind::bad);
}

TEST_CASE("a session has the address of the login before it", "[auth_service]") {
    auth::SshdLog log;
    const std::string head = "Dec 10 09:32:20 gate sshd[24680]: ";
    const auto accepted = log.parse(head + "Accepted password for alice from 192.0.2.1 port 49116 ssh2");
    const auto opened = log.parse(head + "pam_unix(sshd:session): session opened for user alice(uid=1000) by (uid=0)");
    const auto closed = log.parse(head + "pam_unix(sshd:session): session closed for user alice");
    const auto unknown = log.parse(head + "pam_unix(sshd:session): session closed for user alice");

    CHECK(accepted.event->type() == auth::login_succeeded.type());
    CHECK(opened.event->type() == auth::session_opened.type());
    CHECK(opened.event->data<auth::Session>().user == "alice");
    CHECK(opened.event->key() == "192.0.2.1");
    CHECK(closed.event->type() == auth::session_closed.type());
    CHECK(closed.event->key() == "192.0.2.1");
    CHECK(unknown.event->type() == auth::session_closed.type());
    CHECK_FALSE(unknown.event->has_key());
}

TEST_CASE("connections end in the words of old and new versions", "[auth_service]") {
    using auth::connection_closed, auth::connection_disconnected, auth::connection_mismatched, auth::connection_silent;

    CHECK(read_as(connection_disconnected, "Received disconnect from 192.0.2.1: 11: Bye Bye [preauth]").detail ==
          "Bye Bye");
    CHECK(read_as(connection_disconnected, "Received disconnect from 192.0.2.1 port 22:11: Bye Bye").detail ==
          "Bye Bye");
    CHECK(read_as(connection_disconnected, "error: Received disconnect from 192.0.2.1: 3: a.B: Auth fail [preauth]")
              .detail == "a.B: Auth fail");
    CHECK(read_as(connection_closed, "Connection closed by 192.0.2.1 port 22 [preauth]").address == "192.0.2.1");
    CHECK(read_as(connection_closed, "Connection closed by invalid user a b 192.0.2.1 port 22 [preauth]").address ==
          "192.0.2.1");
    CHECK(read_as(connection_closed, "Connection reset by authenticating user root 192.0.2.1 port 22").address ==
          "192.0.2.1");
    CHECK(read_as(connection_closed, "Connection closed by UNKNOWN port 65535").address == "UNKNOWN");
    CHECK(read_as(connection_silent, "Did not receive identification string from 192.0.2.1").address == "192.0.2.1");
    CHECK(read_as(connection_mismatched,
                  "reverse mapping checking getaddrinfo for a.example [192.0.2.1] failed - POSSIBLE "
                  "BREAK-IN ATTEMPT!")
              .detail == "a.example");
}

TEST_CASE("messages that no event needs are nothing", "[auth_service]") {
    CHECK(parse_message("pam_unix(sshd:auth): check pass; user unknown").kind == LineKind::nothing);
    CHECK(parse_message("Failed to release session: Interrupted system call").kind == LineKind::nothing);
    CHECK(parse_message("Accepted key RSA SHA256:q0 found at /root/.ssh/authorized_keys:1").kind == LineKind::nothing);
    CHECK(parse_message("").kind == LineKind::nothing);
    CHECK(kind_of("") == LineKind::nothing);
    CHECK(kind_of("\r") == LineKind::nothing);
}

TEST_CASE("lines of other programs are told apart", "[auth_service]") {
    CHECK(kind_of("Dec 10 06:55:46 gate CRON[1]: pam_unix(cron:session): session opened") == LineKind::other_program);
    CHECK(kind_of("Dec 10 06:55:46 gate kernel: [    0.0] Linux") == LineKind::other_program);
    CHECK(kind_of("Dec 10 06:55:46 gate last message repeated 2 times") == LineKind::other_program);
    CHECK(kind_of("Dec 10 06:55:46 gate sshd-session[7]: Connection closed by 192.0.2.1") == LineKind::event);
}

TEST_CASE("what makes no sense is a bad line", "[auth_service]") {
    const std::vector<std::string> lines{
        "no line of a log",
        "Dec",
        "Dec 10",
        "Dec 10 06:55:46",
        "Dec 10 06:55:46 gate",
        "Dec 10 06:55:46 gate ",
        "Dec 32 06:55:46 gate sshd[1]: Connection closed by 192.0.2.1",
        "Dec 10 24:55:46 gate sshd[1]: Connection closed by 192.0.2.1",
        "Dec 10 06:55 gate sshd[1]: Connection closed by 192.0.2.1",
        "Foo 10 06:55:46 gate sshd[1]: Connection closed by 192.0.2.1",
        "2023-13-10T06:55:46Z gate sshd[1]: Connection closed by 192.0.2.1",
        "2023-12-10T06:55:46+1 gate sshd[1]: Connection closed by 192.0.2.1",
        "Dec 10 06:55:46 gate sshd[1]: Failed password for root from",
        "Dec 10 06:55:46 gate sshd[1]: Failed password for root",
        "Dec 10 06:55:46 gate sshd[1]: Failed password for root from 192.0.2.256 port 22 ssh2",
        "Dec 10 06:55:46 gate sshd[1]: Invalid user x",
        "Dec 10 06:55:46 gate sshd[1]: Connection closed by nobody",
        "Dec 10 06:55:46 gate sshd[1]: Received disconnect from 192.0.2.1",
        "Dec 10 06:55:46 gate sshd[1]: pam_unix(sshd:session): session lost",
        std::string("\x7f\0ELF\x01\xff\x1b[2J", 11),
    };

    for (const std::string& line : lines) {
        INFO(line);
        const auth::Line parsed = auth::SshdLog{}.parse(line);
        CHECK(parsed.kind == LineKind::bad);
        CHECK_FALSE(parsed.fault.empty());
    }
}

TEST_CASE("no prefix of a line, and no line with a byte changed, is taken badly", "[auth_service]") {
    const std::vector<std::string> lines{
        "Dec 10 06:55:46 gate sshd[1]: message repeated 5 times: [ Failed password for root from 192.0.2.1 port 2 "
        "ssh2]",
        "2023-12-10T06:55:46.123456+01:00 gate sshd[1]: Received disconnect from 192.0.2.1 port 22:11: Bye [preauth]",
        "Dec 10 06:55:46 gate sshd[1]: reverse mapping checking getaddrinfo for a.example [192.0.2.1] failed.",
        "Dec 10 06:55:46 gate sshd[1]: pam_unix(sshd:session): session opened for user alice(uid=1000) by (uid=0)",
    };

    std::size_t parsed = 0;
    for (const std::string& line : lines) {
        for (std::size_t i = 0; i <= line.size(); ++i) {
            parsed += auth::SshdLog{}.parse(line.substr(0, i)).times > 0 ? 1U : 0U;
            for (const char byte : {'\0', ' ', ':', '9', '\xff'}) {
                std::string changed = line;
                changed[i] = byte;
                parsed += auth::SshdLog{}.parse(changed).times > 0 ? 1U : 0U;
            }
        }
    }

    CHECK(parsed > 2000);
}

TEST_CASE("a year ends between December and January", "[auth_service]") {
    auth::SshdLog log;
    const auto time = [&](std::string_view stamp) {
        const auto line = log.parse(std::string(stamp) + " gate sshd[1]: Connection closed by 192.0.2.1");
        REQUIRE(line.kind == LineKind::event);
        return line.event->data<auth::Connection>().time;
    };
    const auth::Time before = time("Dec 31 23:59:59");
    const auth::Time after = time("Jan  1 00:00:01");
    const auth::Time later = time("Jan 10 00:00:01");

    CHECK(after - before == std::chrono::seconds{2});
    CHECK(later - after == std::chrono::hours{24 * 9});
}

TEST_CASE("times with a year and a zone are understood", "[auth_service]") {
    using namespace std::chrono;
    const auto time = [](std::string_view stamp) {
        const auto line = auth::SshdLog{}.parse(std::string(stamp) + " gate sshd[1]: Connection closed by 192.0.2.1");
        REQUIRE(line.kind == LineKind::event);
        return line.event->data<auth::Connection>().time;
    };
    const auth::Time noon = sys_days(year(2023) / December / 10) + hours(12);

    CHECK(time("2023-12-10T12:00:00Z") == noon);
    CHECK(time("2023-12-10T12:00:00.999999+00:00") == noon);
    CHECK(time("2023-12-10T17:30:00+05:30") == noon);
    CHECK(time("2023-12-10T04:00:00.5-08:00") == noon);
}

TEST_CASE("the end of a line may be any", "[auth_service]") {
    CHECK(parse_message("Failed password for root from 192.0.2.1 port 22 ssh2\r").event->key() == "192.0.2.1");
}

TEST_CASE("a line may have any length and any bytes", "[auth_service]") {
    std::istringstream in("a\n\n" + std::string(1'000'000, 'x') + "\nb\r\n" + std::string("\0\xff", 2));
    std::string line;
    std::vector<std::string> lines;
    while (auth::read_line(in, line)) {
        lines.push_back(line);
    }

    REQUIRE(lines.size() == 5);
    CHECK(lines[0] == "a");
    CHECK(lines[1].empty());
    CHECK(lines[2].size() == auth::longest_line + 1);
    CHECK(kind_of(lines[2]) == LineKind::bad);
    CHECK(lines[3] == "b\r");
    CHECK(lines[4] == std::string("\0\xff", 2));
}

} // namespace sshd_log_test
