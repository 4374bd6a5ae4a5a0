// Type-erased data of an event: small data in place, the rest in a shared block.
#pragma once

#include <gossip/core/ref_count.hpp>
#include <gossip/core/type_name.hpp>

#include <cstddef>
#include <memory>
#include <new>
#include <string_view>
#include <type_traits>
#include <utility>

#if defined(__cpp_rtti)
#include <typeinfo>
#endif

namespace gossip::GOSSIP_VERSION_NAMESPACE {

/// Specialize as true for data that copies of an event shall share although it is small: a type that claims to be
/// copyable and is not, such as a struct with a `std::vector<std::unique_ptr<X>>`, or one whose copies cost too much.
template <class T>
inline constexpr bool share_data = false;

namespace detail {

inline constexpr std::size_t in_place_size = 64;
inline constexpr std::size_t in_place_align = 8;

/// Where data lives: inside the event when it is small, copyable and moves without throwing; in a shared block
/// otherwise.
template <class T>
inline constexpr bool
    fits_in_place = sizeof(T) <= in_place_size && alignof(T) <= in_place_align &&
                    !share_data<T> && std::is_copy_constructible_v<T> && std::is_nothrow_move_constructible_v<T>;

/// In place, and a copy of its bytes is a copy of it: no user code ever runs for it.
template <class T>
inline constexpr bool is_plain = fits_in_place<T>&& std::is_trivially_copyable_v<T>;

/// The count of owners at the head of a shared block of data.
struct Box {
    RefCount owners;
};

template <class T>
struct BoxOf : Box {
    template <class... Args>
    explicit BoxOf(Args&&... args) : value(std::forward<Args>(args)...) {}

    T value;
};

/// A box and the data inside; what an event keeps in place of the data.
struct BoxedPointer {
    Box* box;
    void* data;
};

#if defined(__cpp_rtti)
template <class T>
inline constexpr const std::type_info* type_identity_of = &typeid(T);

[[gnu::noinline]] inline bool same_identity(const std::type_info* a, const std::type_info* b) noexcept {
    return a != nullptr && b != nullptr && *a == *b; // null from a part of the program that has -fno-rtti
}
using TypeIdentity = const std::type_info*;
#else
// Readable names cannot stand in here: clang gives local types of two functions the same one.
template <class T>
inline constexpr const void* type_identity_of = nullptr;

inline bool same_identity(const void*, const void*) noexcept { return false; }
using TypeIdentity = const void*;
#endif

/// What can be done with data whose type is forgotten; one constant per type.
struct PayloadOps {
    TypeIdentity identity;
    std::string_view type_name;
    std::size_t size;
    std::size_t align;
    bool in_place;

    void (*copy)(void* to, const void* from);        // null: copy the bytes, or share the box
    void (*relocate)(void* to, void* from) noexcept; // null: copy the bytes
    void (*destroy)(void* data) noexcept;            // null: nothing to do in place
    BoxedPointer (*box)(void* from);                 // null: not in place, or nothing gained by it; ends `from`
    void (*free_box)(Box* box) noexcept;             // for the last owner
};

template <class T>
void copy_data(void* to, const void* from) {
    ::new (to) T(*static_cast<const T*>(from));
}

template <class T>
void relocate_data(void* to, void* from) noexcept {
    T* const old = std::launder(static_cast<T*>(from));
    ::new (to) T(std::move(*old));
    std::destroy_at(old);
}

template <class T>
void destroy_data(void* data) noexcept {
    std::destroy_at(std::launder(static_cast<T*>(data)));
}

template <class T>
void free_box_of(Box* box) noexcept {
    delete static_cast<BoxOf<T>*>(box);
}

template <class T, class... Args>
BoxedPointer make_box(Args&&... args) {
    auto* const box = new BoxOf<T>(std::forward<Args>(args)...);
    return {box, const_cast<void*>(static_cast<const void*>(std::addressof(box->value)))};
}

template <class T>
BoxedPointer box_data(void* from) {
    T* const old = std::launder(static_cast<T*>(from));
    const BoxedPointer boxed = make_box<T>(std::move(*old));
    std::destroy_at(old);
    return boxed;
}

template <class T>
constexpr PayloadOps make_payload_ops() noexcept {
    PayloadOps ops{};
    ops.identity = type_identity_of<T>;
    ops.type_name = type_name<T>();
    ops.size = sizeof(T);
    ops.align = alignof(T);
    ops.in_place = fits_in_place<T>;
    if constexpr (fits_in_place<T> && !is_plain<T>) {
        ops.copy = &copy_data<T>;
        ops.relocate = &relocate_data<T>;
        ops.destroy = &destroy_data<T>;
        ops.box = &box_data<T>;
    }
    if constexpr (!is_plain<T>) {
        ops.free_box = &free_box_of<T>;
    }
    return ops;
}

template <class T>
inline constexpr PayloadOps payload_ops = make_payload_ops<T>();

/// True when `ops` are those of T. The addresses agree but for shared libraries with a hidden copy each; then
/// run-time type information decides. Without it (-fno-rtti) such a copy counts as another type.
template <class T>
[[nodiscard]] inline bool is_type(const PayloadOps* ops) noexcept {
    return ops == &payload_ops<T> || (ops != nullptr && same_identity(ops->identity, type_identity_of<T>));
}

} // namespace detail
} // namespace gossip::GOSSIP_VERSION_NAMESPACE
