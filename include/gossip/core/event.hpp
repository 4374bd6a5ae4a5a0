// Event, TypedEvent<T>: what is published, and what a typed processor sees of it.
#pragma once

#include <gossip/core/clock.hpp>
#include <gossip/core/event_extras.hpp>
#include <gossip/core/event_id.hpp>
#include <gossip/core/event_type.hpp>
#include <gossip/core/metadata.hpp>
#include <gossip/core/payload.hpp>
#include <gossip/core/priority.hpp>
#include <gossip/core/raw_block.hpp>
#include <gossip/core/raw_data.hpp>
#include <gossip/core/topic.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

namespace detail {

template <class T>
concept event_data = std::is_object_v<T> && !std::is_const_v<T> && !std::is_volatile_v<T>;

} // namespace detail

/// Something that has happened: a name, perhaps data, and what is known about it. A value; its data never changes.
///
/// Threads: a value. Copies share large data and may be used, changed and destroyed on any threads.
/// Cost:    120 bytes. Data of up to 64 bytes that is copyable, aligned to 8 at most and moves without throwing
///          stands in place and allocates nothing; all else is allocated once and shared by the copies. Key, metadata
///          and an id of one's own are one more block, shared until one of the copies is changed; what came over a
///          wire has room for them beside its text.
/// Owns:    data, metadata, key, and a name made at run time. What is returned by reference or view is valid until
///          the event is changed, moved or destroyed.
/// Errors:  copying throws what copying data in place throws; moving never throws. A moved-from event may be assigned
///          to or destroyed. with_...() throws std::bad_alloc or ValidationError and leaves the event as it was.
class Event {
public:
    /// `Event{order_created, Order{...}}`
    template <detail::event_data T>
    Event(const Topic<T>& topic, std::type_identity_t<T>&& data)
        : Event(std::in_place_type<T>, topic.type(), detail::wall_now_ns(), Priority::normal, std::move(data)) {}

    template <detail::event_data T>
    requires std::is_copy_constructible_v<T> Event(const Topic<T>& topic, const std::type_identity_t<T>& data)
        : Event(std::in_place_type<T>, topic.type(), detail::wall_now_ns(), Priority::normal, data) {}

    explicit Event(const Topic<>& topic) : Event(topic.type(), detail::wall_now_ns(), Priority::normal) {}

    /// For a name known only at run time. A string literal is no data: it would be kept as a pointer.
    template <class D>
    Event(const EventType& type, D&& data)
        : Event(std::in_place_type<std::decay_t<D>>, type, detail::wall_now_ns(), Priority::normal,
                std::forward<D>(data)) {
        static_assert(!std::is_array_v<std::remove_reference_t<D>>,
                      "gossip: an array would be kept as a pointer; pass a std::string or a std::array");
    }

    explicit Event(const EventType& type) : Event(type, detail::wall_now_ns(), Priority::normal) {}

    Event(const Event& other) {
        std::memcpy(&fields_, &other.fields_, sizeof fields_);
        if (fields_.flags != 0) [[unlikely]] {
            share(other);
        }
    }

    Event(Event&& other) noexcept {
        std::memcpy(&fields_, &other.fields_, sizeof fields_);
        if (fields_.flags != 0) [[unlikely]] {
            take_over(other);
        }
    }

    Event& operator=(const Event& other) {
        Event copy(other);
        return *this = std::move(copy);
    }

    Event& operator=(Event&& other) noexcept {
        if (this != &other) {
            this->~Event();
            ::new (static_cast<void*>(this)) Event(std::move(other));
        }
        return *this;
    }

    ~Event() {
        if (fields_.flags != 0) [[unlikely]] {
            release();
        }
    }

    [[nodiscard]] EventType type() const noexcept {
        const bool owned = has(owned_name);
        if (owned) {
            detail::OwnedName::retain(fields_.name);
        }
        return EventType{fields_.name, fields_.name_size, fields_.name_hash, owned};
    }

    [[nodiscard]] std::chrono::system_clock::time_point timestamp() const noexcept {
        using Wall = std::chrono::system_clock;
        return Wall::time_point{std::chrono::duration_cast<Wall::duration>(std::chrono::nanoseconds{fields_.time_ns})};
    }

    [[nodiscard]] Priority priority() const noexcept { return fields_.priority; }

    /// Made with the event and kept by its copies. For an id set as a text: the id that it spells, or a hash of it.
    [[nodiscard]] EventId id() const noexcept {
        return has_own_id() ? fields_.extras->id : EventId{detail::process_id_base().high, fields_.id};
    }

