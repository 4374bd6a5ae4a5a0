// Each service of the example in a process of its own, over a real server.
#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/redis_server.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <csignal>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace processes_test {

inline namespace parts {

using gossip_test::eventually;
using gossip_test::RedisServer;

/// A running service, and what it has printed so far.
class Service {
public:
    Service(const RedisServer& server, std::string name) {
        std::vector<std::string> words{GOSSIP_MICROSERVICES, "--redis", server.tcp_url(), "--service", std::move(name)};
        std::vector<char*> arguments;
        for (std::string& word : words) {
            arguments.push_back(word.data());
        }
        arguments.push_back(nullptr);
        int ends[2];
        REQUIRE(::pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
        process_ = ::fork();
        if (process_ == 0) { // system calls alone from here on
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            ::dup2(ends[1], STDOUT_FILENO);
            ::execv(arguments[0], arguments.data());
            ::_exit(127);
        }
        ::close(ends[1]);
        output_ = ends[0];
        REQUIRE(process_ > 0);
    }
    Service(const Service&) = delete;
    Service& operator=(const Service&) = delete;
    ~Service() {
        if (process_ > 0) {
            ::kill(process_, SIGKILL);
            ::waitpid(process_, nullptr, 0);
        }
        ::close(output_);
    }

    void signal(int number) const { ::kill(process_, number); }
    /// Its exit status, or what ended it, negative.
    int wait() {
        int status = 0;
        REQUIRE(eventually([&] { return ::waitpid(process_, &status, WNOHANG) == process_; }));
        process_ = 0;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    }
    /// Whether it prints so many lines, and no more.
    bool prints(std::size_t count) {
        const bool all = eventually([&] { return lines().size() >= count; });
        UNSCOPED_INFO("it has printed:\n" << text_);
        return all && lines().size() == count;
    }
    /// How often it has printed the line.
    std::ptrdiff_t printed(std::string_view line) {
        const std::vector<std::string> all = lines();
        return std::count(all.begin(), all.end(), line);
    }
    std::vector<std::string> lines() {
        char bytes[4096];
        for (ssize_t got = 0; (got = ::read(output_, bytes, sizeof bytes)) > 0;) {
            text_.append(bytes, static_cast<std::size_t>(got));
        }
        std::vector<std::string> all;
        std::size_t from = 0;
        for (std::size_t end = 0; (end = text_.find('\n', from)) != std::string::npos; from = end + 1) {
            all.push_back(text_.substr(from, end - from));
        }
        return all;
    }

private:
    pid_t process_ = 0;
    int output_ = -1;
    std::string text_;
};

/// Asks it to end; it does so well, and says this last.
void end(Service& service, std::string_view last) {
    service.signal(SIGTERM);
    CHECK(service.wait() == 0);
    CHECK(service.lines().back() == last);
}

} // namespace parts

TEST_CASE("services in processes of their own get what they listen to, also from before they were started",
          "[processes]") {
    GOSSIP_NEEDS_REDIS()
    const gossip_test::Bounded bounded("services in processes");
    const RedisServer server;
    Service orders(server, "orders"); // nobody listens yet
    CHECK(orders.wait() == 0);
    CHECK(orders.lines().back() == "orders: sent 3, handled 0, failed 0");

    Service audit(server, "audit");
    Service inventory(server, "inventory");
    REQUIRE(audit.prints(6));
    CHECK(audit.printed("req-1: orders.placed o-1") == 1);
    CHECK(audit.printed("req-1: inventory.reserved o-1") == 1);
    CHECK(audit.printed("req-2: inventory.missing o-2, no teapot left") == 1);

    Service billing(server, "billing");
    Service shipping(server, "shipping");
    REQUIRE(audit.prints(10));
    CHECK(audit.printed("req-3: billing.paid o-3") == 1);
    CHECK(audit.printed("req-1: shipping.shipped o-1") == 1);
    CHECK(audit.printed("req-3: shipping.shipped o-3") == 1);

    end(inventory, "inventory: sent 3, handled 3, failed 0");
    end(billing, "billing: sent 2, handled 2, failed 0");
    end(shipping, "shipping: sent 2, handled 2, failed 0");
    end(audit, "audit: sent 0, handled 10, failed 0");
}

TEST_CASE("a service that is killed goes on where it was when it is started again", "[processes]") {
    GOSSIP_NEEDS_REDIS()
    const gossip_test::Bounded bounded("a killed service");
    const RedisServer server;
    Service audit(server, "audit");
    Service billing(server, "billing");
    Service shipping(server, "shipping");
    {
        Service inventory(server, "inventory");
        CHECK(Service(server, "orders").wait() == 0);
        REQUIRE(audit.prints(10));
        inventory.signal(SIGKILL);
        CHECK(inventory.wait() == -SIGKILL);
    }
    CHECK(Service(server, "orders").wait() == 0);
    Service inventory(server, "inventory"); // with full shelves
    REQUIRE(audit.prints(20));
    CHECK(audit.printed("req-1: shipping.shipped o-1") == 2);
    CHECK(audit.printed("req-3: shipping.shipped o-3") == 2);
    CHECK(audit.printed("req-2: inventory.missing o-2, no teapot left") == 2);
    end(inventory, "inventory: sent 3, handled 3, failed 0");
    end(billing, "billing: sent 4, handled 4, failed 0");
    end(shipping, "shipping: sent 4, handled 4, failed 0");
    end(audit, "audit: sent 0, handled 20, failed 0");
}

TEST_CASE("a service without a server says so and ends", "[processes]") {
    GOSSIP_NEEDS_REDIS()
    RedisServer server;
    server.kill();
    Service audit(server, "audit");
    CHECK(audit.wait() == 1);
}

} // namespace processes_test
