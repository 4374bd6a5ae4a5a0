// TLS without sockets: bytes of the wire in, bytes of ours out, and the other way round. Whoever has the socket stays
// master of waiting, deadlines, interruption and SIGPIPE, none of which hiredis' own TLS leaves to its caller. With the
// wire in memory OpenSSL never waits to write, and `decrypt` leaves nothing readable inside. Built with OpenSSL where
// GOSSIP_HAS_TLS is defined.
#pragma once

#include <gossip/core/errors.hpp>
#include <gossip/core/require.hpp>
#include <gossip/provider/redis/options.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#if defined(GOSSIP_HAS_TLS)
#include <new>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <arpa/inet.h>
#include <sys/stat.h>
#endif

namespace gossip::GOSSIP_VERSION_NAMESPACE::redis {

#if defined(GOSSIP_HAS_TLS)
inline constexpr bool has_tls = true;
#else
inline constexpr bool has_tls = false;
#endif

namespace detail {

/// One connection's TLS, as its client.
///
/// Threads: one at a time.
/// Stalls:  never.
/// Errors:  after `failed` nothing more can be done with it; `problem` says why. May throw std::bad_alloc.
class Tls {
public:
    enum class State : std::uint8_t { done, more_needed, closed, failed };

    Tls() = default;
    Tls(const Tls&) = delete;
    Tls& operator=(const Tls&) = delete;
    virtual ~Tls() = default;

