#include "crypto/mldsa/poly.h"

#include "base/check.h"
#include "base/declassify.h"

namespace kith::crypto::mldsa {
namespace {

constexpr std::int64_t power(std::int64_t base, unsigned exponent) {
    std::int64_t out = 1;
    for (; exponent > 0; exponent >>= 1) {
        if ((exponent & 1) != 0) out = out * base % q;
        base = base * base % q;
    }
    return out;
}

constexpr std::int32_t centred(std::int64_t a) {
    return static_cast<std::int32_t>(a > q / 2 ? a - q : a);
}

constexpr std::int64_t montgomery_one = (std::int64_t{1} << 32) % q;

// FIPS 204 appendix B: 1753 to the bit-reversed i, here times 2^32 for montgomery_reduce.
consteval std::array<std::int32_t, n> make_zetas() {
    std::array<std::int32_t, n> out{};
    for (unsigned i = 0; i < n; ++i) {
        unsigned reversed = 0;
        for (unsigned bit = 0; bit < 8; ++bit) reversed |= ((i >> bit) & 1) << (7 - bit);
        out[i] = centred(power(1753, reversed) * montgomery_one % q);
    }
    return out;
}
constexpr auto zetas = make_zetas();

// 2^64 / 256 mod q: the inverse of 256, twice in Montgomery form.
constexpr std::int32_t inverse_scale =
    centred(montgomery_one * montgomery_one % q * power(256, q - 2) % q);
static_assert(inverse_scale == 41978);

}  // namespace

void ntt(Poly& a) {
    std::size_t next = 0;
    for (std::size_t length = n / 2; length > 0; length /= 2) {
        for (std::size_t start = 0; start < n; start += 2 * length) {
            std::int64_t const zeta = zetas[++next];
            for (std::size_t i = start; i < start + length; ++i) {
                auto const t = montgomery_reduce(zeta * a.c[i + length]);
                a.c[i + length] = a.c[i] - t;
                a.c[i] += t;
            }
        }
    }
}

void inverse_ntt(Poly& a) {
    // Sums double at each of the eight layers: 256 q still fits.
    static_assert(std::int64_t{256} * q <= INT32_MAX);
    std::size_t next = n;
    for (std::size_t length = 1; length < n; length *= 2) {
        for (std::size_t start = 0; start < n; start += 2 * length) {
            std::int64_t const zeta = -zetas[--next];
            for (std::size_t i = start; i < start + length; ++i) {
                auto const t = a.c[i];
                a.c[i] = t + a.c[i + length];
                a.c[i + length] = montgomery_reduce(zeta * (t - a.c[i + length]));
            }
        }
    }
    for (auto& c : a.c) c = montgomery_reduce(std::int64_t{inverse_scale} * c);
}

void multiply(Poly& out, Poly const* a, Poly const* b, std::size_t count) {
    // count * 9 q * 9 q must stay below 2^31 q, or 9 q * q for a matrix row times an ntt vector.
    static_assert(std::int64_t{6} * 9 * q < (std::int64_t{1} << 31));
    static_assert(std::int64_t{81} * q < (std::int64_t{1} << 31));
    KITH_ASSERT(count >= 1 && count <= 6);
    for (std::size_t i = 0; i < n; ++i) {
        std::int64_t sum = 0;
        for (std::size_t j = 0; j < count; ++j) sum += std::int64_t{a[j].c[i]} * b[j].c[i];
        out.c[i] = montgomery_reduce(sum);
    }
}

void add(Poly& a, Poly const& b) {
    for (std::size_t i = 0; i < n; ++i) a.c[i] += b.c[i];
}

void subtract(Poly& a, Poly const& b) {
    for (std::size_t i = 0; i < n; ++i) a.c[i] -= b.c[i];
}

void reduce(Poly& a) {
    for (auto& c : a.c) c = reduce(c);
}

void to_positive(Poly& a) {
    for (auto& c : a.c) c = to_positive(c);
}

bool norm_below(Poly const& a, std::int32_t bound) {
    std::uint32_t exceeded = 0;
    for (auto const c : a.c) {
        auto const sign = c >> 31;
        auto const magnitude = (c ^ sign) - sign;
        exceeded |= static_cast<std::uint32_t>(bound - 1 - magnitude) >> 31;
    }
    // In signing this is whether and why a try is rejected, which is public (FIPS 204 3.6.3 and the
    // security proof); the loop above has looked at every coefficient.
    return base::declassified(exceeded) == 0;
}

}  // namespace kith::crypto::mldsa
