#include "crypto/mlkem/core.h"

#include "base/declassify.h"
#include "crypto/keccak.h"
#include "crypto/wiped.h"

namespace kith::crypto::mlkem {
namespace {

// FIPS 203 algorithms 13 and 16: where the parts of keys and ciphertexts lie.
constexpr std::size_t poly_bytes = 384;
constexpr std::size_t rho_offset = rank * poly_bytes;
constexpr std::size_t public_offset = rank * poly_bytes;  // in an expanded key, after s
constexpr std::size_t hash_offset = public_offset + mlkem768_public_key_bytes;
constexpr std::size_t z_offset = hash_offset + 32;
constexpr unsigned u_bits = 10;
constexpr unsigned v_bits = 4;
constexpr std::size_t u_bytes = 32 * u_bits;
constexpr std::size_t v_offset = rank * u_bytes;
static_assert(rho_offset + 32 == mlkem768_public_key_bytes);
static_assert(z_offset + 32 == mlkem768_expanded_key_bytes);
static_assert(v_offset + 32 * v_bits == mlkem768_ciphertext_bytes);

template <std::size_t Size>
In<Size> part(base::ByteView bytes, std::size_t offset, std::size_t i = 0) {
    return bytes.subspan(offset + i * Size).first<Size>();
}
template <std::size_t Size>
Out<Size> part(base::MutableByteView bytes, std::size_t offset, std::size_t i = 0) {
    return bytes.subspan(offset + i * Size).first<Size>();
}

enum class Order { as_is, transposed };

void expand_matrix(Matrix& out, In<32> rho, Order order) {
    for (std::uint8_t i = 0; i < rank; ++i)
        for (std::uint8_t j = 0; j < rank; ++j)
            sample_uniform(order == Order::as_is ? out[i][j] : out[j][i], rho, j, i);
}

void sample_vector(Vector& out, In<32> seed, std::uint8_t nonce) {
    for (auto& poly : out) sample_binomial(poly, seed, nonce++);
}

void ntt_all(Vector& vector) {
    for (auto& poly : vector) ntt(poly);
}

struct EncryptionState {
    Vector y;
    Vector e1;
    Poly e2;
    Poly message;
};

// Algorithm 14 (K-PKE.Encrypt).
void encrypt(MlKem768PublicKey const& public_key, In<32> message, In<32> random,
             MlKem768Ciphertext& out) {
    base::ByteView const key = public_key;
    Wiped<EncryptionState> state;
    Matrix matrix;
    Vector t;
    for (std::size_t i = 0; i < rank; ++i) decode<12>(t[i], part<poly_bytes>(key, 0, i));
    expand_matrix(matrix, part<32>(key, rho_offset), Order::transposed);
    sample_vector(state->y, random, 0);
    sample_vector(state->e1, random, rank);
    sample_binomial(state->e2, random, 2 * rank);
    ntt_all(state->y);

    Wiped<Poly> result;
    for (std::size_t i = 0; i < rank; ++i) {
        multiply(result.value, matrix[i], state->y);
        inverse_ntt(result.value);
        add(result.value, state->e1[i]);
        reduce(result.value);
        encode<u_bits>(result.value, part<u_bytes>(base::MutableByteView(out), 0, i));
    }
    multiply(result.value, t, state->y);
    inverse_ntt(result.value);
    decode<1>(state->message, message);
    add(result.value, state->e2);
    add(result.value, state->message);
    reduce(result.value);
    encode<v_bits>(result.value, part<32 * v_bits>(base::MutableByteView(out), v_offset));
}

struct DecryptionState {
    Vector s;
    Vector u;
    Poly v;
    Poly product;
};

// Algorithm 15 (K-PKE.Decrypt).
void decrypt(ExpandedKey const& expanded, MlKem768Ciphertext const& ciphertext, Out<32> message) {
    Wiped<DecryptionState> state;
    base::ByteView const key = expanded.view();
    base::ByteView const in = ciphertext;
    for (std::size_t i = 0; i < rank; ++i) {
        decode<12>(state->s[i], part<poly_bytes>(key, 0, i));
        decode<u_bits>(state->u[i], part<u_bytes>(in, 0, i));
    }
    decode<v_bits>(state->v, part<32 * v_bits>(in, v_offset));
    ntt_all(state->u);
    multiply(state->product, state->s, state->u);
    inverse_ntt(state->product);
    for (std::size_t i = 0; i < n; ++i)
        state->v.c[i] = reduce(static_cast<std::int16_t>(state->v.c[i] - state->product.c[i]));
    encode<1>(state->v, message);
}

}  // namespace

// Algorithms 13 (K-PKE.KeyGen) and 16.
void generate_key(MlKem768Seed const& seed, MlKem768PublicKey& public_key, ExpandedKey& expanded) {
    struct Parts {
        base::ByteArray<33> input;
        base::ByteArray<64> seeds;  // rho || sigma
        Vector s;
        Vector e;
        Poly t;
    };
    Wiped<Parts> parts;
    std::ranges::copy(part<32>(base::ByteView(seed.view()), 0), parts->input.begin());
    parts->input[32] = rank;  // domain separation of the final FIPS 203
    sha3_512(parts->input, parts->seeds);
    base::ByteView const seeds = parts->seeds;
    auto const rho = part<32>(seeds, 0);
    auto const sigma = part<32>(seeds, 32);
    base::declassify(rho);  // a part of the public key
    sample_vector(parts->s, sigma, 0);
    sample_vector(parts->e, sigma, rank);
    ntt_all(parts->s);
    ntt_all(parts->e);
    Matrix matrix;
    expand_matrix(matrix, rho, Order::as_is);

    auto const out = base::MutableByteView(expanded.mutable_view());
    auto const out_public = base::MutableByteView(public_key);
    for (std::size_t i = 0; i < rank; ++i) {
        multiply(parts->t, matrix[i], parts->s);
        to_montgomery(parts->t);
        add(parts->t, parts->e[i]);
        reduce(parts->t);
        encode<12>(parts->t, part<poly_bytes>(out_public, 0, i));
        encode<12>(parts->s[i], part<poly_bytes>(out, 0, i));
    }
    std::ranges::copy(rho, out_public.begin() + rho_offset);
    std::ranges::copy(public_key, out.begin() + public_offset);
    std::ranges::copy(sha3_256(public_key), out.begin() + hash_offset);
    std::ranges::copy(part<32>(base::ByteView(seed.view()), 32), out.begin() + z_offset);
}

bool is_valid(MlKem768PublicKey const& public_key) {
    base::ByteView const key = public_key;
    for (std::size_t i = 0; i < rank; ++i) {
        auto const bytes = part<poly_bytes>(key, 0, i);
        Poly poly;
        decode<12>(poly, bytes);
        base::ByteArray<poly_bytes> again;
        encode<12>(poly, again);
        if (!base::equal(again, bytes)) return false;
    }
    return true;
}

bool is_valid(ExpandedKey const& expanded) {
    base::ByteView const key = expanded.view();
    return base::equal(sha3_256(part<mlkem768_public_key_bytes>(key, public_offset)),
                       part<32>(key, hash_offset));
}

MlKem768Encapsulation encapsulate(MlKem768PublicKey const& public_key, In<32> random) {
    Wiped<base::ByteArray<64>> input;
    std::ranges::copy(random, input->begin());
    std::ranges::copy(sha3_256(public_key), input->begin() + 32);
    Wiped<base::ByteArray<64>> keys;  // K || r
    sha3_512(input.value, keys.value);
    base::ByteView const view = keys.value;
    MlKem768Encapsulation out;
    encrypt(public_key, random, part<32>(view, 32), out.ciphertext);
    out.shared = Secret<32>(part<32>(view, 0));
    return out;
}

Secret<32> decapsulate(ExpandedKey const& expanded, MlKem768Ciphertext const& ciphertext) {
    base::ByteView const key = expanded.view();
    Wiped<base::ByteArray<64>> input;  // m' || h
    decrypt(expanded, ciphertext, part<32>(base::MutableByteView(input.value), 0));
    std::ranges::copy(part<32>(key, hash_offset), input->begin() + 32);
    Wiped<base::ByteArray<64>> keys;
    sha3_512(input.value, keys.value);

    Secret<32> out;
    shake256().absorb(part<32>(key, z_offset)).absorb(ciphertext).squeeze(out.mutable_view());
    MlKem768PublicKey public_key;
    std::ranges::copy(part<mlkem768_public_key_bytes>(key, public_offset), public_key.begin());
    Wiped<MlKem768Ciphertext> again;
    encrypt(public_key, part<32>(base::ByteView(input.value), 0),
            part<32>(base::ByteView(keys.value), 32), again.value);

    // Whether the ciphertext was genuine must not be seen in the time: compare all, then choose
    // with a mask that the compiler cannot turn into a branch.
    std::uint32_t difference = 0;
    for (std::size_t i = 0; i < ciphertext.size(); ++i)
        difference |= static_cast<std::uint32_t>(ciphertext[i] ^ again.value[i]);
    std::uint32_t genuine = (difference - 1) >> 31;  // 1 when equal: difference is below 256
    __asm__("" : "+r"(genuine));
    auto const mask = static_cast<std::uint8_t>(0U - genuine);
    auto const chosen = out.mutable_view();
    for (std::size_t i = 0; i < chosen.size(); ++i)
        chosen[i] = static_cast<std::uint8_t>(chosen[i] ^ (mask & (chosen[i] ^ keys.value[i])));
    return out;
}

}  // namespace kith::crypto::mlkem
