// EventAccess: what the bus and the providers may do with an event, and users need not.
#pragma once

#include <gossip/core/event.hpp>

#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <string_view>
#include <type_traits>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

/// The door to the inside of events, for the parts of this library.
///
/// Cost: make of plain data from a Topic that is a constant has no branch but that for a new block of ids.
struct EventAccess {
    /// An event with data, made where it is returned to. `priority` is not checked.
    template <class T, class D>
    [[nodiscard]] static Event make(const EventType& type, std::int64_t time_ns, Priority priority, D&& data) {
        if constexpr (std::is_same_v<T, detail::RawData>) {
            return Event(detail::RawText(std::forward<D>(data)), type, time_ns, priority);
        } else {
            return Event(std::in_place_type<T>, type, time_ns, priority, std::forward<D>(data));
        }
    }

    [[nodiscard]] static Event make(const EventType& type, std::int64_t time_ns, Priority priority) noexcept {
        return Event(type, time_ns, priority);
    }

    /// From the parts of a valid name that outlives the event, as a literal does.
    template <class T, class D>
    [[nodiscard]] static Event make(std::string_view lasting_name, std::uint64_t hash, std::int64_t time_ns,
                                    Priority priority, D&& data) {
        return make<T>(EventType{lasting_name.data(), static_cast<std::uint16_t>(lasting_name.size()), hash, false},
                       time_ns, priority, std::forward<D>(data));
    }

    /// The event's name without the cost of sharing it; valid as long as the event.
    [[nodiscard]] static std::string_view name(const Event& event) noexcept {
        return {event.fields_.name, event.fields_.name_size};
    }
    [[nodiscard]] static std::uint64_t name_hash(const Event& event) noexcept { return event.fields_.name_hash; }

    [[nodiscard]] static std::int64_t time_ns(const Event& event) noexcept { return event.fields_.time_ns; }
    static void set_time_ns(Event& event, std::int64_t time_ns) noexcept { event.fields_.time_ns = time_ns; }

    /// The half of the id that tells the events of this process apart.
    [[nodiscard]] static std::uint64_t local_id(const Event& event) noexcept { return event.fields_.id; }
    /// Makes a copy an event of its own, unless its id was set as a text.
    static void renew_id(Event& event) noexcept { event.fields_.id = detail::next_id(); }
    [[nodiscard]] static bool has_id_text(const Event& event) noexcept { return event.has_id_text(); }

    static void set_id(Event& event, const EventId& id) {
        detail::EventExtras& changed = event.extras();
        changed.id = id;
        changed.has_id = true;
        changed.id_text.clear();
    }

    /// The id that was set as a text that is none of this library's; empty without one. Valid as long as the event.
    [[nodiscard]] static std::string_view id_text(const Event& event) noexcept {
        return event.has_id_text() ? std::string_view{event.fields_.extras->id_text} : std::string_view{};
    }

    /// The data's operations, or null without data.
    [[nodiscard]] static const detail::PayloadOps* ops(const Event& event) noexcept { return event.fields_.ops; }

    /// Where the data is; null without data.
    [[nodiscard]] static const void* data(const Event& event) noexcept {
        return event.has_data() ? event.data_address() : nullptr;
    }

    /// The data of an event that is known to have a T: no check.
    template <class T>
    [[nodiscard]] static const T& known_data(const Event& event) noexcept {
        if constexpr (detail::is_plain<T>) {
            return *std::launder(reinterpret_cast<const T*>(event.fields_.data));
        } else {
            return *std::launder(static_cast<const T*>(event.data_address()));
        }
    }

    template <class T>
    [[nodiscard]] static TypedEvent<T> typed(const Event& event) noexcept {
        return TypedEvent<T>(event, known_data<T>(event));
    }

    // Receipts

    [[nodiscard]] static bool has_extras(const Event& event) noexcept { return event.fields_.extras != nullptr; }
    [[nodiscard]] static bool has_receipt(const Event& event) noexcept { return event.has(Event::receipted); }
    /// Hangs a receipt on the event. `attempt`: which delivery of the event this is.
    static void set_receipt(Event& event, detail::Receipt& receipt, int attempt) {
        detail::EventExtras& extras = event.extras();
        extras.receipt = &receipt;
        extras.attempt = attempt;
        event.fields_.flags |= Event::receipted;
    }
    /// Null without one. It is the caller's now.
    [[nodiscard]] static detail::Receipt* take_receipt(Event& event) noexcept {
        if (!has_receipt(event)) {
            return nullptr;
        }
        event.fields_.flags &= static_cast<std::uint8_t>(~Event::receipted);
        return event.fields_.extras->receipt;
    }
    /// The same, left on the event, which others may be reading: only for who alone ends it from here on.
    [[nodiscard]] static detail::Receipt* receipt(const Event& event) noexcept {
        return has_receipt(event) ? event.fields_.extras->receipt : nullptr;
    }
    /// `to` is a copy of `from` that takes its place.
    static void pass_receipt(Event& from, Event& to) noexcept {
        if (has_receipt(from)) {
            from.fields_.flags &= static_cast<std::uint8_t>(~Event::receipted);
            to.fields_.flags |= Event::receipted;
        }
    }
    /// 1 for the first delivery, more for one that somebody else had before.
    [[nodiscard]] static int attempt(const Event& event) noexcept {
        return has_receipt(event) ? event.fields_.extras->attempt : 1;
    }

    /// Null unless the data came over a wire.
    [[nodiscard]] static const detail::RawData* raw_data(const Event& event) noexcept { return event.raw_data(); }

    /// True when copying, moving or destroying the event touches nothing but its own 120 bytes.
    [[nodiscard]] static bool is_plain(const Event& event) noexcept { return event.fields_.flags == 0; }

    /// True when no copy of the event shares its data: who has the event may move the data out, if it puts it back.
    [[nodiscard]] static bool owns_data_alone(const Event& event) noexcept {
        return !event.has(Event::boxed) || event.get_box().box->owners.unique();
    }

    /// True when moving the event runs a constructor and a destructor of its data.
    [[nodiscard]] static bool moving_runs_user_code(const Event& event) noexcept { return event.has(Event::active); }

    /// Puts such data into a shared block, so that moving, copying and all but the last destruction run no user code
    /// from now on. Runs the data's move constructor once. Throws std::bad_alloc and leaves the event as it was.
    static void box_data(Event& event) {
        if (event.has(Event::active)) {
            event.set_box(event.fields_.ops->box(event.fields_.data));
            event.fields_.flags = static_cast<std::uint8_t>((event.fields_.flags & ~Event::active) | Event::boxed);
        }
    }

    /// Moves the event into raw memory and ends it: with one test where a move and a destruction take two or three.
    static Event* relocate(void* to, Event* from) noexcept {
        if (from->fields_.flags != 0 && from->has(Event::active)) [[unlikely]] {
            auto* const moved = ::new (to) Event(std::move(*from));
            std::destroy_at(from);
            return moved;
        }
        std::memcpy(to, static_cast<const void*>(from), sizeof(Event));
        return std::launder(static_cast<Event*>(to));
    }
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE
