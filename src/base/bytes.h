// base/bytes.h: the byte types every other folder speaks.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kith::base {

using Bytes = std::vector<std::uint8_t>;         // owns
using ByteView = std::span<std::uint8_t const>;  // borrows for the call
using MutableByteView = std::span<std::uint8_t>;
template <std::size_t N>
using ByteArray = std::array<std::uint8_t, N>;

// Views the characters of `text` as bytes; lives as long as `text`.
inline ByteView as_bytes(std::string_view text) {
    return {reinterpret_cast<std::uint8_t const*>(text.data()), text.size()};
}

// Views bytes as characters; makes no claim about the encoding.
inline std::string_view as_text(ByteView bytes) {
    return {reinterpret_cast<char const*>(bytes.data()), bytes.size()};
}

inline Bytes to_bytes(ByteView view) {
    return {view.begin(), view.end()};
}
inline std::string to_text(ByteView view) {
    return std::string(as_text(view));
}

inline void append(Bytes& out, ByteView more) {
    out.insert(out.end(), more.begin(), more.end());
}

// Not constant time: for public bytes only. Secrets use crypto/constant_time.h.
inline bool equal(ByteView a, ByteView b) {
    return std::ranges::equal(a, b);
}

// Big- and little-endian integers of a fixed width, written to and read from the front of a span
// that the caller has checked to be long enough.
template <class T>
void store_be(MutableByteView out, T value) {
    for (std::size_t i = 0; i < sizeof(T); ++i)
        out[i] = static_cast<std::uint8_t>(value >> (8 * (sizeof(T) - 1 - i)));
}
template <class T>
void store_le(MutableByteView out, T value) {
    for (std::size_t i = 0; i < sizeof(T); ++i)
        out[i] = static_cast<std::uint8_t>(value >> (8 * i));
}
template <class T>
T load_be(ByteView in) {
    T value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) value = static_cast<T>((value << 8) | in[i]);
    return value;
}
template <class T>
T load_le(ByteView in) {
    T value = 0;
    for (std::size_t i = sizeof(T); i-- > 0;) value = static_cast<T>((value << 8) | in[i]);
    return value;
}

}  // namespace kith::base
