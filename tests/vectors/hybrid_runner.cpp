// Constructions that kith does not ship, built here from its primitives: X-Wing
// (draft-connolly-cfrg-xwing-kem) and XAES-256-GCM (C2SP XAES-256-GCM.md). They show that the
// primitives compose as others expect.
#include <openssl/evp.h>

#include <memory>
#include <stdexcept>

#include "crypto/aead.h"
#include "crypto/keccak.h"
#include "crypto/mlkem768.h"
#include "crypto/x25519.h"
#include "runner.h"

namespace kith::vectors {

using namespace crypto;

namespace {

// ---- X-Wing
// ---------------------------------------------------------------------------------------

struct XWingKey {
    explicit XWingKey(base::ByteArray<32> const& seed) {
        Secret<96> expanded;
        shake256().absorb(seed).squeeze(expanded.mutable_view());
        kem = std::make_unique<MlKem768PrivateKey>(MlKem768Seed(expanded.view().first<64>()));
        curve = Secret<32>(expanded.view().last<32>());
        curve_public = x25519_public_key(curve);
    }
    [[nodiscard]] base::Bytes public_key() const {
        auto out = base::to_bytes(kem->public_key());
        base::append(out, curve_public);
        return out;
    }
    std::unique_ptr<MlKem768PrivateKey> kem;
    Secret<32> curve;
    X25519PublicKey curve_public{};
};

base::ByteArray<32> xwing_combine(base::ByteView kem, base::ByteView curve,
                                  X25519PublicKey const& sent, X25519PublicKey const& peer) {
    base::Bytes input = base::to_bytes(kem);
    for (base::ByteView const part :
         {curve, base::ByteView(sent), base::ByteView(peer), base::as_bytes("\\.//^\\")})
        base::append(input, part);
    return sha3_256(input);
}

Verdict run_xwing(Value const& test) {
    XWingKey const key(array<32>(test, "seed"));
    if (key.public_key() != hex(test, "pk")) return failed("another public key");
    auto const random = array<64>(test, "eseed");
    auto const halves = base::ByteView(random);
    auto const sent = mlkem768_encapsulate(key.kem->public_key(), Secret<32>(halves.first<32>()));
    Secret<32> const ephemeral(halves.last<32>());
    auto const shared = x25519(ephemeral, key.curve_public);
    if (!sent || !shared) return failed("no encapsulation");
    auto const ephemeral_public = x25519_public_key(ephemeral);
    auto ciphertext = base::to_bytes(sent->ciphertext);
    base::append(ciphertext, ephemeral_public);
    if (ciphertext != hex(test, "ct")) return failed("another ciphertext");
    auto const expected = hex(test, "ss");
    if (!base::equal(
            xwing_combine(sent->shared.view(), shared->view(), ephemeral_public, key.curve_public),
            expected))
        return failed("another secret at the sender");
    auto const kem = key.kem->decapsulate(sent->ciphertext);
    auto const curve = x25519(key.curve, ephemeral_public);
    return expect(curve && base::equal(xwing_combine(kem.view(), curve->view(), ephemeral_public,
                                                     key.curve_public),
                                       expected),
                  "another secret at the receiver");
}

// ---- XAES-256-GCM
// ---------------------------------------------------------------------------------

using BlockOf16 = base::ByteArray<16>;

BlockOf16 aes256(base::ByteArray<32> const& key, BlockOf16 const& block) {
    std::unique_ptr<EVP_CIPHER_CTX, void (*)(EVP_CIPHER_CTX*)> const context(::EVP_CIPHER_CTX_new(),
                                                                             ::EVP_CIPHER_CTX_free);
    BlockOf16 out{};
    int size = 0;
    if (!context ||
        ::EVP_EncryptInit_ex(context.get(), ::EVP_aes_256_ecb(), nullptr, key.data(), nullptr) !=
            1 ||
        ::EVP_CIPHER_CTX_set_padding(context.get(), 0) != 1 ||
        ::EVP_EncryptUpdate(context.get(), out.data(), &size, block.data(), 16) != 1 || size != 16)
        throw std::runtime_error("AES failed");
    return out;
}

// The key for one message: two AES calls on the first half of the nonce (SP 800-108 with CMAC).
Aes256Gcm xaes_message_cipher(base::ByteArray<32> const& key, base::ByteView nonce) {
    auto mask = aes256(key, {});
    bool const carry = (mask[0] & 0x80) != 0;
    for (std::size_t i = 0; i < mask.size(); ++i)
        mask[i] = static_cast<std::uint8_t>((mask[i] << 1) |
                                            (i + 1 < mask.size() ? mask[i + 1] >> 7 : 0));
    if (carry) mask.back() ^= 0x87;
    AeadKey derived;
    for (std::uint8_t half = 0; half < 2; ++half) {
        BlockOf16 block{0, static_cast<std::uint8_t>(half + 1), 'X', 0};
        std::ranges::copy(nonce.first(12), block.begin() + 4);
        for (std::size_t i = 0; i < block.size(); ++i) block[i] ^= mask[i];
        std::ranges::copy(aes256(key, block), derived.mutable_view().begin() + 16 * half);
    }
    return Aes256Gcm(derived);
}

base::Bytes xaes_seal(base::ByteArray<32> const& key, base::ByteView nonce, base::ByteView data,
                      base::ByteView plaintext) {
    AeadNonce short_nonce;
    std::ranges::copy(nonce.last(12), short_nonce.begin());
    base::Bytes out(plaintext.size() + aead_tag_bytes);
    if (!xaes_message_cipher(key, nonce).seal(short_nonce, data, plaintext, out))
        throw std::runtime_error("sealing failed");
    return out;
}

Verdict run_xaes(Value const& test) {
    auto const key = array<32>(test, "key");
    auto const nonce = array<24>(test, "nonce");
    auto const plaintext = hex(test, "pt");
    auto const sealed = xaes_seal(key, nonce, hex(test, "aad"), plaintext);
    if (sealed != hex(test, "ct_tag")) return failed("another ciphertext");
    AeadNonce short_nonce;
    std::ranges::copy(base::ByteView(nonce).last(12), short_nonce.begin());
    base::Bytes opened(plaintext.size());
    auto const status =
        xaes_message_cipher(key, nonce).open(short_nonce, hex(test, "aad"), sealed, opened);
    return expect(status && opened == plaintext, "does not open");
}

// C2SP's accumulated test: everything drawn from one SHAKE128 stream, all ciphertexts into another.
Verdict run_xaes_accumulated(std::string_view rounds_text, Value const& expected) {
    auto const rounds = std::stoul(std::string(rounds_text));
    if (rounds == 0) return failed("not a number of rounds");
    if (rounds > 1'000'000) return skipped("above 1000000 rounds");
    auto source = shake128();
    auto all = shake128();
    auto const draw = [&source](std::size_t size) {
        base::Bytes out(size);
        source.squeeze(out);
        return out;
    };
    for (std::size_t i = 0; i < rounds; ++i) {
        base::ByteArray<32> key;
        source.squeeze(key);
        auto const nonce = draw(24);
        auto const plaintext = draw(draw(1)[0]);
        auto const data = draw(draw(1)[0]);
        all.absorb(xaes_seal(key, nonce, data, plaintext));
    }
    base::ByteArray<32> out;
    all.squeeze(out);
    return expect(base::equal(out, from_hex(expected.as_string())), "another hash");
}

// "accumulated": {"10000": hash}, or "accumulated_10000": hash.
bool run_xaes_hashes(Value const& file, Report& report) {
    constexpr std::string_view name = "accumulated";
    bool found = false;
    auto const run_one = [&](std::string_view rounds, Value const& hash) {
        found = true;
        report.add("accumulated " + std::string(rounds),
                   guarded([&] { return run_xaes_accumulated(rounds, hash); }));
    };
    for (auto const& [key, value] : file.as_object()) {
        if (key == name && value.is_object())
            for (auto const& [rounds, hash] : value.as_object()) run_one(rounds, hash);
        else if (key.size() > name.size() + 1 && key.starts_with(name) && value.is_string())
            run_one(std::string_view(key).substr(name.size() + 1), value);
    }
    return found;
}

bool has_xaes_tests(Value const& file) {
    return has(file, "tests") && file.at("tests").is_array() &&
           !file.at("tests").as_array().empty() &&
           has(file.at("tests").as_array().front(), "ct_tag");
}

}  // namespace

bool run_hybrids(Value const& file, Report& report) {
    if (file.is_array() && !file.as_array().empty() && file.as_array().front().is_object() &&
        has(file.as_array().front(), "eseed")) {
        report.kind = "X-Wing";
        run_list(file.as_array(), report, run_xwing);
        return true;
    }
    if (!file.is_object()) return false;
    report.kind = "XAES-256-GCM";
    bool const has_tests = has_xaes_tests(file);
    if (has_tests) run_list(file.at("tests").as_array(), report, run_xaes);
    return run_xaes_hashes(file, report) || has_tests;
}

}  // namespace kith::vectors
