#pragma once

#include <gossip/core/context.hpp>
#include <gossip/core/event.hpp>
#include <gossip/core/guard.hpp>
#include <gossip/core/processor.hpp>
#include <gossip/core/ref_count.hpp>
#include <gossip/core/shared_count.hpp>
#include <gossip/dispatch/subscription.hpp>
#include <gossip/dispatch/tenure.hpp>
#include <gossip/platform.hpp>

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <type_traits>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

class Collector;

/// A callable whose type is forgotten: the one place where processors are.
class Processor {
public:
    using Invoke = Result (*)(void*, Context&, const Event&) noexcept;
    using InvokeData = Result (*)(void*, const void*) noexcept;

    template <event_processor P>
    explicit Processor(P processor)
        : invoke_([](void* self, Context& context, const Event& event) noexcept -> Result {
              return guard([&] { return (*static_cast<P*>(self))(context, event); });
          }),
          state_(new P(std::move(processor))),
          destroy_([](void* self) noexcept { delete static_cast<P*>(self); }),
          invoke_data_(data_invoker<P>()),
          data_ops_(data_ops_of<P>()) {}
    Processor(Processor&& other) noexcept
        : invoke_(other.invoke_),
          state_(std::exchange(other.state_, nullptr)),
          destroy_(other.destroy_),
          invoke_data_(other.invoke_data_),
          data_ops_(other.data_ops_) {}
    Processor& operator=(Processor&&) = delete;
    ~Processor() { reset(); }

    [[nodiscard]] Invoke invoke() const noexcept { return invoke_; }
    [[nodiscard]] void* state() const noexcept { return state_; }
    /// The short way for callables that see nothing of an event but its data; null for others.
    [[nodiscard]] InvokeData invoke_data() const noexcept { return invoke_data_; }
    /// The type of that data; null: any.
    [[nodiscard]] const PayloadOps* data_ops() const noexcept { return data_ops_; }
    void reset() noexcept {
        if (void* const state = std::exchange(state_, nullptr)) {
            destroy_(state);
        }
    }

private:
    template <class P>
    static constexpr InvokeData data_invoker() noexcept {
        if constexpr (sees_data_only<P>) {
            return [](void* self, const void* data) noexcept -> Result {
                return guard([&] { return static_cast<P*>(self)->call_with(data); });
            };
        } else {
            return nullptr;
        }
    }
    template <class P>
    static constexpr const PayloadOps* data_ops_of() noexcept {
        if constexpr (sees_data_only<P>) {
            return P::data_ops();
        } else {
            return nullptr;
        }
    }

    Invoke invoke_;
    void* state_;
    void (*destroy_)(void*) noexcept;
    InvokeData invoke_data_;
    const PayloadOps* data_ops_;
};

/// Where events wait for a subscription that is in use as often as it may be.
struct ConcurrencyLimit {
    std::mutex mutex;
    std::condition_variable changed;
    std::size_t running = 0;
    SharedCount<std::size_t> under_way; // of these, turns that were passed on and that no worker has taken up
    std::size_t taken_over = 0;         // turns that somebody else has by the time their worker comes for them
    std::deque<void*> waiting;          // parts of settlements, each an open end
};

/// One subscription inside the bus.
///
/// Threads: immutable but for what is atomic or stands under a lock. Shared by the registry, the lists in use and what
///          is to be delivered again.
class Subscriber {
public:
    Subscriber(SubscriptionId subscription, Processor callable, SubscribeOptions wanted)
        : id(subscription), processor(std::move(callable)), options(std::move(wanted)) {
        if (options.max_concurrency != 0) {
            limit = std::make_unique<ConcurrencyLimit>();
        }
    }

    void add_ref() noexcept { owners_.add(); }
    void release() noexcept {
        if (owners_.drop()) {
            delete this;
        }
    }

    const SubscriptionId id;
    Processor processor;
    const SubscribeOptions options;
    BasicTenure<> tenure{};
    SharedCount<std::size_t> redeliveries;   // that wait for their time
    std::unique_ptr<ConcurrencyLimit> limit; // null: no limit
    std::shared_ptr<void> listening;         // what its end takes back; null in one process
    std::shared_ptr<Collector> collectors;   // the first of its batches; under the lock of the bus's CollectorList,
    bool collects = true;                    // as is this: false once they have been ended

private:
    ~Subscriber() = default;

    RefCount owners_;
};

/// An owning pointer to something with add_ref and release.
template <class T>
class Ref {
public:
    Ref() noexcept = default;
    /// Takes over one reference.
    explicit Ref(T* adopted) noexcept : pointer_(adopted) {}
    Ref(const Ref& other) noexcept : pointer_(other.pointer_) {
        if (pointer_ != nullptr) {
            pointer_->add_ref();
        }
    }
    Ref(Ref&& other) noexcept : pointer_(std::exchange(other.pointer_, nullptr)) {}
    Ref& operator=(Ref other) noexcept {
        std::swap(pointer_, other.pointer_);
        return *this;
    }
    ~Ref() {
        if (pointer_ != nullptr) {
            pointer_->release();
        }
    }
    static Ref share(T* pointer) noexcept {
        pointer->add_ref();
        return Ref(pointer);
    }

    [[nodiscard]] T* get() const noexcept { return pointer_; }
    T* operator->() const noexcept { return pointer_; }
    T& operator*() const noexcept { return *pointer_; }
    explicit operator bool() const noexcept { return pointer_ != nullptr; }
    [[nodiscard]] T* release() noexcept { return std::exchange(pointer_, nullptr); }

private:
    T* pointer_ = nullptr;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