    /// The text that was set by with_id(), or else id() in 32 hexadecimal digits.
    [[nodiscard]] std::string id_text() const { return has_id_text() ? fields_.extras->id_text : id().text(); }

    /// Events with one key are handled in order. Empty: no key.
    [[nodiscard]] std::string_view key() const noexcept {
        return fields_.extras != nullptr ? std::string_view{fields_.extras->key} : std::string_view{};
    }
    [[nodiscard]] bool has_key() const noexcept { return fields_.extras != nullptr && !fields_.extras->key.empty(); }

    /// Zero without a key.
    [[nodiscard]] std::uint64_t key_hash() const noexcept {
        return fields_.extras != nullptr ? fields_.extras->key_hash : 0;
    }

    [[nodiscard]] const Metadata& metadata() const noexcept {
        return fields_.extras != nullptr ? fields_.extras->metadata : detail::no_metadata();
    }

    [[nodiscard]] bool has_data() const noexcept { return fields_.ops != nullptr; }

    /// The readable name of the data's type; empty without data.
    [[nodiscard]] std::string_view data_type_name() const noexcept {
        return fields_.ops != nullptr ? fields_.ops->type_name : std::string_view{};
    }

    /// What came over a wire as text and is still to be read; empty for all other data.
    [[nodiscard]] std::string_view raw_text() const noexcept {
        const detail::RawData* const raw = raw_data();
        return raw != nullptr ? raw->text() : std::string_view{};
    }

    /// The data; throws NoDataError when there is none, TypeAssertionError when it is not exactly a T, and what the
    /// reading of data that came over a wire throws.
    template <class T>
    [[nodiscard]] const std::remove_cv_t<T>& data() const {
        if (const auto* const found = data_if<T>()) [[likely]] {
            return *found;
        }
        const void* read = nullptr;
        if (const detail::RawData* const raw = raw_data()) {
            if (const Result done = raw->as(&detail::payload_ops<std::remove_cv_t<T>>, read); !done) {
                done.error().rethrow();
            }
            return *static_cast<const std::remove_cv_t<T>*>(read);
        }
        detail::throw_wrong_data({fields_.name, fields_.name_size}, detail::type_name<std::remove_cv_t<T>>(),
                                 data_type_name());
    }

    /// The data, or null when there is none or it is not exactly a T. Data that came over a wire is read when it is
    /// first asked for, if a topic with this type has been used on such a bus.
    template <class T>
    [[nodiscard]] const std::remove_cv_t<T>* data_if() const noexcept {
        static_assert(std::is_object_v<T> && !std::is_array_v<T>,
                      "gossip: data is an object; ask for it by its plain type");
        using Data = std::remove_cv_t<T>;
        if (!detail::is_type<Data>(fields_.ops)) [[unlikely]] {
            return static_cast<const Data*>(read_raw(&detail::payload_ops<Data>));
        }
        if constexpr (detail::is_plain<Data>) {
            return std::launder(reinterpret_cast<const Data*>(fields_.data));
        } else {
            return std::launder(static_cast<const Data*>(data_address()));
        }
    }

    Event& with_metadata(std::string_view key, MetadataValue value) & {
        extras().metadata.set(key, std::move(value));
        return *this;
    }
    Event with_metadata(std::string_view key, MetadataValue value) && {
        return std::move(with_metadata(key, std::move(value)));
    }

    /// Replaces all metadata.
    Event& with_metadata(Metadata metadata) & {
        extras().metadata = std::move(metadata);
        return *this;
    }
    Event with_metadata(Metadata metadata) && { return std::move(with_metadata(std::move(metadata))); }

    /// An empty key takes the key away.
    Event& with_key(std::string_view key) & {
        std::string copy{key};
        detail::EventExtras& changed = extras();
        changed.key = std::move(copy);
        changed.key_hash = hash_of_key(changed.key);
        return *this;
    }
    Event with_key(std::string_view key) && { return std::move(with_key(key)); }

    Event& with_priority(Priority priority) & {
        if (static_cast<std::size_t>(priority) >= priority_count) {
            detail::throw_bad_priority(priority);
        }
        fields_.priority = priority;
        return *this;
    }
    Event with_priority(Priority priority) && { return std::move(with_priority(priority)); }

