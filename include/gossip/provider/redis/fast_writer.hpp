// Writes data as JSON through RapidJSON's Writer, by the declaration of its members.
#pragma once

#include <gossip/core/errors.hpp>
#include <gossip/core/type_name.hpp>
#include <gossip/platform.hpp>
#include <gossip/provider/redis/fast_types.hpp>
#include <gossip/provider/redis/json_text.hpp>

#if !__has_include(<rapidjson/writer.h>)
#error \
    "gossip: FastCodec needs RapidJSON; install rapidjson-dev or include gossip/provider/redis/json_codec.hpp instead"
#endif
GOSSIP_LENIENT_BEGIN
#include <rapidjson/allocators.h>
#include <rapidjson/writer.h>
GOSSIP_LENIENT_END

#include <array>
#include <concepts>
#include <cstddef>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

/// A stream, as RapidJSON wants it, that appends to a string.
struct FastSink {
    using Ch = char;

    void Put(char c) { text.push_back(c); }
    void Flush() noexcept {}

    std::string& text;
};

using FastPool = rapidjson::MemoryPoolAllocator<>;

/// What the writer keeps for itself stays on the stack: 16 bytes for each level of nesting.
class FastWriter {
public:
    FastWriter(std::string& out, std::string_view type) : sink_{out}, before_(out.size()), type_(type) {}

    template <class T>
    void put(const T& data, const FastPath* path, std::size_t depth) {
        if constexpr (std::same_as<T, bool>) {
            writer_.Bool(data);
        } else if constexpr (fast_integer<T>) {
            put_integer(data);
        } else if constexpr (fast_floating<T>) {
            if (!writer_.Double(static_cast<double>(data))) {
                fail(path, "is not finite, which JSON cannot write");
            }
        } else if constexpr (std::same_as<T, std::string>) {
            put_text(data, path);
        } else if constexpr (OptionalOf<T>::value) {
            data ? put(*data, path, depth) : put_null();
        } else if constexpr (VectorOf<T>::value) {
            put_vector(data, path, depth);
        } else if constexpr (MapOf<T>::value) {
            put_map(data, path, depth);
        } else {
            put_members(data, path, depth);
        }
    }

private:
    [[noreturn, gnu::cold, gnu::noinline]] void fail(const FastPath* path, std::string_view what) {
        sink_.text.resize(before_);
        std::string message{type_};
        if (path != nullptr) {
            message.append(": ").append(path->text());
        }
        GOSSIP_THROW(ValidationError{"Data", message.append(" ").append(what)});
    }

    void put_null() { writer_.Null(); }

    template <class T>
    void put_integer(T data) {
        if constexpr (std::unsigned_integral<T>) {
            writer_.Uint64(data);
        } else {
            writer_.Int64(data);
        }
    }

    void put_text(const std::string& text, const FastPath* path) {
        if (!is_utf8(text)) { // the writer would read on behind the end of what is cut off
            fail(path, "is not UTF-8");
        }
        writer_.String(text.data(), static_cast<rapidjson::SizeType>(text.size()));
    }

    void check_depth(const FastPath* path, std::size_t depth) {
        if (depth == fast_depth) {
            fail(path, "is nested too deeply");
        }
    }

    template <class T>
    void put_vector(const T& data, const FastPath* path, std::size_t depth) {
        check_depth(path, depth);
        writer_.StartArray();
        FastPath inner{path, {}, 0};
        for (const auto& element : data) {
            put<typename T::value_type>(element, &inner, depth + 1);
            ++inner.index;
        }
        writer_.EndArray();
    }

    template <class T>
    void put_map(const T& data, const FastPath* path, std::size_t depth) {
        check_depth(path, depth);
        writer_.StartObject();
        for (const auto& [key, value] : data) {
            const FastPath inner{path, key, 0};
            put_text(key, &inner);
            put(value, &inner, depth + 1);
        }
        writer_.EndObject();
    }

    template <class T>
    void put_members(const T& data, const FastPath* path, std::size_t depth) {
        check_depth(path, depth);
        writer_.StartObject();
        std::apply([&](const auto&... member) { (put_member(data, member, path, depth), ...); }, members<T>.all);
        writer_.EndObject();
    }

    template <class T, class Class, class Value>
    void put_member(const T& data, const Member<Class, Value>& member, const FastPath* path, std::size_t depth) {
        static_assert(is_fast<Value>(),
                      "gossip: FastCodec knows bool, integers, float, double, std::string, std::optional, std::vector, "
                      "std::map<std::string, T> and types with members<T>; a declared member is none of these");
        if constexpr (is_fast<Value>()) {
            const std::string_view name = member.name.name;
            const FastPath inner{path, name, 0};
            writer_.Key(name.data(), static_cast<rapidjson::SizeType>(name.size()));
            put(data.*member.pointer, &inner, depth + 1);
        }
    }

    static constexpr std::size_t levels = fast_depth + 1;

    FastSink sink_;
    std::size_t before_;
    std::string_view type_;
    alignas(std::max_align_t) std::array<char, levels * 16 + 256> buffer_;
    FastPool pool_{buffer_.data(), buffer_.size()};
    rapidjson::Writer<FastSink, rapidjson::UTF8<>, rapidjson::UTF8<>, FastPool> writer_{sink_, &pool_, levels};
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
