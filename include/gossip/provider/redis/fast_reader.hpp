// Reads JSON into data through RapidJSON's Reader, by the declaration of its members.
#pragma once

#include <gossip/core/errors.hpp>
#include <gossip/core/type_name.hpp>
#include <gossip/platform.hpp>
#include <gossip/provider/redis/fast_types.hpp>

#if !__has_include(<rapidjson/reader.h>)
#error \
    "gossip: FastCodec needs RapidJSON; install rapidjson-dev or include gossip/provider/redis/json_codec.hpp instead"
#endif
GOSSIP_LENIENT_BEGIN
#include <rapidjson/error/en.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>
GOSSIP_LENIENT_END

#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <type_traits>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

/// What the parser has found. Of the values the one of its kind counts.
struct FastToken {
    /// A number is `unreadable` when it is too large or too small for a double.
    enum class Kind : std::uint8_t { null, boolean, negative, whole, floating, unreadable, text, object, array };

    Kind kind;
    bool boolean = false;
    std::int64_t negative = 0;
    std::uint64_t whole = 0;
    double floating = 0;
    std::string_view text{};
};

class FastReader;

/// Where the next value goes: an object of some type, and how that type takes it. Without `take` it is skipped.
struct FastSlot {
    using Take = bool (*)(FastReader&, void* target, const FastToken&);

    void* target = nullptr;
    Take take = nullptr;
};

/// An array or object that is open.
struct FastFrame {
    /// The slot for the value behind `key`, or for the next element.
    using Next = FastSlot (*)(FastFrame&, std::string_view key);
    /// False when something is missing; `name` is then what.
    using Close = bool (*)(FastFrame&);

    void* target;
    Next next;
    Close close;
    std::string_view name; // of the member at hand
    std::uint64_t seen;    // members, a bit each
    std::size_t index;     // of the element, or of the member that comes next when they come in their order
    bool array;
};

/// A SAX handler. What is unknown is skipped; depth is limited, so that the parser's own recursion is.
class FastReader {
public:
    explicit FastReader(FastSlot root) noexcept : slot_(root) {}

    [[nodiscard]] const std::string& fault() const noexcept { return fault_; }

    bool Null() { return take({FastToken::Kind::null}); }
    bool Bool(bool value) { return take({FastToken::Kind::boolean, value}); }
    bool RawNumber(const char* text, rapidjson::SizeType size, bool) { return take_number_text({text, size}); }
    bool String(const char* text, rapidjson::SizeType size, bool) {
        return take({FastToken::Kind::text, false, 0, 0, 0, {text, size}});
    }
    bool StartObject() { return take({FastToken::Kind::object}); }
    bool StartArray() { return take({FastToken::Kind::array}); }
    bool EndObject(rapidjson::SizeType) { return close(); }
    bool EndArray(rapidjson::SizeType) { return close(); }

    // Numbers come as text; these are not called.
    bool Int(int) { return false; }
    bool Uint(unsigned) { return false; }
    bool Int64(std::int64_t) { return false; }
    bool Uint64(std::uint64_t) { return false; }
    bool Double(double) { return false; }

    bool Key(const char* text, rapidjson::SizeType size, bool) {
        if (skipped_ == 0) {
            FastFrame& frame = frames_[depth_ - 1];
            slot_ = frame.next(frame, {text, size});
        }
        return true;
    }

    /// Opens an array or object whose values go where `next` says.
    bool open(void* target, FastFrame::Next next, FastFrame::Close at_end, bool array) noexcept {
        frames_[depth_++] = FastFrame{target, next, at_end, {}, 0, 0, array};
        return true;
    }

    bool fail(std::string_view what) {
        fault_.clear();
        for (std::size_t i = 0; i < depth_; ++i) {
            const FastFrame& frame = frames_[i];
            if (frame.array) {
                fault_.append("[").append(std::to_string(frame.index - 1)).append("]");
            } else {
                fault_.append(fault_.empty() ? "" : ".").append(frame.name);
            }
        }
        fault_.append(fault_.empty() ? "" : " ").append(what);
        return false;
    }

private:
    bool take(const FastToken& token) {
        const bool opens = token.kind >= FastToken::Kind::object;
        if (opens && depth_ + skipped_ == fast_depth) {
            return fail("is nested too deeply");
        }
        if (skipped_ != 0) {
            skipped_ += opens ? 1 : 0;
            return true;
        }
        if (depth_ != 0) {
            if (FastFrame& frame = frames_[depth_ - 1]; frame.array) {
                slot_ = frame.next(frame, {});
            }
        }
        if (slot_.take == nullptr) {
            skipped_ = opens ? 1 : 0;
            return true;
        }
        return slot_.take(*this, slot_.target, token);
    }

