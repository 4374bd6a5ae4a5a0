// Data that came over a wire: a text, until somebody asks for it as a type.
#pragma once

#include <gossip/core/errors.hpp>
#include <gossip/core/growing_list.hpp>
#include <gossip/core/guard.hpp>
#include <gossip/core/once.hpp>
#include <gossip/core/payload.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

/// What has been made of a text for one type.
class Decoded {
public:
    Decoded(const PayloadOps* of, const void* where) noexcept : ops(of), data(where) {}
    Decoded(const Decoded&) = delete;
    Decoded& operator=(const Decoded&) = delete;
    virtual ~Decoded() = default;

    const PayloadOps* const ops;
    const void* const data;
    const Decoded* next = nullptr;
};

/// It and its data are one block.
template <class T>
class DecodedAs final : public Decoded {
public:
    /// `make()` returns the data.
    template <class Make>
    explicit DecodedAs(Make make) : Decoded(&payload_ops<T>, &data_), data_(make()) {}

private:
    const T data_;
};

/// How one codec writes data of one type to a text, and reads it. Static; listed once and for good.
struct WireType {
    const void* codec; // an address that tells it from other codecs
    const PayloadOps* ops;
    void (*encode)(const void* data, std::string& to);    // appends; may throw
    std::unique_ptr<Decoded> (*decode)(std::string_view); // may throw
    BasicOnce<> listed{};
    const WireType* next = nullptr; // constant once it is listed
};

/// All types that the process has met on topics of buses with a codec.
inline constinit BasicGrowingList<WireType> wire_types{};

/// When it returns the type is found, also by those to whom the caller publishes something after it. Threads: any.
/// Cost: one load after the first time.
inline void list_wire_type(WireType& type) noexcept {
    type.listed.call([&type]() noexcept { wire_types.push(type); });
}

[[nodiscard]] inline bool same_data_type(const PayloadOps* a, const PayloadOps* b) noexcept {
    return a == b || same_identity(a->identity, b->identity);
}

/// Null: that codec has not met the type.
[[nodiscard]] inline const WireType* find_wire_type(const void* codec, const PayloadOps* ops) noexcept {
    const WireType* const first = wire_types.first();
    for (const WireType* type = first; type != nullptr; type = type->next) {
        if (type->ops == ops && type->codec == codec) {
            return type;
        }
    }
    for (const WireType* type = first; type != nullptr; type = type->next) { // from another shared library
        if (type->codec == codec && same_data_type(type->ops, ops)) {
            return type;
        }
    }
    return nullptr;
}

/// Makes text of the newest version of text of an older one; may throw.
using Upcast = std::function<std::string(std::uint32_t version, std::string_view text)>;

/// What RawData is made of.
struct RawText {
    std::string_view text;                  // copied
    const void* codec;                      // as in WireType: who can read it
    std::uint32_t version = 1;              // of what the text looks like
    std::shared_ptr<const Upcast> upcast{}; // called before the codec; null: the text is as the codec wants it
};

/// The payload of an event that came over a wire: its text, and what has been made of it so far. Shared by copies of
/// the event. Decoding happens on the thread that asks first for that type, which is a worker, never a reader. It is a
/// part of a RawBlock, which keeps the text.
///
/// Threads: every member from any thread. Two that ask for a type at once may both decode; both results stay valid.
/// Owns:    decoded data; it and the text live as long as an event that shares them.
class RawData {
public:
    explicit RawData(RawText raw) noexcept // whose text lasts
        : text_(raw.text), codec_(raw.codec), version_(raw.version), upcast_(std::move(raw.upcast)) {}
    RawData(const RawData&) = delete;
    RawData& operator=(const RawData&) = delete;
    ~RawData() {
        const Decoded* decoded = decoded_.first();
        while (decoded != nullptr) {
            delete std::exchange(decoded, decoded->next);
        }
    }

    [[nodiscard]] std::string_view text() const noexcept { return text_; }
    [[nodiscard]] const void* codec() const noexcept { return codec_; }
    [[nodiscard]] std::uint32_t version() const noexcept { return version_; }

    /// The data as that type. `data` is null, and the Result says why, if it is not to be had.
    Result as(const PayloadOps* ops, const void*& data) const noexcept {
        data = find(ops);
        if (data != nullptr) {
            return {};
        }
        const WireType* const type = find_wire_type(codec_, ops);
        if (type == nullptr) {
            return TypeAssertionError{ops->type_name, "raw data, and nobody has said how to read it"};
        }
        return decode(*type, data);
    }
    /// The same for who knows the type's codec.
    Result decode(const WireType& type, const void*& data) const noexcept {
        Result decoded = guard([&] {
            const std::string lifted = upcast_ != nullptr ? (*upcast_)(version_, text_) : std::string{};
            const std::string_view text = upcast_ != nullptr ? lifted : text_;
            std::unique_ptr<Decoded> made = type.decode(text);
            decoded_.push(*made);
            data = made.release()->data;
        });
        return decoded;
    }

private:
    [[nodiscard]] const void* find(const PayloadOps* ops) const noexcept {
        const Decoded* decoded = decoded_.first();
        while (decoded != nullptr && !same_data_type(decoded->ops, ops)) {
            decoded = decoded->next;
        }
        return decoded == nullptr ? nullptr : decoded->data;
    }

    const std::string_view text_;
    const void* const codec_;
    const std::uint32_t version_;
    const std::shared_ptr<const Upcast> upcast_;
    mutable BasicGrowingList<Decoded> decoded_{};
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
