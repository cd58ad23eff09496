#include "crypto/keccak.h"

#include <bit>
#include <cstring>

#include "base/check.h"
#include "crypto/constant_time.h"

namespace kith::crypto {
namespace {

using Lanes = std::array<std::uint64_t, 25>;

static_assert(std::endian::native == std::endian::little, "lanes are read as little-endian words");

// FIPS 202 3.2.5: iota.
constexpr std::array<std::uint64_t, 24> round_constants = {
    0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000,
    0x000000000000808b, 0x0000000080000001, 0x8000000080008081, 0x8000000000008009,
    0x000000000000008a, 0x0000000000000088, 0x0000000080008009, 0x000000008000000a,
    0x000000008000808b, 0x800000000000008b, 0x8000000000008089, 0x8000000000008003,
    0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a,
    0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008};

// FIPS 202 3.2.2, rho: rotation of lane x + 5 y.
constexpr std::array<int, 25> rotations = {0,  1,  62, 28, 27, 36, 44, 6,  55, 20, 3,  10, 43,
                                           25, 39, 41, 45, 15, 21, 8,  18, 2,  61, 56, 14};

// One round from `a` to `b`. Everything is a constant after inlining: the loops unroll completely.
[[gnu::always_inline]] inline void keccak_round(Lanes const& a, Lanes& b, std::uint64_t constant) {
    std::uint64_t parity[5];
    std::uint64_t theta[5];
#pragma GCC unroll 5
    for (std::size_t x = 0; x < 5; ++x)
        parity[x] = a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20];
#pragma GCC unroll 5
    for (std::size_t x = 0; x < 5; ++x)
        theta[x] = parity[(x + 4) % 5] ^ std::rotl(parity[(x + 1) % 5], 1);
        // Row y of the result comes, by pi, from the lanes ((x + 3 y) mod 5, x) of the input.
#pragma GCC unroll 5
    for (std::size_t y = 0; y < 5; ++y) {
        std::uint64_t row[5];
#pragma GCC unroll 5
        for (std::size_t x = 0; x < 5; ++x) {
            std::size_t const from_x = (x + 3 * y) % 5;
            std::size_t const from = from_x + 5 * x;
            row[x] = std::rotl(a[from] ^ theta[from_x], rotations[from]);
        }
#pragma GCC unroll 5
        for (std::size_t x = 0; x < 5; ++x)
            b[x + 5 * y] = row[x] ^ (~row[(x + 1) % 5] & row[(x + 2) % 5]);
    }
    b[0] ^= constant;
}

void permute(Lanes& lanes) {
    Lanes a = lanes;
    Lanes b;
    for (std::size_t round = 0; round < round_constants.size(); round += 2) {
        keccak_round(a, b, round_constants[round]);
        keccak_round(b, a, round_constants[round + 1]);
    }
    lanes = a;
}

// More than permute() uses: its copies of the lanes are what comes out next.
constexpr std::size_t permutation_stack_bytes = 1024;

std::uint8_t* bytes_of(Lanes& lanes) {
    return reinterpret_cast<std::uint8_t*>(lanes.data());
}

}  // namespace

Sponge::~Sponge() {
    wipe({bytes_of(lanes_), sizeof lanes_});
    wipe_stack_below(permutation_stack_bytes);
}

Sponge& Sponge::absorb(base::ByteView bytes) {
    KITH_ASSERT(!squeezing_);
    while (!bytes.empty()) {
        auto const size = std::min(bytes.size(), rate_ - position_);
        auto* const block = bytes_of(lanes_) + position_;
        for (std::size_t i = 0; i < size; ++i) block[i] ^= bytes[i];
        position_ += size;
        bytes = bytes.subspan(size);
        if (position_ == rate_) {
            permute(lanes_);
            position_ = 0;
        }
    }
    return *this;
}

void Sponge::finish_absorbing() {
    bytes_of(lanes_)[position_] ^= suffix_;
    bytes_of(lanes_)[rate_ - 1] ^= 0x80;
    permute(lanes_);
    position_ = 0;
    squeezing_ = true;
}

void Sponge::squeeze(base::MutableByteView out) {
    if (!squeezing_) finish_absorbing();
    while (!out.empty()) {
        if (position_ == rate_) {
            permute(lanes_);
            position_ = 0;
        }
        auto const size = std::min(out.size(), rate_ - position_);
        std::memcpy(out.data(), bytes_of(lanes_) + position_, size);
        position_ += size;
        out = out.subspan(size);
    }
}

base::ByteArray<32> sha3_256(base::ByteView bytes) {
    base::ByteArray<32> out;
    Sponge(136, 0x06).absorb(bytes).squeeze(out);
    return out;
}

void sha3_512(base::ByteView bytes, std::span<std::uint8_t, 64> out) {
    Sponge(72, 0x06).absorb(bytes).squeeze(out);
}

}  // namespace kith::crypto
