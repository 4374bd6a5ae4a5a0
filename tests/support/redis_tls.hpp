#pragma once

// Redis servers that speak TLS, with certificates made on the spot by an authority of the tests' own.

#include <gossip/provider/redis/tls.hpp>

#include "support/redis_server.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace gossip_test {

/// Files of PEM in a folder, each `<name>.crt` with its `<name>.key`:
///   authority, stranger   who may vouch for others; two that do not know each other
///   address               for 127.0.0.1
///   named                 for redis.test and *.wild.test
///   subject               for nobody: redis.test is its subject alone, as it was done in the past
///   expired               for 127.0.0.1, long ago
///   client, strange_client  of a client, vouched for by authority and by stranger
class Certificates {
public:
    static const Certificates& get() {
        static const Certificates made;
        return made;
    }
    Certificates(const Certificates&) = delete;
    Certificates& operator=(const Certificates&) = delete;
    ~Certificates() {
        std::error_code ignored; // a folder that stays behind in /tmp fails no test
        std::filesystem::remove_all(folder_, ignored);
    }

    [[nodiscard]] std::string certificate(const std::string& name) const { return folder_ / (name + ".crt"); }
    [[nodiscard]] std::string key(const std::string& name) const { return folder_ / (name + ".key"); }
    [[nodiscard]] std::string folder() const { return folder_.string(); }

private:
    Certificates() {
        std::string pattern = (std::filesystem::temp_directory_path() / "gossip-tls-").string() + std::string(6, 'X');
        if (::mkdtemp(pattern.data()) == nullptr) {
            throw std::runtime_error("no temporary folder");
        }
        folder_ = pattern;
        make_authority("authority");
        make_authority("stranger");
        make("address", "authority", "subjectAltName=IP:127.0.0.1");
        make("named", "authority", "subjectAltName=DNS:redis.test,DNS:*.wild.test");
        make("subject", "authority", "basicConstraints=CA:FALSE", "redis.test");
        make("expired", "authority", "subjectAltName=IP:127.0.0.1", "anybody",
             "-startdate 20200101000000Z -enddate 20200102000000Z");
        make("client", "authority", "extendedKeyUsage=clientAuth");
        make("strange_client", "stranger", "extendedKeyUsage=clientAuth");
        run("rehash " + folder_.string());
    }

    void make_authority(const std::string& name) const {
        run("req -x509 " + new_key(name) + " -subj /CN=" + name + " -days 2 -out " + certificate(name));
    }
    void make(const std::string& name, const std::string& by, const std::string& extension,
              const std::string& subject = "anybody", const std::string& time = "-days 2") const {
        const std::string folder = folder_.string();
        std::ofstream{folder_ / "index", std::ios::app};
        std::ofstream{folder_ / "config"} << "[ca]\ndefault_ca = d\n[d]\ndatabase = " << folder
                                          << "/index\nserial = " << folder << "/serial\nnew_certs_dir = " << folder
                                          << "\nunique_subject = no\ndefault_md = sha256\npolicy = p\n"
                                          << "x509_extensions = e\n[p]\ncommonName = supplied\n[e]\n"
                                          << extension << "\n";
        run("req -new " + new_key(name) + " -subj /CN=" + subject + " -out " + folder + "/request");
        run("ca -batch -notext -create_serial -config " + folder + "/config -in " + folder + "/request -cert " +
            certificate(by) + " -keyfile " + key(by) + " " + time + " -out " + certificate(name));
    }
    [[nodiscard]] std::string new_key(const std::string& name) const {
        return "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout " + key(name);
    }
    void run(const std::string& command) const {
        const std::string log = folder_ / "log";
        if (std::system(("openssl " + command + " >>" + log + " 2>&1 </dev/null").c_str()) != 0) {
            std::ostringstream said;
            said << std::ifstream{log}.rdbuf();
            throw std::runtime_error("openssl " + command + " fails: " + said.str());
        }
    }

    std::filesystem::path folder_;
};

/// A RedisServer that also listens with TLS on a port of 127.0.0.1. `name`: whose certificate it shows.
class TlsServer {
public:
    explicit TlsServer(const std::string& name = "address", const std::string& asks_clients = "no")
        : server_{{"--tls-port", std::to_string(port_), "--tls-cert-file", Certificates::get().certificate(name),
                   "--tls-key-file", Certificates::get().key(name), "--tls-ca-cert-file",
                   Certificates::get().certificate("authority"), "--tls-auth-clients", asks_clients}} {}

    /// Why there can be none; empty if there can.
    static std::string missing() {
        const auto runs = [](const char* command) { return std::system(command) == 0; };
        static const std::string what =
            !gossip::redis::has_tls                    ? "this build has no TLS"
            : !RedisServer::is_installed()             ? "redis-server is not installed"
            : !runs("openssl version >/dev/null 2>&1") ? "the openssl command is not installed"
            : !runs("redis-server --port 0 --tls-port 1 2>&1 </dev/null | grep -q 'No tls-cert-file'")
                ? "redis-server has no TLS"
                : "";
        return what;
    }

    [[nodiscard]] RedisServer& redis() noexcept { return server_; }
    [[nodiscard]] std::string url() const { return "rediss://127.0.0.1:" + std::to_string(port_); }

private:
    int port_ = free_port();
    RedisServer server_;
};

} // namespace gossip_test

/// Stands at the start of a test that needs a server with TLS.
#define GOSSIP_NEEDS_TLS()                                                                   \
    if (const std::string missing = ::gossip_test::TlsServer::missing(); !missing.empty()) { \
        WARN("skipped: " << missing);                                                        \
        return;                                                                              \
    }
