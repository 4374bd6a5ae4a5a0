// Processors that belong to an object, and end with it.
#pragma once

#include <gossip/core/processor.hpp>
#include <gossip/dispatch/engine.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace gossip::detail {

/// The subscription of an owned processor, which ends it from inside.
class Membership {
public:
    explicit Membership(const std::shared_ptr<Engine>& engine) noexcept : engine_(engine) {}

    void set(SubscriptionId id) noexcept {
        id_.store(id.value(),
                  std::memory_order_relaxed); // relaxed: a run that comes before it leaves the end to the next
    }
    void end() noexcept {
        const SubscriptionId id{id_.load(std::memory_order_relaxed)}; // relaxed: see above
        if (const std::shared_ptr<Engine> engine = engine_.lock()) {
            engine->unsubscribe(id);
        }
    }

private:
    const std::weak_ptr<Engine> engine_;
    std::atomic<std::uint64_t> id_{0};
};

/// A member function of an object that somebody keeps alive.
template <class Owner, class Member>
struct MemberCall {
    Owner* owner;
    Member member;

    template <class... Args>
    requires std::is_invocable_v<Member, Owner&, Args...>
    decltype(auto) operator()(Args&&... args) const { return std::invoke(member, *owner, std::forward<Args>(args)...); }
};

template <class T, class Owner, class F>
auto own_processor(std::weak_ptr<Owner> owner, Owner& alive, F&& processor, std::shared_ptr<Membership> membership) {
    auto bound = [&] {
        if constexpr (std::is_member_function_pointer_v<std::remove_cvref_t<F>>) {
            return bind_processor<T>(MemberCall<Owner, std::remove_cvref_t<F>>{&alive, processor});
        } else {
            static_cast<void>(alive);
            return bind_processor<T>(std::forward<F>(processor));
        }
    }();
    return [owner = std::move(owner), bound = std::move(bound),
            membership = std::move(membership)](Context& context, const Event& event) mutable -> Result {
        if (const std::shared_ptr<Owner> kept = owner.lock()) {
            return bound(context, event);
        }
        membership->end();
        return {};
    };
}

} // namespace gossip::detail
