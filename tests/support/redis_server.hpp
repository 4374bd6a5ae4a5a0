#pragma once

// Real Redis servers of a test's own: started in a folder of their own, killed, started again, and always reaped. They
// listen on a Unix socket there and on a free port of 127.0.0.1, and keep everything in an append-only file written
// through at each command, so that what they have said stays true when they are killed.

#include "support/catch.hpp"
#include "support/eventually.hpp"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <initializer_list>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <hiredis/hiredis.h>

#include <arpa/inet.h>
#include <csignal>
#include <netinet/in.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace gossip_test {

/// A port that was free a moment ago.
inline int free_port() {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(socket, reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
        ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
        throw std::runtime_error("no free port");
    }
    ::close(socket);
    return ntohs(address.sin_port);
}

/// The rest of a forked process, and its end: an exception that it let out would go on in the tests of its parent.
template <class F>
[[noreturn]] void only_do(F f) noexcept {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    f();
    ::_exit(1);
}

class RedisServer {
public:
    /// `more`: further options of redis-server, each followed by its value.
    explicit RedisServer(std::vector<std::string> more = {}) : more_(std::move(more)) {
        std::string pattern = (base() / "gossip-redis-").string() + std::string(6, 'X');
        if (::mkdtemp(pattern.data()) == nullptr) {
            throw std::runtime_error("no temporary folder");
        }
        folder_ = pattern;
        start();
    }
    RedisServer(const RedisServer&) = delete;
    RedisServer& operator=(const RedisServer&) = delete;
    ~RedisServer() {
        kill();
        std::error_code ignored; // a folder that stays behind in /tmp fails no test
        std::filesystem::remove_all(folder_, ignored);
    }

    static bool is_installed() {
        static const bool found = std::system("command -v redis-server >/dev/null 2>&1") == 0;
        return found;
    }

    [[nodiscard]] std::string socket() const { return folder_ / "redis.sock"; }
    [[nodiscard]] std::string url() const { return "unix://" + socket(); }
    [[nodiscard]] std::string tcp_url() const { return "redis://127.0.0.1:" + std::to_string(port_); }
    [[nodiscard]] int port() const { return port_; }

    /// Returns once it answers.
    void start() {
        for (int attempt = 0; attempt < 5; ++attempt) {
            if (port_ == 0 || attempt > 0) {
                port_ = free_port();
            }
            spawn();
            const auto up = [this] {
                const auto answer = ask({"PING"});
                return (answer && !answer->starts_with("LOADING")) || has_ended();
            };
            if (eventually(up) && !has_ended()) {
                return;
            }
            kill();
        }
        throw std::runtime_error("redis-server does not start; see " + (folder_ / "log").string());
    }

    /// As a crash: SIGKILL.
    void kill() {
        if (process_ > 0) {
            ::kill(process_, SIGKILL);
            ::waitpid(process_, nullptr, 0);
            process_ = 0;
        }
    }
    /// Accepts connections and answers nothing, until `thaw`.
    void freeze() { ::kill(process_, SIGSTOP); }
    void thaw() { ::kill(process_, SIGCONT); }

    /// One command on a connection of its own. The answer as a line: arrays in brackets, errors as they come. Throws if
    /// there is none: a server that says nothing has not said 0.
    std::string command(const std::vector<std::string>& arguments) const {
        std::optional<std::string> answer = ask(arguments);
        if (!answer) {
            throw std::runtime_error("redis-server does not answer " + arguments.front());
        }
        return *std::move(answer);
    }
    /// As `command`, without a value if there is no answer.
    [[nodiscard]] std::optional<std::string> ask(const std::vector<std::string>& arguments) const {
        const std::unique_ptr<redisContext, decltype(&redisFree)> context{
            redisConnectUnixWithTimeout(socket().c_str(), timeval{60, 0}), &redisFree};
        if (context == nullptr || context->err != 0) {
            return std::nullopt;
        }
        redisSetTimeout(context.get(), timeval{60, 0});
        std::vector<const char*> texts;
        std::vector<std::size_t> sizes;
        for (const std::string& argument : arguments) {
            texts.push_back(argument.data());
            sizes.push_back(argument.size());
        }
        const std::unique_ptr<void, decltype(&freeReplyObject)> reply{
            redisCommandArgv(context.get(), static_cast<int>(texts.size()), texts.data(), sizes.data()),
            &freeReplyObject};
        if (reply == nullptr) {
            return std::nullopt;
        }
        return text_of(*static_cast<const redisReply*>(reply.get()));
    }
    [[nodiscard]] long number(const std::vector<std::string>& arguments) const {
        return std::atol(command(arguments).c_str());
    }
    /// What is pending there has been untouched for two hours, as far as the server knows: whoever has less patience
    /// may claim it. Tests need no min_idle that would run out for who holds an entry on a busy machine.
    void age_pending(const std::string& stream, const std::string& group) const {
        command({"EVAL",
                 "for _, entry in ipairs(redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 10000)) do "
                 "redis.call('XCLAIM', KEYS[1], ARGV[1], entry[2], 0, entry[1], 'IDLE', 7200000, 'JUSTID') end",
                 "1", stream, group});
    }

