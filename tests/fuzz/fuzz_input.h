// tests/fuzz/fuzz_input.h: a fuzzer's bytes as a stream of choices; behind the end all are 0.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <string_view>

#include "base/bytes.h"

namespace kith::fuzz {

class FuzzInput {
public:
    FuzzInput(std::uint8_t const* data, std::size_t size) : left_(data, size) {}

    [[nodiscard]] bool is_empty() const { return left_.empty(); }
    std::uint8_t byte() { return static_cast<std::uint8_t>(number(1)); }
    std::uint16_t u16() { return static_cast<std::uint16_t>(number(2)); }
    std::uint32_t u32() { return static_cast<std::uint32_t>(number(4)); }
    float any_float() { return std::bit_cast<float>(u32()); }  // NaN and infinity too
    // Below `count`, which is not 0.
    std::size_t below(std::size_t count) { return u16() % count; }
    std::string_view text(std::size_t size) {
        auto const taken = left_.first(std::min(size, left_.size()));
        left_ = left_.subspan(taken.size());
        return {reinterpret_cast<char const*>(taken.data()), taken.size()};
    }

private:
    std::uint32_t number(std::size_t bytes) {
        std::uint32_t out = 0;
        for (std::size_t i = 0; i < bytes && !left_.empty(); ++i) {
            out |= std::uint32_t{left_[0]} << (8 * i);
            left_ = left_.subspan(1);
        }
        return out;
    }

    base::ByteView left_;
};

}  // namespace kith::fuzz
