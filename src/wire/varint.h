// wire/varint.h: unsigned varints as libp2p uses them (multiformats/unsigned-varint: 7 bits a byte,
// least significant group first, minimal form only, at most 9 bytes, so values below 2^63).
#pragma once

#include <optional>

#include "base/bytes.h"
#include "base/result.h"

namespace kith::wire {

inline constexpr std::size_t varint_bytes_max = 9;
inline constexpr std::uint64_t varint_value_max = (std::uint64_t{1} << 63) - 1;

struct Varint {
    std::uint64_t value = 0;
    std::size_t size = 0;  // bytes it took
};

// Appends the minimal form; asserts value <= varint_value_max.
void append_varint(base::Bytes& out, std::uint64_t value);
std::size_t varint_size(std::uint64_t value);

// Reads one varint from the front of `in`. nullopt: `in` is a proper prefix, more bytes are needed.
// Code::invalid: longer than 9 bytes or not minimal; never becomes valid by adding bytes.
base::Result<std::optional<Varint>> read_varint(base::ByteView in);

}  // namespace kith::wire
