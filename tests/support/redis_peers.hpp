#pragma once

// Peers that are not Redis, or not all of it: one that says nothing, and one that stands between and cuts or
// mangles.

#include "support/redis_server.hpp"
#include "support/seed.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace gossip_test {

inline int listen_on_loopback(int port) {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int yes = 1;
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    if (::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 || ::listen(socket, 64) != 0) {
        throw std::runtime_error("cannot listen");
    }
    return socket;
}

/// Accepts every connection and answers to each piece that it reads with `answer`; with none it never says a word.
class OddServer {
public:
    explicit OddServer(std::string answer = "") : answer_(std::move(answer)), thread_([this] { run(); }) {}
    OddServer(const OddServer&) = delete;
    OddServer& operator=(const OddServer&) = delete;
    ~OddServer() {
        stop_ = true;
        thread_.join();
        for (const int peer : peers_) {
            ::close(peer);
        }
        ::close(socket_);
    }
    [[nodiscard]] std::string url() const { return "redis://127.0.0.1:" + std::to_string(port_); }

private:
    void run() {
        while (!stop_) {
            std::vector<pollfd> polled{{socket_, POLLIN, 0}};
            for (const int peer : peers_) {
                polled.push_back({peer, POLLIN, 0});
            }
            ::poll(polled.data(), polled.size(), 10);
            if (polled[0].revents != 0) {
                peers_.push_back(::accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC));
            }
            for (std::size_t i = 1; i < polled.size(); ++i) {
                std::array<char, 4096> bytes{};
                if (polled[i].revents != 0 && ::recv(polled[i].fd, bytes.data(), bytes.size(), MSG_DONTWAIT) <= 0) {
                    ::close(polled[i].fd);
                    std::erase(peers_, polled[i].fd);
                } else if (polled[i].revents != 0 && !answer_.empty()) {
                    ::send(polled[i].fd, answer_.data(), answer_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
                }
            }
        }
    }

    std::string answer_;
    int port_ = free_port();
    int socket_ = listen_on_loopback(port_);
    std::vector<int> peers_;
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

/// Stands between clients and a server. Each connection is cut after so many bytes of the server's answers as `cut`
/// says, wherever that is in them; 0: never. Of their bytes one in so many as `mangle` says has its highest bit
/// flipped, which neither the protocol nor a text in ASCII survives unnoticed; 0: none.
class CuttingProxy {
public:
    explicit CuttingProxy(const RedisServer& server) : path_(server.socket()), thread_([this] { run(); }) {}
    CuttingProxy(const CuttingProxy&) = delete;
    CuttingProxy& operator=(const CuttingProxy&) = delete;
    ~CuttingProxy() {
        stop_ = true;
        thread_.join();
        ::close(socket_);
    }
    [[nodiscard]] std::string url() const { return "redis://127.0.0.1:" + std::to_string(port_); }
    void cut_after(std::size_t bytes) { cut_ = bytes; }
    /// As if the cable had been pulled: nothing goes through the connections of this moment any more, and neither end
    /// is told. New ones are whole.
    void forget() { forgets_ = true; }
    /// Keeps back the answers on connections that read streams, until told otherwise.
    void keep_reads(bool keeps) { keeps_reads_ = keeps; }
    /// As if the server were one before 6.2, which does not know XPENDING's IDLE.
    void knows_no_idle() { knows_idle_ = false; }
    /// How often it was asked for it.
    [[nodiscard]] int unknown() const { return unknown_; }
    [[nodiscard]] int cuts() const { return cuts_; }
    void mangle(std::uint64_t one_in) { one_in_ = one_in; }
    [[nodiscard]] int mangled() const { return mangled_; }

private:
    struct Pair {
        int client;
        int server;
        std::size_t answered = 0;
        bool is_forgotten = false;
        bool reads = false;
    };

    void run() {
        std::list<Pair> pairs;
        while (!stop_) {
            std::vector<pollfd> polled{{socket_, POLLIN, 0}};
            const bool forgets = forgets_.exchange(false);
            for (Pair& pair : pairs) {
                pair.is_forgotten |= forgets;
                polled.push_back({pair.is_forgotten ? -1 : pair.client, POLLIN, 0});
                polled.push_back({pair.is_forgotten || is_kept(pair) ? -1 : pair.server, POLLIN, 0});
            }
            ::poll(polled.data(), polled.size(), 10);
            std::size_t i = 1;
            for (auto pair = pairs.begin(); pair != pairs.end(); i += 2) {
                const bool stands =
                    (polled[i].revents == 0 || forward(pair->client, pair->server, *pair, false)) &&
                    (polled[i + 1].revents == 0 || is_kept(*pair) || forward(pair->server, pair->client, *pair, true));
                if (!stands) {
                    ::close(pair->client);
                    ::close(pair->server);
                }
                pair = stands ? std::next(pair) : pairs.erase(pair);
            }
            if (polled[0].revents != 0) {
                accept_into(pairs);
            }
        }
        for (const Pair& pair : pairs) {
            ::close(pair.client);
            ::close(pair.server);
        }
    }

    void accept_into(std::list<Pair>& pairs) {
        const int client = ::accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC);
        const int server = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, path_.data(), path_.size());
        if (::connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
            pairs.push_back({client, server});
        } else {
            ::close(client);
            ::close(server);
        }
    }

    [[nodiscard]] bool is_kept(const Pair& pair) const { return pair.reads && keeps_reads_; }

    bool forward(int from, int to, Pair& pair, bool answers) {
        std::array<char, 16'384> bytes;
        const ssize_t got = ::recv(from, bytes.data(), bytes.size(), 0);
        if (got <= 0) {
            return false;
        }
        auto size = static_cast<std::size_t>(got);
        const std::size_t cut = cut_;
        pair.reads |= !answers && std::string_view{bytes.data(), size}.find("XREADGROUP") != std::string_view::npos;
        if (!answers && !knows_idle_) {
            const std::string_view sent{bytes.data(), size};
            const std::size_t asks = sent.find("XPENDING");
            const std::size_t idle = asks == std::string_view::npos ? asks : sent.find("\r\nIDLE\r\n", asks);
            if (idle != std::string_view::npos) {
                bytes[idle + 2] = 'X';
                ++unknown_;
            }
        }
        const bool cuts = answers && cut != 0 && pair.answered + size >= cut;
        if (cuts) {
            size = cut > pair.answered ? cut - pair.answered : 0;
            ++cuts_;
        }
        const std::uint64_t one_in = one_in_;
        for (std::size_t i = 0; answers && one_in != 0 && i < size; ++i) {
            if (random_.one_in(one_in)) {
                bytes[i] = static_cast<char>(static_cast<unsigned char>(bytes[i]) ^ 0x80U);
                ++mangled_;
            }
        }
        for (std::size_t sent = 0; sent < size;) {
            const ssize_t more = ::send(to, bytes.data() + sent, size - sent, MSG_NOSIGNAL);
            if (more <= 0) {
                return false;
            }
            sent += static_cast<std::size_t>(more);
        }
        if (answers) {
            pair.answered += size;
        }
        return !cuts;
    }

    std::string path_;
    int port_ = free_port();
    int socket_ = listen_on_loopback(port_);
    std::atomic<std::size_t> cut_{0};
    std::atomic<int> cuts_{0};
    std::atomic<bool> knows_idle_{true};
    std::atomic<int> unknown_{0};
    std::atomic<std::uint64_t> one_in_{0};
    std::atomic<int> mangled_{0};
    Random random_{0}; // of its thread
    std::atomic<bool> forgets_{false};
    std::atomic<bool> keeps_reads_{false};
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

} // namespace gossip_test