    bool close() {
        if (skipped_ != 0) {
            --skipped_;
            return true;
        }
        FastFrame& frame = frames_[depth_ - 1];
        if (!frame.close(frame)) {
            return fail("is missing");
        }
        --depth_;
        return true;
    }

    bool take_number_text(std::string_view text) {
        if (skipped_ != 0) {
            return true;
        }
        const char* const end = text.data() + text.size();
        std::int64_t negative = 0;
        std::uint64_t whole = 0;
        double floating = 0;
        const auto reads = [&](auto& value) {
            const auto read = std::from_chars(text.data(), end, value);
            return read.ec == std::errc{} && read.ptr == end;
        };
        if (reads(whole)) {
            return take({FastToken::Kind::whole, false, 0, whole});
        }
        if (reads(negative)) {
            return negative < 0 ? take({FastToken::Kind::negative, false, negative}) : take({FastToken::Kind::whole});
        }
        return reads(floating) ? take({FastToken::Kind::floating, false, 0, 0, floating})
                               : take({FastToken::Kind::unreadable});
    }

    FastSlot slot_;
    std::size_t depth_ = 0;
    std::size_t skipped_ = 0; // levels within what is skipped
    std::string fault_;
    std::array<FastFrame, fast_depth> frames_; // the first depth_ of them
};

template <class T>
bool take_as(FastReader& reader, void* target, const FastToken& token);

inline bool close_any(FastFrame&) noexcept { return true; }

template <class T>
FastSlot next_element(FastFrame& frame, std::string_view) {
    auto& vector = *static_cast<T*>(frame.target);
    ++frame.index;
    if constexpr (std::same_as<typename T::value_type, bool>) {
        return {&vector, [](FastReader& reader, void* into, const FastToken& token) {
                    bool value = false;
                    if (!take_as<bool>(reader, &value, token)) {
                        return false;
                    }
                    static_cast<T*>(into)->push_back(value);
                    return true;
                }};
    } else {
        return {&vector.emplace_back(), &take_as<typename T::value_type>};
    }
}

template <class T>
FastSlot next_entry(FastFrame& frame, std::string_view key) {
    auto& entry = *static_cast<T*>(frame.target)->insert_or_assign(std::string{key}, typename T::mapped_type{}).first;
    frame.name = entry.first;
    return {&entry.second, &take_as<typename T::mapped_type>};
}

/// A declared member without its type.
struct FastMember {
    std::string_view name;
    bool required;
    FastSlot::Take take;
    void* (*address)(void* object);
    void (*reset)(void* member);
};

template <class T, std::size_t I>
consteval FastMember fast_member() {
    using Value = typename std::tuple_element_t<I, decltype(members<T>.all)>::value_type;
    static_assert(is_fast<Value>(),
                  "gossip: FastCodec knows bool, integers, float, double, std::string, std::optional, std::vector, "
                  "std::map<std::string, T> and types with members<T>; a declared member is none of these");
    FastMember member{std::get<I>(members<T>.all).name.name, std::get<I>(members<T>.all).name.required, nullptr,
                      nullptr, nullptr};
    if constexpr (is_fast<Value>()) {
        member.take = &take_as<Value>;
        member.address = [](void* object) -> void* {
            return &(static_cast<T*>(object)->*std::get<I>(members<T>.all).pointer);
        };
        member.reset = [](void* value) { *static_cast<Value*>(value) = Value{}; };
    }
    return member;
}

template <class T>
inline constexpr auto fast_members = []<std::size_t... I>(std::index_sequence<I...>) {
    return std::array<FastMember, sizeof...(I)>{fast_member<T, I>()...};
}
(std::make_index_sequence<member_count<T>>{});