    Event& with_timestamp(std::chrono::system_clock::time_point time) & {
        fields_.time_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
        return *this;
    }
    Event with_timestamp(std::chrono::system_clock::time_point time) && { return std::move(with_timestamp(time)); }

    /// An id of one's own, such as one that came with the event from elsewhere; empty: back to the one made with it.
    Event& with_id(std::string text) & {
        detail::EventExtras& changed = extras();
        const std::uint64_t hash = detail::hash_bytes(text);
        const std::optional<EventId> parsed = EventId::parse(text);
        changed.id = parsed.value_or(EventId{hash, detail::mix_hash(~hash)});
        changed.has_id = !text.empty();
        changed.id_text = parsed ? std::string{} : std::move(text);
        return *this;
    }
    Event with_id(std::string text) && { return std::move(with_id(std::move(text))); }

private:
    friend struct EventAccess;

    // What there is to do when an event is copied, moved or destroyed; nothing for most.
    static constexpr std::uint8_t owned_name = 1; // the name is an OwnedName
    static constexpr std::uint8_t has_extras = 2;
    static constexpr std::uint8_t boxed = 4;      // `data` holds a BoxedPointer
    static constexpr std::uint8_t active = 8;     // `data` holds data that is more than its bytes
    static constexpr std::uint8_t receipted = 16; // the receipt in the extras is this event's; copies have none

    struct Fields {
        alignas(detail::in_place_align) unsigned char data[detail::in_place_size];
        const detail::PayloadOps* ops;
        const char* name;
        std::uint64_t name_hash;
        std::int64_t time_ns;
        detail::EventExtras* extras;
        std::uint64_t id;
        std::uint16_t name_size;
        Priority priority;
        std::uint8_t flags;
    };

    Event(const EventType& type, std::int64_t time_ns, Priority priority) noexcept {
        set_header(type, time_ns, priority, nullptr, 0);
    }

    template <class T, class D>
    Event(std::in_place_type_t<T>, const EventType& type, std::int64_t time_ns, Priority priority, D&& data) {
        if constexpr (detail::fits_in_place<T>) {
            ::new (static_cast<void*>(fields_.data)) T(std::forward<D>(data));
            set_header(type, time_ns, priority, &detail::payload_ops<T>, detail::is_plain<T> ? 0 : active);
        } else {
            set_box(detail::make_box<T>(std::forward<D>(data)));
            set_header(type, time_ns, priority, &detail::payload_ops<T>, boxed);
        }
    }

    Event(detail::RawText raw, const EventType& type, std::int64_t time_ns, Priority priority) {
        detail::RawBlock* const block = detail::RawBlock::make(std::move(raw));
        set_box({block, &block->data});
        set_header(type, time_ns, priority, &detail::payload_ops<detail::RawData>, boxed | has_extras);
        fields_.extras = &block->extras;
    }

    void set_header(const EventType& type, std::int64_t time_ns, Priority priority, const detail::PayloadOps* ops,
                    std::uint8_t flags) noexcept {
        fields_.ops = ops;
        fields_.name = type.name_;
        fields_.name_hash = type.hash_;
        fields_.time_ns = time_ns;
        fields_.extras = nullptr;
        fields_.id = detail::next_id();
        fields_.name_size = type.size_;
        fields_.priority = priority;
        fields_.flags = flags;
        if (type.owned_) {
            detail::OwnedName::retain(fields_.name);
            fields_.flags = static_cast<std::uint8_t>(flags | owned_name);
        }
    }

    bool has(std::uint8_t flag) const noexcept { return (fields_.flags & flag) != 0; }
    bool has_own_id() const noexcept { return fields_.extras != nullptr && fields_.extras->has_id; }
    bool has_id_text() const noexcept { return fields_.extras != nullptr && !fields_.extras->id_text.empty(); }

    static std::uint64_t hash_of_key(std::string_view key) noexcept {
        const std::uint64_t hash = detail::hash_bytes(key);
        return key.empty() ? 0 : hash != 0 ? hash : 1;
    }

    void set_box(detail::BoxedPointer box) noexcept { std::memcpy(fields_.data, &box, sizeof box); }

    detail::BoxedPointer get_box() const noexcept {
        detail::BoxedPointer box;
        std::memcpy(&box, fields_.data, sizeof box);
        return box;
    }

    const void* data_address() const noexcept { return has(boxed) ? get_box().data : fields_.data; }

