#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

namespace support {

/// Knows its own address, and counts the objects alive: tells when bytes were moved behind its back.
struct SelfPointer {
    explicit SelfPointer(int v) : value(v) { ++alive; }
    SelfPointer(const SelfPointer& other) : value(other.value) { ++alive, ++copied; }
    SelfPointer(SelfPointer&& other) noexcept : value(std::exchange(other.value, -1)) { ++alive, ++moved; }
    SelfPointer& operator=(const SelfPointer&) = delete;
    ~SelfPointer() { --alive; }

    [[nodiscard]] bool intact() const { return self == this; }

    const SelfPointer* self = this;
    int value;

    static inline int alive = 0;
    static inline int copied = 0;
    static inline int moved = 0;
};

/// Its copies fail while told to, its moves never.
struct ThrowingCopy {
    explicit ThrowingCopy(std::string t) : text(std::move(t)) {}
    ThrowingCopy(const ThrowingCopy& other) : text(other.text) {
        if (fail) {
            throw std::runtime_error{"copy"};
        }
    }
    ThrowingCopy(ThrowingCopy&&) noexcept = default;
    ThrowingCopy& operator=(const ThrowingCopy&) = delete;
    ~ThrowingCopy() = default;

    std::string text;

    static inline bool fail = false;
};

/// Small and copyable, but its move may throw.
struct ThrowingMove {
    explicit ThrowingMove(int v) : value(v) {}
    ThrowingMove(const ThrowingMove&) = default;
    ThrowingMove(ThrowingMove&& other) noexcept(false) : value(other.value) {}
    ThrowingMove& operator=(const ThrowingMove&) = delete;
    ~ThrowingMove() = default;

    int value;
};

struct MoveOnly {
    std::unique_ptr<int> pointer;
};

struct alignas(128) OverAligned {
    int value = 0;
};

struct Megabyte {
    std::array<unsigned char, 1 << 20> bytes{};
};

/// Says that it can be copied, and does not compile when it is.
template <class T>
struct LiesAboutCopying {
    LiesAboutCopying() = default;
    LiesAboutCopying(const LiesAboutCopying&) { static_assert(sizeof(T) == 0, "copied"); }
    LiesAboutCopying(LiesAboutCopying&&) noexcept = default;
    LiesAboutCopying& operator=(const LiesAboutCopying&) = delete;
    ~LiesAboutCopying() = default;

    int value = 5;
};

/// The overloaded `&`, and a class operator new that nobody may use.
struct Awkward {
    explicit Awkward(int v) : value(v) {}
    Awkward* operator&() = delete;             // NOLINT: on purpose
    const Awkward* operator&() const = delete; // NOLINT: on purpose
    static void* operator new(std::size_t) = delete;

    int value;
};

} // namespace support
