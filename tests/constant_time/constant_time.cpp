// constant_time: runs what handles secrets, with the secrets marked undefined for valgrind. A
// branch or an address that depends on one is then a finding. What is public by design is
// declassified where it becomes so (base/declassify.h); here only what leaves the module: keys,
// ciphertexts, signatures. `leak-*` leaks on purpose.
#include <sodium.h>
#include <valgrind/memcheck.h>

#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>

#include "base/declassify.h"
#include "base/encoding.h"
#include "crypto/aead.h"
#include "crypto/constant_time.h"
#include "crypto/ed25519.h"
#include "crypto/kdf.h"
#include "crypto/mldsa/core.h"
#include "crypto/mlkem/core.h"
#include "crypto/x25519.h"
#include "proto/noise/handshake.h"

using namespace kith;
using base::declassify;

namespace {

constexpr int exit_usage = 3;

void require(bool holds, char const* what) {
    if (holds) return;
    std::printf("constant-time: failed: %s\n", what);
    std::exit(exit_usage);
}

void begin(char const* what) {
    std::printf("constant-time: %s\n", what);
    std::fflush(stdout);
}

void classify(base::MutableByteView bytes) {
    (void)VALGRIND_MAKE_MEM_UNDEFINED(bytes.data(), bytes.size());
}

template <std::size_t N>
crypto::Secret<N> secret(std::uint8_t first) {
    crypto::Secret<N> out;
    for (auto& byte : out.mutable_view()) byte = first++;
    classify(out.mutable_view());
    return out;
}

// True when both are equal, compared after both are public.
bool same(base::ByteView a, base::ByteView b) {
    declassify(a);
    declassify(b);
    return base::equal(a, b);
}

void check_mlkem() {
    begin("ML-KEM-768 key generation");
    crypto::MlKem768PublicKey public_key;
    crypto::mlkem::ExpandedKey expanded;
    crypto::mlkem::generate_key(secret<64>(1), public_key, expanded);
    declassify(public_key);

    begin("ML-KEM-768 encapsulation");
    auto const random = secret<32>(2);
    auto sent = crypto::mlkem::encapsulate(public_key, random.view());
    declassify(sent.ciphertext);

    begin("ML-KEM-768 decapsulation, genuine ciphertext");
    // All of the expanded key is secret here, its copy of the public key too: only the matrix seed
    // is declassified, by encrypt()'s caller knowing that it is public.
    auto const public_part = expanded.view().subspan<3 * 384, 1184>();
    declassify(public_part);
    auto const received = crypto::mlkem::decapsulate(expanded, sent.ciphertext);
    require(same(received.view(), sent.shared.view()), "the two sides agree");

    begin("ML-KEM-768 decapsulation, altered ciphertext");
    for (std::size_t const place : {std::size_t{0}, std::size_t{500}, std::size_t{1087}}) {
        auto altered = sent.ciphertext;
        altered[place] ^= 1;
        auto const rejected = crypto::mlkem::decapsulate(expanded, altered);
        require(!same(rejected.view(), sent.shared.view()), "implicit rejection");
    }
}

void check_mldsa() {
    begin("ML-DSA-65 key generation");
    crypto::MlDsa65PublicKey public_key;
    crypto::mldsa::ExpandedKey expanded;
    crypto::mldsa::generate_key(secret<32>(3), public_key, expanded);
    declassify(public_key);

    begin("ML-DSA-65 signing");  // several messages, so that every reason of a rejection occurs
    for (std::uint8_t i = 0; i < 6; ++i) {
        crypto::mldsa::Representative mu{};
        mu[0] = i;
        auto const random = secret<32>(i);
        auto const signature = crypto::mldsa::sign(expanded, mu, random.view());
        require(signature.has_value(), "a signature");
        require(crypto::mldsa::verify(public_key, mu, *signature), "a good signature");
    }
}

void check_curves() {
    begin("X25519");
    auto const a = secret<32>(4);
    auto const b = secret<32>(5);
    auto const a_public = crypto::x25519_public_key(a);
    auto const b_public = crypto::x25519_public_key(b);
    declassify(a_public);
    declassify(b_public);
    auto const first = crypto::x25519(a, b_public);
    auto const second = crypto::x25519(b, a_public);
    require(first && second && same(first->view(), second->view()), "the two sides agree");

    begin("Ed25519 signing");
    crypto::Ed25519KeyPair const key(secret<32>(6));
    auto const message = base::as_bytes("message");
    auto const signature = key.sign(message);
    declassify(signature);
    declassify(key.public_key());
    require(crypto::ed25519_verify(key.public_key(), message, signature), "a good signature");
}

void check_symmetric() {
    begin("comparison");
    auto const a = secret<32>(7);
    auto const b = secret<32>(7);
    auto const c = secret<32>(8);
    require(base::declassified(crypto::constant_time_equal(a.view(), b.view())), "equal");
    require(!base::declassified(crypto::constant_time_equal(a.view(), c.view())), "different");

    begin("HMAC and HKDF");
    for (std::size_t const size : {16U, 64U, 100U}) {
        crypto::SecretBytes key(size);
        classify(key.mutable_view());
        auto const derived = crypto::hkdf_sha256<96>(key.view(), a.view(), base::as_bytes("info"));
        (void)crypto::hmac_sha256(derived.view(), key.view());
    }

    begin("AEAD");
    base::ByteArray<100> message{};
    classify(message);
    base::ByteArray<116> sealed{};
    base::ByteArray<100> opened{};
    crypto::ChaCha20Poly1305 chacha(a);
    crypto::Aes256Gcm gcm(a);
    for (auto* const aead :
         {static_cast<crypto::Aead*>(&chacha), static_cast<crypto::Aead*>(&gcm)}) {
        require(aead->seal({}, {}, message, sealed).has_value(), "seal");
        declassify(sealed);
        require(aead->open({}, {}, sealed, opened).has_value(), "open");
        sealed[3] ^= 1;
        require(!aead->open({}, {}, sealed, opened).has_value(), "refuse");
    }
}

void check_encodings() {
    begin("hex and base64url");
    auto const key = secret<32>(9);
    auto const hex = base::to_hex(key.view());
    auto const from_hex = base::from_hex(hex);
    require(from_hex && same(*from_hex, key.view()), "hex");
    auto const key_again = secret<32>(9);
    auto const base64 = base::to_base64url(key_again.view());
    auto const from_base64 = base::from_base64url(base64);
    require(from_base64 && same(*from_base64, key_again.view()), "base64url");
}

// The pattern of the sessions, and the same without ML-KEM: static, ephemeral and pre-shared keys
// are secret, so are the seed and the randomness of the KEM.
void check_noise(std::string_view pattern_name, proto::noise::Cipher cipher) {
    using namespace proto::noise;
    std::string name("Noise ");
    name.append(pattern_name).append(cipher == Cipher::aes_gcm ? " AESGCM" : " ChaChaPoly");
    ::begin(name.c_str());
    auto const pattern = find_pattern(pattern_name).value();
    auto const initiator_static = secret<32>(10);
    auto const initiator_ephemeral = secret<32>(11);
    auto const responder_static = secret<32>(12);
    auto const responder_ephemeral = secret<32>(13);
    auto const psk = secret<32>(14);
    auto const kem_seed = secret<64>(15);
    auto const kem_random = secret<32>(16);
    auto const responder_public = crypto::x25519_public_key(responder_static);
    declassify(responder_public);
    HandshakeState initiator(Role::initiator, pattern, cipher, {},
                             {.static_key = &initiator_static,
                              .ephemeral_key = &initiator_ephemeral,
                              .remote_static = responder_public,
                              .psks = {&psk},
                              .kem_seed = &kem_seed});
    HandshakeState responder(Role::responder, pattern, cipher, {},
                             {.static_key = &responder_static,
                              .ephemeral_key = &responder_ephemeral,
                              .remote_static = {},
                              .psks = {&psk},
                              .kem_random = &kem_random});
    base::Bytes first, second, payload;
    require(initiator.write_message(base::as_bytes("one"), first).has_value(), "message 1");
    declassify(first);
    require(responder.read_message(first, payload).has_value(), "reads message 1");
    require(responder.write_message(base::as_bytes("two"), second).has_value(), "message 2");
    declassify(second);
    require(initiator.read_message(second, payload).has_value(), "reads message 2");
    auto const a = initiator.split_keys();
    auto const b = responder.split_keys();
    require(same(a.send.view(), b.receive.view()), "the keys agree");
    require(same(a.receive.view(), b.send.view()), "the keys agree");
}

// ---- leaks on purpose
// -----------------------------------------------------------------------------

[[gnu::noinline]] int leak_by_branch(base::ByteView key) {
    if (key[3] == 17) {
        std::puts("seventeen");
        return 1;
    }
    return 0;
}

[[gnu::noinline]] int leak_by_index(base::ByteView key) {
    static volatile int table[256] = {};
    return table[key[3]];
}

[[gnu::noinline]] int leak_by_compare(base::ByteView key) {
    base::ByteArray<32> const other{};
    return base::equal(key, other) ? 1 : 0;
}

int leak(std::string_view how) {
    auto const key = secret<32>(1);
    [[maybe_unused]] volatile int result = 0;
    if (how == "leak-branch") result = leak_by_branch(key.view());
    if (how == "leak-index") result = leak_by_index(key.view());
    if (how == "leak-compare") result = leak_by_compare(key.view());
    std::puts("constant-time: leaked");
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2 || RUNNING_ON_VALGRIND == 0 || ::sodium_init() < 0) {
        std::fputs(
            "usage: valgrind constant_time check | leak-branch | leak-index | leak-compare\n",
            stderr);
        return exit_usage;
    }
    std::string_view const mode = argv[1];
    if (mode.starts_with("leak-")) return leak(mode);
    check_mlkem();
    check_mldsa();
    check_curves();
    check_symmetric();
    check_encodings();
    for (auto const pattern : {"IKhfs+psk2", "IKpsk2"})
        for (auto const cipher : {proto::noise::Cipher::chacha_poly, proto::noise::Cipher::aes_gcm})
            check_noise(pattern, cipher);
    std::puts("constant-time: all checks ran");
    return 0;
}