template <class T>
consteval std::uint64_t required_members() {
    std::uint64_t bits = 0;
    for (std::size_t i = 0; i < member_count<T>; ++i) {
        bits |= std::uint64_t{fast_members<T>[i].required} << i;
    }
    return bits;
}

/// Members mostly come in the order in which they were declared: the one after the last is looked at first.
template <class T>
FastSlot next_member(FastFrame& frame, std::string_view key) {
    constexpr std::size_t count = member_count<T>;
    for (std::size_t tried = 0, i = frame.index; tried < count; ++tried, ++i) {
        i = i < count ? i : 0;
        const FastMember& member = fast_members<T>[i];
        if (member.name != key) {
            continue;
        }
        frame.index = i + 1;
        frame.name = member.name;
        void* const target = member.address(frame.target);
        const std::uint64_t bit = std::uint64_t{1} << i;
        if ((frame.seen & bit) != 0) {
            member.reset(target); // the last one counts
        }
        frame.seen |= bit;
        return {target, member.take};
    }
    return {};
}

template <class T>
bool close_members(FastFrame& frame) {
    constexpr std::uint64_t required = required_members<T>();
    const std::uint64_t missing = required & ~frame.seen;
    if (missing != 0) {
        frame.name = fast_members<T>[static_cast<std::size_t>(std::countr_zero(missing))].name;
    }
    return missing == 0;
}

template <class T>
bool take_number(FastReader& reader, T& number, const FastToken& token) {
    using Is = FastToken::Kind;
    const auto misfit = [&] { return reader.fail("does not fit into " + std::string{type_name<T>()}); };
    if constexpr (fast_integer<T>) {
        if (token.kind != Is::negative && token.kind != Is::whole) {
            const bool number_at_all = token.kind == Is::floating || token.kind == Is::unreadable;
            return number_at_all ? misfit() : reader.fail("is not a whole number");
        }
        const bool fits = token.kind == Is::negative ? std::in_range<T>(token.negative) : std::in_range<T>(token.whole);
        number = token.kind == Is::negative ? static_cast<T>(token.negative) : static_cast<T>(token.whole);
        return fits || misfit();
    } else {
        if (token.kind == Is::unreadable) {
            return misfit();
        }
        if (token.kind != Is::negative && token.kind != Is::whole && token.kind != Is::floating) {
            return reader.fail("is not a number");
        }
        const double value = token.kind == Is::negative ? static_cast<double>(token.negative)
                             : token.kind == Is::whole  ? static_cast<double>(token.whole)
                                                        : token.floating;
        if (std::fabs(value) > static_cast<double>(std::numeric_limits<T>::max())) {
            return misfit();
        }
        number = static_cast<T>(value);
        return true;
    }
}

/// Null where there may be nothing at all: Go writes its nil slices and maps so.
template <class T>
bool take_container(FastReader& reader, T& data, const FastToken& token) {
    using Is = FastToken::Kind;
    constexpr bool array = VectorOf<T>::value;
    if constexpr (array || MapOf<T>::value) {
        data.clear();
        if (token.kind == Is::null) {
            return true;
        }
    }
    if (token.kind != (array ? Is::array : Is::object)) {
        return reader.fail(array ? "is not an array" : "is not an object");
    }
    if constexpr (array) {
        return reader.open(&data, &next_element<T>, &close_any, true);
    } else if constexpr (MapOf<T>::value) {
        return reader.open(&data, &next_entry<T>, &close_any, false);
    } else {
        return reader.open(&data, &next_member<T>, &close_members<T>, false);
    }
}

template <class T>
bool take_as(FastReader& reader, void* target, const FastToken& token) {
    using Is = FastToken::Kind;
    T& data = *static_cast<T*>(target);
    if constexpr (std::same_as<T, bool>) {
        data = token.boolean;
        return token.kind == Is::boolean || reader.fail("is not true or false");
    } else if constexpr (fast_integer<T> || fast_floating<T>) {
        return take_number(reader, data, token);
    } else if constexpr (std::same_as<T, std::string>) {
        data.assign(token.text);
        return token.kind == Is::text || reader.fail("is not a string");
    } else if constexpr (OptionalOf<T>::value) {
        if (token.kind == Is::null) {
            data.reset();
            return true;
        }
        return take_as<typename T::value_type>(reader, &data.emplace(), token);
    } else {
        return take_container(reader, data, token);
    }
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
