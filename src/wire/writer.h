// wire/writer.h: appends big-endian fields; the counterpart of wire/reader.h.
#pragma once

#include <limits>

#include "base/bytes.h"
#include "base/check.h"

namespace kith::wire {

class Writer {
public:
    Writer& u8(std::uint8_t value) { return integer(value); }
    Writer& u16(std::uint16_t value) { return integer(value); }
    Writer& u32(std::uint32_t value) { return integer(value); }
    Writer& u64(std::uint64_t value) { return integer(value); }
    Writer& bytes(base::ByteView value) {
        base::append(out_, value);
        return *this;
    }
    // A length of 16 or 32 bits, then the bytes; asserts that the length fits (what we send is our
    // own).
    Writer& prefixed_u16(base::ByteView value) {
        KITH_ASSERT(value.size() <= std::numeric_limits<std::uint16_t>::max());
        return u16(static_cast<std::uint16_t>(value.size())).bytes(value);
    }
    Writer& prefixed_u32(base::ByteView value) {
        KITH_ASSERT(value.size() <= std::numeric_limits<std::uint32_t>::max());
        return u32(static_cast<std::uint32_t>(value.size())).bytes(value);
    }

    [[nodiscard]] base::ByteView view() const { return out_; }
    [[nodiscard]] base::Bytes take() { return std::exchange(out_, {}); }

private:
    template <class T>
    Writer& integer(T value) {
        base::ByteArray<sizeof(T)> field;
        base::store_be<T>(field, value);
        base::append(out_, field);
        return *this;
    }

    base::Bytes out_;
};

}  // namespace kith::wire
