#include "wire/varint.h"

#include "base/check.h"

namespace kith::wire {

using base::Code;
using base::fail;

void append_varint(base::Bytes& out, std::uint64_t value) {
    KITH_ASSERT(value <= varint_value_max);
    while (value >= 0x80) {
        out.push_back(static_cast<std::uint8_t>(value | 0x80));
        value >>= 7;
    }
    out.push_back(static_cast<std::uint8_t>(value));
}

std::size_t varint_size(std::uint64_t value) {
    std::size_t size = 1;
    while (value >>= 7) ++size;
    return size;
}

base::Result<std::optional<Varint>> read_varint(base::ByteView in) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < varint_bytes_max; ++i) {
        if (i == in.size()) return std::nullopt;
        value |= static_cast<std::uint64_t>(in[i] & 0x7f) << (7 * i);
        if ((in[i] & 0x80) != 0) continue;
        // A last group of zero could have been left out: two encodings of one value are a signature
        // trap.
        if (i > 0 && in[i] == 0) return fail(Code::invalid, "varint is not minimal");
        return Varint{.value = value, .size = i + 1};
    }
    return fail(Code::invalid, "varint is longer than 9 bytes");
}

}  // namespace kith::wire