    /// Ends the connections whose names end in `part`; how many there were.
    int cut(std::string_view part) const {
        int count = 0;
        const std::string list = command({"CLIENT", "LIST"});
        for (std::size_t at = 0; at < list.size();) {
            const std::size_t end = std::min(list.find('\n', at), list.size());
            const std::string_view line = std::string_view{list}.substr(at, end - at);
            if (line.find(":" + std::string{part} + " ") != std::string_view::npos) {
                const std::string id{line.substr(3, line.find(' ') - 3)};
                count += command({"CLIENT", "KILL", "ID", id}) == "1" ? 1 : 0;
            }
            at = end + 1;
        }
        return count;
    }

private:
    /// In memory where there is room: a busy disk keeps a server that writes through waiting for seconds.
    static std::filesystem::path base() {
        constexpr const char* memory = "/dev/shm";
        std::error_code error;
        const auto space = std::filesystem::space(memory, error);
        const bool fits = !error && space.available >= (std::uintmax_t{1} << 30U) && ::access(memory, W_OK | X_OK) == 0;
        return fits ? std::filesystem::path{memory} : std::filesystem::temp_directory_path();
    }

    static std::string text_of(const redisReply& reply) {
        switch (reply.type) {
        case REDIS_REPLY_INTEGER:
            return std::to_string(reply.integer);
        case REDIS_REPLY_ARRAY: {
            std::string text = "[";
            for (std::size_t i = 0; i < reply.elements; ++i) {
                text += (i == 0 ? "" : ",") + text_of(*reply.element[i]);
            }
            return text + "]";
        }
        case REDIS_REPLY_NIL:
            return "nil";
        default:
            return {reply.str, static_cast<std::size_t>(reply.len)};
        }
    }

    void spawn() {
        std::vector<std::string> words{"redis-server",
                                       "--port",
                                       std::to_string(port_),
                                       "--bind",
                                       "127.0.0.1",
                                       "--unixsocket",
                                       socket(),
                                       "--dir",
                                       folder_.string(),
                                       "--logfile",
                                       "log",
                                       "--save",
                                       "",
                                       "--daemonize",
                                       "no",
                                       "--appendonly",
                                       "yes",
                                       "--appendfsync",
                                       "always"};
        words.insert(words.end(), more_.begin(), more_.end());
        std::vector<char*> arguments;
        for (std::string& word : words) {
            arguments.push_back(word.data());
        }
        arguments.push_back(nullptr);
        process_ = ::fork();
        if (process_ == 0) { // system calls alone from here on
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            ::execvp("redis-server", arguments.data());
            ::_exit(127);
        }
        if (process_ < 0) {
            throw std::runtime_error("cannot fork");
        }
    }

    bool has_ended() {
        if (process_ > 0 && ::waitpid(process_, nullptr, WNOHANG) == process_) {
            process_ = 0;
        }
        return process_ <= 0;
    }

    std::vector<std::string> more_;
    std::filesystem::path folder_;
    int port_ = 0;
    pid_t process_ = 0;
};

} // namespace gossip_test

/// Stands at the start of a test that needs a server.
#define GOSSIP_NEEDS_REDIS()                            \
    if (!::gossip_test::RedisServer::is_installed()) {  \
        WARN("skipped: redis-server is not installed"); \
        return;                                         \
    }
