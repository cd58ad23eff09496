// crypto/keccak.h: SHA3-256, SHA3-512, SHAKE128 and SHAKE256 (FIPS 202). In-tree because ML-DSA and
// ML-KEM squeeze many short streams, for which a library context per stream costs more than the
// hash. Constant time, no heap.
#pragma once

#include <span>

#include "base/bytes.h"

namespace kith::crypto {

// The sponge. absorb() any number of times, then squeeze() any number of times; absorb after
// squeeze is a bug.
class Sponge {
public:
    // `rate` in bytes (a multiple of 8, below 200), `suffix` = domain bits with the first padding
    // bit.
    Sponge(std::size_t rate, std::uint8_t suffix) : rate_(rate), suffix_(suffix) {}
    ~Sponge();
    Sponge(Sponge const&) = default;
    Sponge& operator=(Sponge const&) = default;

    Sponge& absorb(base::ByteView bytes);
    void squeeze(base::MutableByteView out);

private:
    void finish_absorbing();

    std::array<std::uint64_t, 25> lanes_{};
    std::size_t rate_;
    std::size_t position_ = 0;  // bytes used of the current block
    std::uint8_t suffix_;
    bool squeezing_ = false;
};

inline constexpr std::size_t shake128_rate = 168;
inline constexpr std::size_t shake256_rate = 136;

inline Sponge shake128() {
    return Sponge(shake128_rate, 0x1f);
}
inline Sponge shake256() {
    return Sponge(shake256_rate, 0x1f);
}

base::ByteArray<32> sha3_256(base::ByteView bytes);
// `bytes` may be what `out` is: keys come out of it, and a returned value would leave copies.
void sha3_512(base::ByteView bytes, std::span<std::uint8_t, 64> out);

}  // namespace kith::crypto
