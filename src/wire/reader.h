// wire/reader.h: reads big-endian fields from the front of a view; every read is checked against
// what is left.
#pragma once

#include "base/bytes.h"
#include "base/result.h"

namespace kith::wire {

// Borrows its bytes; views it returns live as long as they do. After an error the position is
// unspecified.
class Reader {
public:
    explicit Reader(base::ByteView in) : rest_(in) {}

    base::Result<std::uint8_t> u8() { return integer<std::uint8_t>(); }
    base::Result<std::uint16_t> u16() { return integer<std::uint16_t>(); }
    base::Result<std::uint32_t> u32() { return integer<std::uint32_t>(); }
    base::Result<std::uint64_t> u64() { return integer<std::uint64_t>(); }

    // Exactly `size` bytes.
    base::Result<base::ByteView> take(std::size_t size) {
        if (size > rest_.size()) return too_short();
        auto const taken = rest_.first(size);
        rest_ = rest_.subspan(size);
        return taken;
    }
    template <std::size_t N>
    base::Result<base::ByteArray<N>> array() {
        auto const taken = KITH_TRY(take(N));
        base::ByteArray<N> out;
        std::copy(taken.begin(), taken.end(), out.begin());
        return out;
    }

    // A length of 16 or 32 bits, then that many bytes; Code::too_large when the length is above
    // size_max.
    base::Result<base::ByteView> prefixed_u16(std::size_t size_max) {
        auto const size = KITH_TRY(u16());
        return prefixed(size, size_max);
    }
    base::Result<base::ByteView> prefixed_u32(std::size_t size_max) {
        auto const size = KITH_TRY(u32());
        return prefixed(size, size_max);
    }

    [[nodiscard]] base::ByteView rest() const { return rest_; }

    // Code::invalid unless everything was read: trailing bytes are never ignored.
    [[nodiscard]] base::Status expect_end() const {
        if (!rest_.empty()) return base::fail(base::Code::invalid, "message has trailing bytes");
        return {};
    }

private:
    template <class T>
    base::Result<T> integer() {
        if (rest_.size() < sizeof(T)) return too_short();
        auto const value = base::load_be<T>(rest_);
        rest_ = rest_.subspan(sizeof(T));
        return value;
    }
    base::Result<base::ByteView> prefixed(std::size_t size, std::size_t size_max) {
        if (size > size_max)
            return base::fail(base::Code::too_large, "field is longer than allowed");
        return take(size);
    }
    static std::unexpected<base::Error> too_short() {
        return base::fail(base::Code::invalid, "message ends too early");
    }

    base::ByteView rest_;
};

}  // namespace kith::wire
