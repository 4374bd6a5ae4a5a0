#include <gossip/core/wrapped.hpp>

#include "support/catch.hpp"

#include <functional>
#include <memory>
#include <utility>

namespace wrapped_test {

using namespace gossip::detail;
using gossip::Context;
using gossip::Event;
using gossip::Result;

inline namespace parts {

struct PassOn {
    Result operator()(auto& next, Context& context, const Event& event) const { return next(context, event); }
};

struct LateBound {
    template <class T>
    auto bind() && {
        return gossip::bind_processor<T>([] {});
    }
};
struct Overloaded {
    void operator()(const int&) {}
    void operator()(const double&) {}
};
struct Nothing {};

template <class T, class F>
bool can_fail(F f) {
    using Processor = decltype(gossip::bind_processor<T>(std::move(f)));
    return !never_fails<Processor>;
}

} // namespace parts

TEST_CASE("what may be a processor is told before the type of the data is known", "[wrapped]") {
    const auto generic = [](const auto&) {};

    CHECK(may_be_processor<std::remove_const_t<decltype(generic)>>());
    CHECK(may_be_processor<Overloaded>());
    CHECK(may_be_processor<LateBound>());
    CHECK(may_be_processor<std::function<void(const int&)>>());
    CHECK(may_be_processor<void (*)(const int&)>());
    CHECK(may_be_processor<Wrapped<PassOn, LateBound>>());
    CHECK_FALSE(may_be_processor<Nothing>());
    CHECK_FALSE(may_be_processor<int>());
    CHECK_FALSE(may_be_processor<int*>());
    CHECK_FALSE(may_be_processor<Result>());
}

TEST_CASE("a wrapped processor is bound through const as often as wished, a move-only one once", "[wrapped]") {
    int sum = 0;
    Context context;
    const gossip::Topic<int> number{"test.number"};
    const auto add = [&sum](const int& n) { sum += n; };
    const Wrapped<PassOn, std::remove_const_t<decltype(add)>> wrapped(PassOn{}, add);
    auto move_only = [&sum, n = std::make_unique<int>(100)](const int&) { sum += *n; };
    Wrapped<PassOn, decltype(move_only)> once(PassOn{}, std::move(move_only));

    auto first = wrapped.bind<int>();
    auto second = wrapped.bind<int>();
    auto third = std::move(once).bind<int>();

    CHECK(first(context, Event{number, 1}).ok());
    CHECK(second(context, Event{number, 10}).ok());
    CHECK(third(context, Event{number, 0}).ok());
    CHECK(sum == 111);
}

TEST_CASE("to a policy an exception is a failed result", "[wrapped]") {
    Context context;
    auto bound = gossip::bind_processor<void>(Wrapped<PassOn, void (*)()>(PassOn{}, [] { throw 1; }));

    CHECK_FALSE(bound(context, Event{gossip::EventType::literal("test.tick")}).ok());
}

TEST_CASE("what is noexcept and returns nothing never fails, all else may", "[wrapped]") {
    CHECK_FALSE(can_fail<int>([](const int&) noexcept {}));
    CHECK_FALSE(can_fail<int>([](Context&, const int&) noexcept {}));
    CHECK_FALSE(can_fail<int>([]() noexcept {}));
    CHECK_FALSE(can_fail<void>([](const Event&) noexcept {}));
    CHECK(can_fail<int>([](const int&) {}));
    CHECK(can_fail<int>([](const int&) noexcept -> Result { return {}; }));
    CHECK(can_fail<int>(Wrapped<PassOn, void (*)() noexcept>(PassOn{}, []() noexcept {})));
}

} // namespace wrapped_test
