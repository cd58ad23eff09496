#include "crypto/mlkem/poly.h"

#include "crypto/constant_time.h"
#include "crypto/keccak.h"

namespace kith::crypto::mlkem {
namespace {

constexpr std::int32_t power(std::int32_t base, unsigned exponent) {
    std::int32_t out = 1;
    for (unsigned i = 0; i < exponent; ++i) out = out * base % q;
    return out;
}

constexpr std::int16_t centred(std::int32_t a) {
    return static_cast<std::int16_t>(a > q / 2 ? a - q : a);
}

constexpr std::int32_t montgomery_one = (1 << 16) % q;

// FIPS 203 appendix A: 17 to the bit-reversed i, times 2^16.
consteval std::array<std::int16_t, n / 2> make_zetas() {
    std::array<std::int16_t, n / 2> out{};
    for (unsigned i = 0; i < n / 2; ++i) {
        unsigned reversed = 0;
        for (unsigned bit = 0; bit < 7; ++bit) reversed |= ((i >> bit) & 1) << (6 - bit);
        out[i] = centred(power(17, reversed) * montgomery_one % q);
    }
    return out;
}
constexpr auto zetas = make_zetas();

// 2^32 / 128 and 2^32 mod q.
constexpr std::int16_t montgomery_squared = centred(montgomery_one * montgomery_one % q);
constexpr std::int16_t inverse_scale =
    centred(montgomery_one * montgomery_one % q * power(128, q - 2) % q);

template <unsigned Bits>
consteval bool compress_is_exact() {
    for (std::uint32_t x = 0; x < static_cast<std::uint32_t>(q); ++x) {
        auto const exact = ((x << (Bits + 1)) + q) / (2 * q) % (1U << Bits);
        if (compress<Bits>(static_cast<std::uint16_t>(x)) != exact) return false;
    }
    return true;
}
static_assert(compress_is_exact<1>());
static_assert(compress_is_exact<4>());
static_assert(compress_is_exact<10>());

constexpr std::int16_t product(std::int32_t a, std::int32_t b) {
    return montgomery_reduce(a * b);
}

}  // namespace

namespace {

// a * zeta * 2^-16 mod q, |result| < q, for any 16-bit a; `zeta_low` is zeta / q mod 2^16. The same
// as montgomery_reduce(a * zeta), in 16-bit steps of which compilers make vector instructions.
constexpr std::int16_t times_zeta(std::int16_t a, std::int16_t zeta, std::int16_t zeta_low) {
    auto const t = static_cast<std::int16_t>(a * zeta_low);
    auto const high = static_cast<std::int16_t>((a * zeta) >> 16);
    auto const high_of_t = static_cast<std::int16_t>((t * q) >> 16);
    return static_cast<std::int16_t>(high - high_of_t);
}

constexpr std::int16_t low_of(std::int16_t zeta) {
    constexpr std::uint32_t q_inverse = 62209;  // q^-1 mod 2^16
    return static_cast<std::int16_t>(static_cast<std::uint32_t>(zeta) * q_inverse);
}

// One layer of the transform. The length is a constant so that the loops have known bounds.
template <std::size_t Length>
void ntt_layer(Poly& a) {
    for (std::size_t block = 0; block < n / (2 * Length); ++block) {
        auto const zeta = zetas[n / (2 * Length) + block];
        auto const zeta_low = low_of(zeta);
        auto* const low = a.c.data() + 2 * Length * block;
        for (std::size_t i = 0; i < Length; ++i) {
            auto const t = times_zeta(low[i + Length], zeta, zeta_low);
            low[i + Length] = static_cast<std::int16_t>(low[i] - t);
            low[i] = static_cast<std::int16_t>(low[i] + t);
        }
    }
}

template <std::size_t Length>
void inverse_layer(Poly& a) {
    for (std::size_t block = 0; block < n / (2 * Length); ++block) {
        auto const zeta = zetas[n / Length - 1 - block];
        auto const zeta_low = low_of(zeta);
        auto* const low = a.c.data() + 2 * Length * block;
        for (std::size_t i = 0; i < Length; ++i) {
            auto const difference = static_cast<std::int16_t>(low[i + Length] - low[i]);
            low[i] = static_cast<std::int16_t>(low[i] + low[i + Length]);
            low[i + Length] = times_zeta(difference, zeta, zeta_low);
        }
    }
}

}  // namespace

void ntt(Poly& a) {
    ntt_layer<128>(a);
    ntt_layer<64>(a);
    ntt_layer<32>(a);
    ntt_layer<16>(a);
    ntt_layer<8>(a);
    ntt_layer<4>(a);
    ntt_layer<2>(a);
    static_assert(8 * q <= INT16_MAX);  // seven layers add at most q each
    reduce(a);
}

void inverse_ntt(Poly& a) {
    // A layer doubles the bound of the sums: from q three layers reach 8 q, from q / 2 (products:
    // q) four do.
    static_assert(8 * q <= INT16_MAX);
    inverse_layer<2>(a);
    inverse_layer<4>(a);
    inverse_layer<8>(a);
    reduce(a);
    inverse_layer<16>(a);
    inverse_layer<32>(a);
    inverse_layer<64>(a);
    inverse_layer<128>(a);
    for (auto& c : a.c) c = times_zeta(c, inverse_scale, low_of(inverse_scale));
}

void multiply(Poly& out, Vector const& a, Vector const& b) {
    // Per pair and vector element at most q * q / 2 * 2; three of them stay below 2^15 q.
    static_assert(rank * q <= 1 << 15);
    for (std::size_t i = 0; i < n / 4; ++i) {
        for (std::size_t half = 0; half < 2; ++half) {
            auto const at = 4 * i + 2 * half;
            std::int32_t const zeta = half == 0 ? zetas[64 + i] : -zetas[64 + i];
            std::int32_t even = 0;
            std::int32_t odd = 0;
            for (std::size_t j = 0; j < rank; ++j) {
                auto const& x = a[j].c;
                auto const& y = b[j].c;
                even += x[at] * y[at] + product(x[at + 1], y[at + 1]) * zeta;
                odd += x[at] * y[at + 1] + x[at + 1] * y[at];
            }
            out.c[at] = montgomery_reduce(even);
            out.c[at + 1] = montgomery_reduce(odd);
        }
    }
}

void to_montgomery(Poly& a) {
    for (auto& c : a.c) c = product(c, montgomery_squared);
}

void add(Poly& a, Poly const& b) {
    for (std::size_t i = 0; i < n; ++i) a.c[i] = static_cast<std::int16_t>(a.c[i] + b.c[i]);
}

void reduce(Poly& a) {
    for (auto& c : a.c) c = reduce(c);
}

template <unsigned Bits>
void encode(Poly const& a, Out<32 * Bits> out) {
    std::uint32_t pending = 0;
    unsigned count = 0;
    std::size_t next = 0;
    for (auto const c : a.c) {
        std::uint32_t value = to_positive(c);
        if constexpr (Bits < 12) value = compress<Bits>(static_cast<std::uint16_t>(value));
        pending |= value << count;
        for (count += Bits; count >= 8; count -= 8) {
            out[next++] = static_cast<std::uint8_t>(pending);
            pending >>= 8;
        }
    }
}

template <unsigned Bits>
void decode(Poly& a, In<32 * Bits> in) {
    std::uint32_t pending = 0;
    unsigned count = 0;
    std::size_t next = 0;
    for (auto& c : a.c) {
        for (; count < Bits; count += 8) pending |= std::uint32_t{in[next++]} << count;
        auto const value = static_cast<std::uint16_t>(pending & ((1U << Bits) - 1));
        pending >>= Bits;
        count -= Bits;
        if constexpr (Bits < 12) {
            c = decompress<Bits>(value);
        } else {
            auto const below =
                static_cast<std::int16_t>(value - q);  // 12 bits: at most one q too many
            c = static_cast<std::int16_t>(to_positive(below));
        }
    }
}

template void encode<1>(Poly const&, Out<32>);
template void encode<4>(Poly const&, Out<128>);
template void encode<10>(Poly const&, Out<320>);
template void encode<12>(Poly const&, Out<384>);
template void decode<1>(Poly&, In<32>);
template void decode<4>(Poly&, In<128>);
template void decode<10>(Poly&, In<320>);
template void decode<12>(Poly&, In<384>);

// FIPS 203 algorithm 7. As many blocks as it takes: a fixed number fails for unlucky seeds.
void sample_uniform(Poly& out, In<32> rho, std::uint8_t column, std::uint8_t row) {
    auto sponge = shake128();
    std::uint8_t const suffix[2] = {column, row};
    sponge.absorb(rho).absorb(suffix);
    static_assert(shake128_rate % 3 == 0);
    base::ByteArray<shake128_rate> block;
    for (std::size_t have = 0; have < n;) {
        sponge.squeeze(block);
        for (std::size_t i = 0; i < block.size() && have < n; i += 3) {
            auto const first = static_cast<std::int16_t>(block[i] | ((block[i + 1] & 15) << 8));
            auto const second =
                static_cast<std::int16_t>((block[i + 1] >> 4) | (block[i + 2] << 4));
            if (first < q) out.c[have++] = first;
            if (second < q && have < n) out.c[have++] = second;
        }
    }
}

// FIPS 203 algorithm 8 for eta = 2: each nibble gives the difference of two two-bit sums.
void sample_binomial(Poly& out, In<32> seed, std::uint8_t nonce) {
    base::ByteArray<128> bytes;
    shake256().absorb(seed).absorb({&nonce, 1}).squeeze(bytes);
    for (std::size_t i = 0; i < n; ++i) {
        auto const nibble = bytes[i / 2] >> (4 * (i % 2));
        out.c[i] = static_cast<std::int16_t>((nibble & 1) + ((nibble >> 1) & 1) -
                                             ((nibble >> 2) & 1) - ((nibble >> 3) & 1));
    }
    wipe(bytes);
}

}  // namespace kith::crypto::mlkem
