#include "crypto/mldsa/encode.h"

#include "base/check.h"
#include "base/declassify.h"
#include "crypto/constant_time.h"
#include "crypto/keccak.h"

namespace kith::crypto::mldsa {
namespace {

// FIPS 204 algorithms 16 to 19: `bits` bits per coefficient, least significant first.
template <unsigned Bits>
void pack(Poly const& a, std::uint8_t* out, auto to_unsigned) {
    std::uint64_t pending = 0;
    unsigned count = 0;
    for (auto const c : a.c) {
        pending |= std::uint64_t{static_cast<std::uint32_t>(to_unsigned(c))} << count;
        for (count += Bits; count >= 8; count -= 8) {
            *out++ = static_cast<std::uint8_t>(pending);
            pending >>= 8;
        }
    }
}

template <unsigned Bits>
Poly unpack(std::uint8_t const* in, auto from_unsigned) {
    Poly out;
    std::uint64_t pending = 0;
    unsigned count = 0;
    for (auto& c : out.c) {
        for (; count < Bits; count += 8) pending |= std::uint64_t{*in++} << count;
        c = from_unsigned(static_cast<std::int32_t>(pending & ((1U << Bits) - 1)));
        pending >>= Bits;
        count -= Bits;
    }
    return out;
}

constexpr auto same = [](std::int32_t c) { return c; };
constexpr auto from_t0 = [](std::int32_t c) { return (1 << (dropped_bits - 1)) - c; };
constexpr auto from_eta = [](std::int32_t c) { return eta - c; };
constexpr auto from_gamma1 = [](std::int32_t c) { return gamma1 - c; };

Sponge expand(In<64> seed, std::uint16_t nonce) {
    std::uint8_t const suffix[2] = {static_cast<std::uint8_t>(nonce),
                                    static_cast<std::uint8_t>(nonce >> 8)};
    auto sponge = shake256();
    sponge.absorb(seed).absorb(suffix);
    return sponge;
}

// FIPS 204 algorithm 30 (RejNTTPoly).
void sample_uniform(Poly& out, In<32> rho, std::uint8_t column, std::uint8_t row) {
    auto sponge = shake128();
    std::uint8_t const suffix[2] = {column, row};
    sponge.absorb(rho).absorb(suffix);
    static_assert(shake128_rate % 3 == 0);
    base::ByteArray<shake128_rate> block;
    for (std::size_t have = 0; have < n;) {
        sponge.squeeze(block);
        for (std::size_t i = 0; i < block.size() && have < n; i += 3) {
            auto const c = static_cast<std::int32_t>(block[i] | (block[i + 1] << 8) |
                                                     ((block[i + 2] & 0x7f) << 16));
            if (c < q) out.c[have++] = c;
        }
    }
}

}  // namespace

void encode_t1(Poly const& a, Out<t1_bytes> out) {
    pack<10>(a, out.data(), same);
}
Poly decode_t1(In<t1_bytes> in) {
    return unpack<10>(in.data(), same);
}
void encode_t0(Poly const& a, Out<t0_bytes> out) {
    pack<13>(a, out.data(), from_t0);
}
Poly decode_t0(In<t0_bytes> in) {
    return unpack<13>(in.data(), from_t0);
}
void encode_eta(Poly const& a, Out<eta_bytes> out) {
    pack<4>(a, out.data(), from_eta);
}
bool decode_eta(Poly& a, In<eta_bytes> in) {
    a = unpack<4>(in.data(), from_eta);
    return norm_below(a, eta + 1);
}
void encode_z(Poly const& a, Out<z_bytes> out) {
    pack<20>(a, out.data(), from_gamma1);
}
Poly decode_z(In<z_bytes> in) {
    return unpack<20>(in.data(), from_gamma1);
}
void encode_w1(Poly const& a, Out<w1_bytes> out) {
    pack<4>(a, out.data(), same);
}

void encode_hint(Vector<rows> const& hint, Out<hint_bytes> out) {
    std::ranges::fill(out, std::uint8_t{0});
    std::size_t count = 0;
    for (std::size_t row = 0; row < rows; ++row) {
        for (std::size_t i = 0; i < n; ++i) {
            if (hint[row].c[i] == 0) continue;
            KITH_ASSERT(count < omega);
            out[count++] = static_cast<std::uint8_t>(i);
        }
        out[omega + row] = static_cast<std::uint8_t>(count);
    }
}

bool decode_hint(Vector<rows>& hint, In<hint_bytes> in) {
    hint = {};
    std::size_t count = 0;
    for (std::size_t row = 0; row < rows; ++row) {
        std::size_t const end = in[omega + row];
        if (end < count || end > omega) return false;
        for (auto const first = count; count < end; ++count) {
            if (count > first && in[count] <= in[count - 1]) return false;
            hint[row].c[in[count]] = 1;
        }
    }
    for (; count < omega; ++count)
        if (in[count] != 0) return false;
    return true;
}

Poly sample_in_ball(In<challenge_bytes> seed) {
    auto sponge = shake256();
    sponge.absorb(seed);
    base::ByteArray<8> sign_bytes;
    sponge.squeeze(sign_bytes);
    auto signs = base::load_le<std::uint64_t>(sign_bytes);
    Poly out;
    for (std::size_t i = n - tau; i < n; ++i) {
        std::uint8_t place = 0;
        do {
            sponge.squeeze({&place, 1});
        } while (place > i);
        out.c[i] = out.c[place];
        out.c[place] = 1 - 2 * static_cast<std::int32_t>(signs & 1);
        signs >>= 1;
    }
    return out;
}

void expand_matrix(Matrix& matrix, In<32> rho) {
    for (std::uint8_t row = 0; row < rows; ++row)
        for (std::uint8_t column = 0; column < columns; ++column)
            sample_uniform(matrix[row][column], rho, column, row);
}

// FIPS 204 algorithm 31 (RejBoundedPoly) for eta = 4.
Poly sample_eta(In<64> rho_prime, std::uint16_t nonce) {
    auto sponge = expand(rho_prime, nonce);
    Poly out;
    base::ByteArray<shake256_rate> block;
    for (std::size_t have = 0; have < n;) {
        sponge.squeeze(block);
        for (std::size_t i = 0; i < block.size() && have < n; ++i) {
            std::int32_t const low = block[i] & 15;
            std::int32_t const high = block[i] >> 4;
            // That a nibble is rejected says nothing about those that are not.
            if (base::declassified(low < 9)) out.c[have++] = eta - low;
            if (base::declassified(high < 9) && have < n) out.c[have++] = eta - high;
        }
    }
    wipe(block);
    return out;
}

// FIPS 204 algorithm 34 (ExpandMask), one polynomial.
Poly sample_mask(In<64> rho_second, std::uint16_t nonce) {
    auto sponge = expand(rho_second, nonce);
    base::ByteArray<z_bytes> bytes;
    sponge.squeeze(bytes);
    auto const out = decode_z(bytes);
    wipe(bytes);
    return out;
}

}  // namespace kith::crypto::mldsa
