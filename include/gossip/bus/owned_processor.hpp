// Processors that belong to an object, and end with it.
#pragma once

#include <gossip/core/processor.hpp>
#include <gossip/core/wrapped.hpp>
#include <gossip/dispatch/engine.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

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

/// A callable, or a member function, of an object that may go: called only while the object is there, which then stays
/// until the call has returned, on whatever thread that is. A call that comes too late succeeds without doing anything.
template <class Owner, class F>
class OwnedCall {
    static constexpr bool is_member = std::is_member_function_pointer_v<F>;

    /// What a call with these arguments is.
    template <class... Args>
    struct Call : std::bool_constant<std::is_invocable_v<F&, Args...>> {
        static constexpr bool is_nothrow = std::is_nothrow_invocable_v<F&, Args...>;
    };
    template <class... Args>
    requires is_member struct Call<Args...> : std::bool_constant<std::is_invocable_v<F&, Owner&, Args...>> {
        static constexpr bool is_nothrow = std::is_nothrow_invocable_v<F&, Owner&, Args...>;
    };

public:
    OwnedCall(std::weak_ptr<Owner> owner, F f) : owner_(std::move(owner)), f_(std::move(f)) {}

    template <class... Args>
    requires Call<Args...>::value auto operator()(Args&&... args) noexcept(Call<Args...>::is_nothrow) {
        const std::shared_ptr<Owner> kept = owner_.lock();
        const auto call = [&]() -> decltype(auto) {
            if constexpr (is_member) {
                return std::invoke(f_, *kept, std::forward<Args>(args)...);
            } else {
                return std::invoke(f_, std::forward<Args>(args)...);
            }
        };
        using Answer = std::remove_cvref_t<decltype(call())>;
        if constexpr (std::is_void_v<Answer>) {
            if (kept != nullptr) {
                call();
            }
        } else if constexpr (std::is_convertible_v<Answer, Result>) {
            return kept != nullptr ? Result(call()) : Result{};
        } else {
            return kept != nullptr ? call() : Answer{};
        }
    }

private:
    std::weak_ptr<Owner> owner_;
    F f_;
};

template <class T, class Owner, class F>
auto own_processor(std::weak_ptr<Owner> owner, F&& processor, std::shared_ptr<Membership> membership) {
    // What runs later than the call below, such as a batch, or on another thread, sees to its owner by itself.
    auto bound = bind_processor<T>(replace_callable(std::decay_t<F>(std::forward<F>(processor)), [&](auto callable) {
        return OwnedCall<Owner, decltype(callable)>(owner, std::move(callable));
    }));
    return [owner = std::move(owner), bound = std::move(bound),
            membership = std::move(membership)](Context& context, const Event& event) mutable -> Result {
        if (const std::shared_ptr<Owner> kept = owner.lock()) {
            return bound(context, event);
        }
        membership->end();
        return {};
    };
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