    /// Bytes of the wire that have arrived.
    virtual bool feed(std::string_view wire) = 0;
    /// Goes on with the handshake until it is done or wants more of the wire; what is to be sent is appended.
    virtual State shake_hands(std::string& wire) = 0;
    virtual bool encrypt(std::string_view plain, std::string& wire) = 0;
    /// Writes all that can be read of what has arrived to `plain`, which grows at need, and how much it is to `size`.
    virtual State decrypt(std::string& plain, std::size_t& size, std::string& wire) = 0;
    [[nodiscard]] virtual const std::string& problem() const noexcept = 0;
};

#if defined(GOSSIP_HAS_TLS)

struct FreeTls {
    void operator()(SSL_CTX* context) const noexcept { SSL_CTX_free(context); }
    void operator()(SSL* session) const noexcept { SSL_free(session); }
};
using TlsContext = std::unique_ptr<SSL_CTX, FreeTls>;

/// Whom we trust and what we show. Throws the ValidationError of the first file that is of no use.
[[nodiscard]] inline TlsContext make_tls_context(const TlsOptions& options) {
    using gossip::detail::require;
    ERR_clear_error();
    TlsContext context{SSL_CTX_new(TLS_client_method())};
    if (context == nullptr || SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION) != 1) {
        GOSSIP_THROW(std::bad_alloc{});
    }
    SSL_CTX* const made = context.get();
    SSL_CTX_set_options(made, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_session_cache_mode(made, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_default_passwd_cb(made, [](char*, int, int, void*) { return 0; }); // not to ask at the terminal
    SSL_CTX_set_verify(made, options.verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
    const auto text = [](const std::string& path) { return path.empty() ? nullptr : path.c_str(); };
    if (!options.ca_file.empty()) {
        require(SSL_CTX_load_verify_locations(made, text(options.ca_file), nullptr) == 1, "tls.ca_file",
                std::string_view{options.ca_file}, "must be a readable file of PEM certificates");
    }
    if (!options.ca_directory.empty()) {
        struct stat about {};
        require(::stat(text(options.ca_directory), &about) == 0 && S_ISDIR(about.st_mode) &&
                    SSL_CTX_load_verify_locations(made, nullptr, text(options.ca_directory)) == 1,
                "tls.ca_directory", std::string_view{options.ca_directory}, "must be a directory");
    }
    if (options.ca_file.empty() && options.ca_directory.empty() && options.verify) {
        SSL_CTX_set_default_verify_paths(made); // where there are none, no server is trusted
    }
    if (!options.certificate.empty()) {
        require(SSL_CTX_use_certificate_chain_file(made, text(options.certificate)) == 1, "tls.certificate",
                std::string_view{options.certificate}, "must be a readable file of PEM certificates, ours first");
        require(SSL_CTX_use_PrivateKey_file(made, text(options.key), SSL_FILETYPE_PEM) == 1, "tls.key",
                std::string_view{options.key},
                "must be a readable PEM file of the certificate's private key, without a passphrase");
    }
    ERR_clear_error();
    return context;
}

/// A client's session over memory.
class OpenSslTls final : public Tls {
public:
    /// `host`: whom the certificate has to name, and who is asked for (SNI), unless it is an address.
    OpenSslTls(const TlsOptions& options, const std::string& host)
        : context_(make_tls_context(options)), session_(SSL_new(context_.get())), host_(host) {
        if (!host_.empty() && host_.back() == '.') {
            host_.pop_back(); // as a name server wants it; certificates do without
        }
        input_ = BIO_new(BIO_s_mem());
        output_ = BIO_new(BIO_s_mem());
        if (session_ == nullptr || input_ == nullptr || output_ == nullptr) {
            BIO_free(input_);
            BIO_free(output_);
            GOSSIP_THROW(std::bad_alloc{});
        }
        SSL_set_bio(session_.get(), input_, output_); // the session frees them
        SSL_set_connect_state(session_.get());
        ask_for_host();
    }

    bool feed(std::string_view wire) override {
        const auto size = static_cast<int>(wire.size()); // of one read from a socket
        if (size != 0 && BIO_write(input_, wire.data(), size) != size) {
            problem_ = "TLS: out of memory";
        }
        return problem_.empty();
    }

    State shake_hands(std::string& wire) override {
        ERR_clear_error();
        const int code = SSL_do_handshake(session_.get());
        const State state = code == 1 ? State::done : state_after(code);
        take_output(wire);
        return state;
    }

    bool encrypt(std::string_view plain, std::string& wire) override {
        bool went = problem_.empty();
        while (went && !plain.empty()) {
            ERR_clear_error();
            std::size_t taken = 0;
            const int code = SSL_write_ex(session_.get(), plain.data(), plain.size(), &taken);
            went = code == 1;
            if (went) {
                plain.remove_prefix(taken);
            } else {
                static_cast<void>(state_after(code));
            }
        }
        take_output(wire);
        return went;
    }

    State decrypt(std::string& plain, std::size_t& size, std::string& wire) override {
        State state = problem_.empty() ? State::done : State::failed;
        for (size = 0; state == State::done;) {
            if (plain.size() - size < most_of_a_record) {
                plain.resize(plain.size() + room);
            }
            ERR_clear_error();
            std::size_t got = 0;
            const int code = SSL_read_ex(session_.get(), plain.data() + size, plain.size() - size, &got);
            size += got;
            state = code == 1 ? State::done : state_after(code);
        }
        take_output(wire);
        return state;
    }

    [[nodiscard]] const std::string& problem() const noexcept override { return problem_; }

private:
    static constexpr std::size_t most_of_a_record = 16'384;
    static constexpr std::size_t room = 81'920;

    void ask_for_host() {
        X509_VERIFY_PARAM* const rules = SSL_get0_param(session_.get());
        X509_VERIFY_PARAM_set_hostflags(rules,
                                        X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
        unsigned char bytes[16];
        const bool is_address =
            inet_pton(AF_INET, host_.c_str(), bytes) == 1 || inet_pton(AF_INET6, host_.c_str(), bytes) == 1;
        const bool is_set = !host_.empty() && (is_address ? X509_VERIFY_PARAM_set1_ip_asc(rules, host_.c_str()) == 1
                                                          : SSL_set1_host(session_.get(), host_.c_str()) == 1);
        if (!is_set) { // else any name would do
            GOSSIP_THROW(FatalError{"TLS: no certificate can be for '" + host_ + "'"});
        }
        if (!is_address) {
            SSL_set_tlsext_host_name(session_.get(), host_.c_str());
        }
    }

    void take_output(std::string& wire) {
        const std::size_t waiting = BIO_ctrl_pending(output_);
        const std::size_t before = wire.size();
        wire.resize(before + waiting);
        if (waiting > 0 && BIO_read(output_, wire.data() + before, static_cast<int>(waiting)) < 0) {
            wire.resize(before);
        }
    }

    State state_after(int code) {
        switch (SSL_get_error(session_.get(), code)) {
        case SSL_ERROR_WANT_READ:
            return State::more_needed;
        case SSL_ERROR_ZERO_RETURN:
            return State::closed;
        default:
            note_problem();
            return State::failed;
        }
    }

    void note_problem() {
        const long verdict = SSL_get_verify_result(session_.get());
        const unsigned long error = ERR_get_error();
        const char* const reason = ERR_reason_error_string(error);
        if (verdict != X509_V_OK && SSL_get_verify_mode(session_.get()) != SSL_VERIFY_NONE) {
            problem_ = "the server's certificate is refused: ";
            problem_ += X509_verify_cert_error_string(verdict);
            problem_ += " (it was to be for " + host_ + ")";
        } else {
            problem_ = "TLS: ";
            problem_ += reason != nullptr ? reason : "broken off";
        }
        ERR_clear_error();
    }

    TlsContext context_;
    std::unique_ptr<SSL, FreeTls> session_;
    BIO* input_ = nullptr;
    BIO* output_ = nullptr;
    std::string host_;
    std::string problem_;
};

/// Throws the ValidationError of a file that is of no use, and FatalError if no certificate can be for the host.
[[nodiscard]] inline std::unique_ptr<Tls> make_tls(const TlsOptions& options, const std::string& host) {
    return std::make_unique<OpenSslTls>(options, options.server_name.empty() ? host : options.server_name);
}

#else

[[nodiscard]] inline std::unique_ptr<Tls> make_tls(const TlsOptions& /*options*/, const std::string& /*host*/) {
    GOSSIP_THROW(FatalError{"this build has no TLS"});
}

#endif

/// Throws the ValidationError of the first option that breaks its rule; files are opened to see whether they will do.
inline void check(const TlsOptions& options, bool is_used, const std::string& host) {
    using gossip::detail::require;
    const auto check_text = [is_used](std::string_view field, std::string_view value) {
        require(is_used || value.empty(), field, value, "needs a url that begins with rediss://");
        for (const char c : value) {
            require(static_cast<unsigned char>(c) >= 0x20 && c != 0x7F, field, value,
                    "must not contain control characters");
        }
    };
    check_text("tls.ca_file", options.ca_file);
    check_text("tls.ca_directory", options.ca_directory);
    check_text("tls.certificate", options.certificate);
    check_text("tls.key", options.key);
    check_text("tls.server_name", options.server_name);
    require(options.verify || is_used, "tls.verify", options.verify, "needs a url that begins with rediss://");
    require(options.verify || (options.ca_file.empty() && options.ca_directory.empty()), "tls.verify", options.verify,
            "must be true where tls.ca_file or tls.ca_directory says whom to trust");
    require(options.certificate.empty() == options.key.empty(), "tls.key", std::string_view{options.key},
            "must be given with tls.certificate, and not without");
    require(options.server_name.size() <= 253, "tls.server_name", std::string_view{options.server_name},
            "must have at most 253 bytes");
    if (is_used) {
        static_cast<void>(make_tls(options, host));
    }
}

} // namespace detail
} // namespace gossip::GOSSIP_VERSION_NAMESPACE::redis
