#include <gossip/middleware/trace_context.hpp>

#include "support/catch.hpp"
#include "support/processing.hpp"

#include <optional>
#include <string>

namespace trace_context_test {

namespace middleware = gossip::middleware;
using namespace std::chrono_literals;
using gossip::Context;
using gossip::Event;
using gossip::Result;
using support::bind;
using support::number;
using support::Rig;
using support::Script;

using middleware::TraceContext;

TEST_CASE("a traceparent is read and written as the standard says", "[trace_context]") {
    const std::string text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    const auto parsed = TraceContext::parse(text);

    REQUIRE(parsed);
    CHECK(parsed->trace_text() == "0af7651916cd43dd8448eb211c80319c");
    CHECK(parsed->span_text() == "b7ad6b7169203331");
    CHECK(parsed->sampled());
    CHECK(parsed->text() == text);
    CHECK_FALSE(TraceContext::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-fe")->sampled());
}

TEST_CASE("later versions are read as far as they are known", "[trace_context]") {
    CHECK(TraceContext::parse("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-comes"));
    CHECK_FALSE(TraceContext::parse("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01what"));
    CHECK_FALSE(TraceContext::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what"));
}

TEST_CASE("what is no traceparent is nothing", "[trace_context]") {
    for (const char* text : {"", "00", "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                             "00-00000000000000000000000000000000-b7ad6b7169203331-01",
                             "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
                             "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
                             "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
                             "00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01",
                             "00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01"}) {
        INFO(text);
        CHECK_FALSE(TraceContext::parse(text));
    }
}

TEST_CASE("flags without a meaning are not passed on", "[trace_context]") {
    const auto parsed = TraceContext::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff");

    REQUIRE(parsed);
    CHECK(parsed->sampled());
    CHECK(parsed->child().text().substr(52) == "-03");
}

TEST_CASE("a child stays in its trace, a root begins one", "[trace_context]") {
    const TraceContext root = TraceContext::root();
    const TraceContext child = root.child();

    CHECK(child.trace_text() == root.trace_text());
    CHECK(child.span != root.span);
    CHECK(TraceContext::root().trace_text() != root.trace_text());
    CHECK(TraceContext::parse(child.text()) == child);
}

} // namespace trace_context_test