    const detail::RawData* raw_data() const noexcept {
        return detail::is_type<detail::RawData>(fields_.ops) ? static_cast<const detail::RawData*>(data_address())
                                                             : nullptr;
    }
    [[gnu::cold, gnu::noinline]] const void* read_raw(const detail::PayloadOps* ops) const noexcept {
        const void* data = nullptr;
        const detail::RawData* const raw = raw_data();
        return raw != nullptr && raw->as(ops, data).ok() ? data : nullptr;
    }

    /// The extras, for a change: made when there are none, copied when they are shared.
    detail::EventExtras& extras() {
        if (fields_.extras == nullptr) {
            fields_.extras = new detail::EventExtras;
            fields_.flags |= has_extras;
        } else if (!fields_.extras->owners.unique()) {
            auto* const copy = new detail::EventExtras(*fields_.extras);
            drop_extras();
            fields_.extras = copy;
        }
        return *fields_.extras;
    }

    void drop_extras() noexcept {
        if (fields_.extras->owners.drop() && !fields_.extras->stands_with_data) {
            delete fields_.extras;
        }
    }

    /// After the bytes were copied from `other`: takes part in what it owns. Throws before it has taken anything.
    [[gnu::noinline]] void share(const Event& other) {
        fields_.flags &= static_cast<std::uint8_t>(~receipted);
        if (has(active)) {
            fields_.ops->copy(fields_.data, other.fields_.data);
        }
        if (has(boxed)) {
            get_box().box->owners.add();
        }
        if (has(owned_name)) {
            detail::OwnedName::retain(fields_.name);
        }
        if (has(has_extras)) {
            fields_.extras->owners.add();
        }
    }

    /// After the bytes were copied from `other`: leaves it without data, name and extras.
    [[gnu::noinline]] void take_over(Event& other) noexcept {
        if (has(active)) {
            fields_.ops->relocate(fields_.data, other.fields_.data);
        }
        other.fields_.flags = 0;
        other.fields_.ops = nullptr;
        other.fields_.extras = nullptr;
        other.fields_.name = "";
        other.fields_.name_hash = 0;
        other.fields_.name_size = 0;
    }

    [[gnu::noinline]] void release() noexcept {
        if (has(active)) {
            fields_.ops->destroy(fields_.data);
        }
        if (has(has_extras)) { // before the data, whose block they may be a part of
            drop_extras();
        }
        if (has(boxed)) {
            if (detail::Box* const box = get_box().box; box->owners.drop()) {
                fields_.ops->free_box(box);
            }
        }
        if (has(owned_name)) {
            detail::OwnedName::release(fields_.name);
        }
    }

    Fields fields_;
};

static_assert(sizeof(Event) == 120 && alignof(Event) == 8);
static_assert(std::is_nothrow_move_constructible_v<Event> && std::is_nothrow_move_assignable_v<Event>);

/// What a processor of a Topic<T> may take instead of the bare data: `[](const gossip::TypedEvent<Order>& event)`.
///
/// Threads: a view; copies are cheap.
/// Owns:    nothing: it is valid as long as the event it was made from stays where it is.
/// Errors:  made from an event without data NoDataError, from one with other data TypeAssertionError.
template <class T>
class TypedEvent {
    static_assert(std::is_object_v<T> && !std::is_const_v<T>, "gossip: T of a TypedEvent<T> is the T of its Topic<T>");

public:
    explicit TypedEvent(const Event& event) : event_(&event), data_(&event.data<T>()) {}
    explicit TypedEvent(const Event&&) = delete;

    /// Without the check, for who has looked: `data` is the data of `event`.
    TypedEvent(const Event& event, const T& data) noexcept : event_(&event), data_(&data) {}

    [[nodiscard]] const T& operator*() const noexcept { return *data_; }
    [[nodiscard]] const T* operator->() const noexcept { return data_; }
    [[nodiscard]] const T& data() const noexcept { return *data_; }
    [[nodiscard]] const Event& event() const noexcept { return *event_; }

    [[nodiscard]] EventType type() const noexcept { return event_->type(); }
    [[nodiscard]] std::chrono::system_clock::time_point timestamp() const noexcept { return event_->timestamp(); }
    [[nodiscard]] Priority priority() const noexcept { return event_->priority(); }
    [[nodiscard]] EventId id() const noexcept { return event_->id(); }
    [[nodiscard]] std::string_view key() const noexcept { return event_->key(); }
    [[nodiscard]] const Metadata& metadata() const noexcept { return event_->metadata(); }

private:
    const Event* event_;
    const T* data_;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE
