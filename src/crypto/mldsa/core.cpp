#include "crypto/mldsa/core.h"

#include "base/check.h"
#include "base/declassify.h"
#include "crypto/keccak.h"
#include "crypto/wiped.h"

namespace kith::crypto::mldsa {

using base::Code;
using base::fail;

namespace {

// FIPS 204 figure 1 and algorithms 22 to 27: where the parts of keys and signatures lie.
constexpr std::size_t rho_bytes = 32;
constexpr std::size_t k_offset = 32;
constexpr std::size_t tr_offset = 64;
constexpr std::size_t s1_offset = 128;
constexpr std::size_t s2_offset = s1_offset + columns * eta_bytes;
constexpr std::size_t t0_offset = s2_offset + rows * eta_bytes;
constexpr std::size_t z_offset = challenge_bytes;
constexpr std::size_t hint_offset = z_offset + columns * z_bytes;
static_assert(rho_bytes + rows * t1_bytes == mldsa65_public_key_bytes);
static_assert(t0_offset + rows * t0_bytes == mldsa65_expanded_key_bytes);
static_assert(hint_offset + hint_bytes == mldsa65_signature_bytes);

// The part of `bytes` with index i of a run of equal parts.
template <std::size_t Size>
In<Size> part(base::ByteView bytes, std::size_t offset, std::size_t i = 0) {
    return bytes.subspan(offset + i * Size).first<Size>();
}
template <std::size_t Size>
Out<Size> part(base::MutableByteView bytes, std::size_t offset, std::size_t i = 0) {
    return bytes.subspan(offset + i * Size).first<Size>();
}

void ntt_all(auto& vector) {
    for (auto& poly : vector) ntt(poly);
}

// out = inverse NTT of matrix * vector.
void multiply_matrix(Vector<rows>& out, Matrix const& matrix, Vector<columns> const& vector) {
    for (std::size_t row = 0; row < rows; ++row) {
        multiply(out[row], matrix[row].data(), vector.data(), columns);
        inverse_ntt(out[row]);
    }
}

// H(mu || w1Encode(w1)).
base::ByteArray<challenge_bytes> commit(Representative const& mu, Vector<rows> const& w1) {
    auto sponge = shake256();
    sponge.absorb(mu);
    for (auto const& poly : w1) {
        base::ByteArray<w1_bytes> bytes;
        encode_w1(poly, bytes);
        sponge.absorb(bytes);
    }
    base::ByteArray<challenge_bytes> out;
    sponge.squeeze(out);
    return out;
}

void declassify_poly(Poly const& poly) {
    base::declassify({reinterpret_cast<std::uint8_t const*>(&poly), sizeof poly});
}

struct KeyPolys {
    Vector<columns> s1;
    Vector<rows> s2;
    Vector<rows> t0;
};

struct Attempt {
    Vector<columns> y;
    Vector<columns> z;
    Vector<rows> low;  // w0, then r0, then r0 + c t0
    Vector<rows> w1;
    Vector<rows> hint;
};

struct Challenge {
    base::ByteArray<challenge_bytes> seed;
    Poly ntt;
};

// Lines 11 to 16: mask, commitment, challenge.
Challenge commit_to_mask(Attempt& attempt, Matrix const& matrix, Representative const& mu,
                         In<64> rho_second, std::uint16_t kappa) {
    for (std::size_t i = 0; i < columns; ++i)
        attempt.y[i] = sample_mask(rho_second, static_cast<std::uint16_t>(kappa + i));
    attempt.z = attempt.y;
    ntt_all(attempt.z);
    multiply_matrix(attempt.low, matrix, attempt.z);
    for (std::size_t row = 0; row < rows; ++row) {
        for (std::size_t i = 0; i < n; ++i) {
            auto const split = decompose(to_positive(attempt.low[row].c[i]));
            attempt.w1[row].c[i] = split.high;
            attempt.low[row].c[i] = split.low;
        }
    }
    // The challenge of a rejected try is a hash value that says nothing about the key (FIPS
    // 204 3.6.3), so that sample_in_ball may branch on it.
    Challenge challenge{commit(mu, attempt.w1), {}};
    base::declassify(challenge.seed);
    challenge.ntt = sample_in_ball(challenge.seed);
    ntt(challenge.ntt);
    return challenge;
}

// out = c * a for a in ntt range, reduced.
void times_challenge(Poly& out, Challenge const& challenge, Poly const& a) {
    multiply(out, &challenge.ntt, &a, 1);
    inverse_ntt(out);
}

// Lines 18 to 28: response, its norms, hint. False: rejected. Whether and why a try is rejected is
// public.
bool respond(Attempt& attempt, KeyPolys const& key, Challenge const& challenge) {
    Wiped<Poly> product;
    for (std::size_t i = 0; i < columns; ++i) {
        times_challenge(attempt.z[i], challenge, key.s1[i]);
        add(attempt.z[i], attempt.y[i]);
        reduce(attempt.z[i]);
        if (!norm_below(attempt.z[i], gamma1 - beta)) return false;
    }
    for (std::size_t row = 0; row < rows; ++row) {
        times_challenge(product.value, challenge, key.s2[row]);
        subtract(attempt.low[row], product.value);
        reduce(attempt.low[row]);
        if (!norm_below(attempt.low[row], gamma2 - beta)) return false;
    }
    std::size_t ones = 0;
    for (std::size_t row = 0; row < rows; ++row) {
        times_challenge(product.value, challenge, key.t0[row]);
        reduce(product.value);
        // Line 28 asks for this norm. With the numbers of ML-DSA-65 it cannot fail (tau
        // coefficients of c are 1 or -1, those of t0 are at most 2^12), which is why no vector
        // reaches it; it stays as the algorithm has it.
        static_assert(static_cast<std::int32_t>(tau) << (dropped_bits - 1) < gamma2);
        if (!norm_below(product.value, gamma2)) return false;
        add(attempt.low[row], product.value);
        for (std::size_t i = 0; i < n; ++i) {
            attempt.hint[row].c[i] = make_hint(attempt.low[row].c[i], attempt.w1[row].c[i]);
            ones += static_cast<std::size_t>(attempt.hint[row].c[i]);
        }
    }
    return base::declassified(ones <= omega);
}

bool decode_key(KeyPolys& key, ExpandedKey const& expanded) {
    auto const bytes = expanded.view();
    for (std::size_t i = 0; i < columns; ++i)
        if (!decode_eta(key.s1[i], part<eta_bytes>(bytes, s1_offset, i))) return false;
    for (std::size_t i = 0; i < rows; ++i) {
        if (!decode_eta(key.s2[i], part<eta_bytes>(bytes, s2_offset, i))) return false;
        key.t0[i] = decode_t0(part<t0_bytes>(bytes, t0_offset, i));
    }
    ntt_all(key.s1);
    ntt_all(key.s2);
    ntt_all(key.t0);
    return true;
}

MlDsa65Signature encode_signature(Challenge const& challenge, Attempt const& attempt) {
    MlDsa65Signature out;
    std::ranges::copy(challenge.seed, out.begin());
    for (std::size_t i = 0; i < columns; ++i)
        encode_z(attempt.z[i], part<z_bytes>(base::MutableByteView(out), z_offset, i));
    encode_hint(attempt.hint, part<hint_bytes>(base::MutableByteView(out), hint_offset));
    return out;
}

}  // namespace

void generate_key(MlDsa65Seed const& seed, MlDsa65PublicKey& public_key, ExpandedKey& expanded) {
    struct Parts {
        base::ByteArray<128> hashed;  // rho || rho' || K
        Vector<columns> s1;
        Vector<columns> s1_ntt;
        Vector<rows> s2;
        Vector<rows> t;
        Matrix matrix;
    };
    Wiped<Parts> parts;
    std::uint8_t const sizes[2] = {rows, columns};
    shake256().absorb(seed.view()).absorb(sizes).squeeze(parts->hashed);
    base::ByteView const hashed = parts->hashed;
    auto const rho = part<rho_bytes>(hashed, 0);
    auto const rho_prime = part<64>(hashed, rho_bytes);

    for (std::uint16_t i = 0; i < columns; ++i) parts->s1[i] = sample_eta(rho_prime, i);
    for (std::uint16_t i = 0; i < rows; ++i)
        parts->s2[i] = sample_eta(rho_prime, static_cast<std::uint16_t>(columns + i));
    parts->s1_ntt = parts->s1;
    ntt_all(parts->s1_ntt);
    base::declassify(rho);  // a part of the public key
    expand_matrix(parts->matrix, rho);
    multiply_matrix(parts->t, parts->matrix, parts->s1_ntt);

    auto const out = base::MutableByteView(expanded.mutable_view());
    auto const out_public = base::MutableByteView(public_key);
    std::ranges::copy(rho, out_public.begin());
    for (std::size_t row = 0; row < rows; ++row) {
        add(parts->t[row], parts->s2[row]);
        reduce(parts->t[row]);
        to_positive(parts->t[row]);
        Wiped<Poly> high;
        for (std::size_t i = 0; i < n; ++i) {
            auto const split = power2_round(parts->t[row].c[i]);
            high->c[i] = split.high;
            parts->t[row].c[i] = split.low;
        }
        encode_t1(high.value, part<t1_bytes>(out_public, rho_bytes, row));
        encode_t0(parts->t[row], part<t0_bytes>(out, t0_offset, row));
        encode_eta(parts->s2[row], part<eta_bytes>(out, s2_offset, row));
    }
    for (std::size_t i = 0; i < columns; ++i)
        encode_eta(parts->s1[i], part<eta_bytes>(out, s1_offset, i));
    std::ranges::copy(rho, out.begin());
    std::ranges::copy(hashed.last(32), out.begin() + k_offset);
    std::ranges::copy(public_key_hash(public_key), out.begin() + tr_offset);
}

base::ByteArray<64> public_key_hash(MlDsa65PublicKey const& public_key) {
    base::ByteArray<64> out;
    shake256().absorb(public_key).squeeze(out);
    return out;
}

In<64> public_key_hash(ExpandedKey const& expanded) {
    return part<64>(base::ByteView(expanded.view()), tr_offset);
}

Representative represent(In<64> public_key_hash, base::ByteView prefix, base::ByteView context,
                         base::ByteView message) {
    Representative out;
    auto sponge = shake256();
    sponge.absorb(public_key_hash).absorb(prefix).absorb(context).absorb(message);
    sponge.squeeze(out);
    return out;
}

base::Result<Representative> represent_pure(In<64> public_key_hash, base::ByteView context,
                                            base::ByteView message) {
    if (context.size() > mldsa65_context_bytes_max)
        return fail(Code::invalid, "ML-DSA context string is longer than 255 bytes");
    std::uint8_t const prefix[2] = {0, static_cast<std::uint8_t>(context.size())};
    return represent(public_key_hash, prefix, context, message);
}

base::Result<MlDsa65Signature> sign(ExpandedKey const& expanded, Representative const& mu,
                                    In<32> random, unsigned attempts) {
    Wiped<KeyPolys> key;
    if (!decode_key(key.value, expanded))
        return fail(Code::invalid, "expanded ML-DSA key is malformed");
    auto const bytes = base::ByteView(expanded.view());
    Matrix matrix;
    base::declassify(part<rho_bytes>(bytes, 0));  // a part of the public key
    expand_matrix(matrix, part<rho_bytes>(bytes, 0));
    Wiped<base::ByteArray<64>> rho_second;
    shake256()
        .absorb(part<32>(bytes, k_offset))
        .absorb(random)
        .absorb(mu)
        .squeeze(rho_second.value);

    KITH_ASSERT(attempts <= attempts_max);
    Wiped<Attempt> attempt;
    return first_accepted(attempts, [&](std::uint16_t kappa) -> std::optional<MlDsa65Signature> {
        auto const challenge = commit_to_mask(attempt.value, matrix, mu, rho_second.value, kappa);
        if (!respond(attempt.value, key.value, challenge)) return std::nullopt;
        // Accepted: response and hint are about to be published.
        for (auto const& poly : attempt->z) declassify_poly(poly);
        for (auto const& poly : attempt->hint) declassify_poly(poly);
        return encode_signature(challenge, attempt.value);
    });
}

bool verify(MlDsa65PublicKey const& public_key, Representative const& mu,
            base::ByteView signature) {
    if (signature.size() != mldsa65_signature_bytes) return false;
    Vector<rows> hint;
    if (!decode_hint(hint, part<hint_bytes>(signature, hint_offset))) return false;
    Vector<columns> z;
    for (std::size_t i = 0; i < columns; ++i) {
        z[i] = decode_z(part<z_bytes>(signature, z_offset, i));
        if (!norm_below(z[i], gamma1 - beta)) return false;
        ntt(z[i]);
    }
    auto const seed = part<challenge_bytes>(signature, 0);
    auto challenge = sample_in_ball(seed);
    ntt(challenge);

    base::ByteView const key = public_key;
    Matrix matrix;
    expand_matrix(matrix, part<rho_bytes>(key, 0));
    Vector<rows> w1;
    for (std::size_t row = 0; row < rows; ++row) {
        auto t1 = decode_t1(part<t1_bytes>(key, rho_bytes, row));
        for (auto& c : t1.c) c <<= dropped_bits;  // at most 1023 * 2^13 < q
        ntt(t1);
        Poly product;
        multiply(product, &challenge, &t1, 1);
        multiply(w1[row], matrix[row].data(), z.data(), columns);
        subtract(w1[row], product);
        reduce(w1[row]);
        inverse_ntt(w1[row]);
        to_positive(w1[row]);
        for (std::size_t i = 0; i < n; ++i) w1[row].c[i] = use_hint(w1[row].c[i], hint[row].c[i]);
    }
    return base::equal(commit(mu, w1), seed);
}

}  // namespace kith::crypto::mldsa
