// Hashes, AEADs and key derivation against the published vectors.
#include <doctest/doctest.h>

#include "base/encoding.h"
#include "crypto/aead.h"
#include "crypto/blake3.h"
#include "crypto/hash.h"
#include "crypto/kdf.h"
#include "crypto/keccak.h"
#include "identity/ids.h"
#include "vector_file.h"

using namespace kith;
using boost::json::value;
using vectors::array;
using vectors::hex;

namespace {

std::string text_of(value const& object, char const* key) {
    return std::string(object.at(key).as_string());
}

template <class Aead>
std::size_t run_aead(std::string const& name) {
    std::size_t ran = 0;
    vectors::for_each_test(vectors::load(name), [&ran](value const& group, value const& test) {
        if (group.at("keySize").as_int64() != 256 || group.at("ivSize").as_int64() != 96) return;
        CAPTURE(test.at("tcId").as_int64());
        ++ran;
        Aead aead(crypto::AeadKey(array<32>(test, "key")));
        auto const nonce = array<12>(test, "iv");
        auto const data = hex(test, "aad");
        auto const message = hex(test, "msg");
        auto sealed = hex(test, "ct");
        base::append(sealed, hex(test, "tag"));
        bool const valid = test.at("result").as_string() == "valid";

        base::Bytes opened(sealed.size() - crypto::aead_tag_bytes);
        CHECK(aead.open(nonce, data, sealed, opened).has_value() == valid);
        base::Bytes ours(message.size() + crypto::aead_tag_bytes);
        REQUIRE(aead.seal(nonce, data, message, ours));
        CHECK((ours == sealed) == valid);
        if (valid) CHECK(opened == message);
    });
    return ran;
}

template <class Hash>
std::size_t run_hash(std::string const& name, Hash hash) {
    auto const file = vectors::load(name);
    auto const& tests = file.at("tests").as_array();
    for (auto const& test : tests) {
        CAPTURE(test.at("tcId").as_int64());
        auto const expected = hex(test, "md");
        base::Bytes out(expected.size());
        hash(hex(test, "msg"), out);
        CHECK(out == expected);
    }
    return tests.size();
}

template <class Digest>
void copy_to(base::Bytes& out, Digest const& digest) {
    out.assign(digest.begin(), digest.end());
}

}  // namespace

TEST_CASE("ChaCha20-Poly1305: Wycheproof") {
    CHECK(run_aead<crypto::ChaCha20Poly1305>("chacha20_poly1305_wycheproof.json.gz") > 200);
}

TEST_CASE("AES-256-GCM: Wycheproof, 256-bit keys") {
    CHECK(run_aead<crypto::Aes256Gcm>("aes_gcm_wycheproof.json.gz") > 30);
}

TEST_CASE(
    "AES-256-GCM opens one ciphertext under two keys: it does not commit, callers must not try "
    "keys") {
    auto const file = vectors::load("aes256gcm_salamander.json");
    for (auto const& test : file.at("tests").as_array()) {
        auto sealed = hex(test, "ct");
        base::append(sealed, hex(test, "tag"));
        for (auto const& [key, plaintext] : {std::pair{"key1", "pt1"}, std::pair{"key2", "pt2"}}) {
            crypto::Aes256Gcm aead(crypto::AeadKey(array<32>(test, key)));
            base::Bytes out(sealed.size() - crypto::aead_tag_bytes);
            REQUIRE(aead.open(array<12>(test, "nonce"), hex(test, "aad"), sealed, out));
            CHECK(out == hex(test, plaintext));
        }
    }
}

TEST_CASE("HKDF-SHA256: Wycheproof") {
    auto const ran = vectors::for_each_test(
        vectors::load("hkdf_sha256_wycheproof.json"), [](value const&, value const& test) {
            CAPTURE(test.at("tcId").as_int64());
            auto const size = static_cast<std::size_t>(test.at("size").as_int64());
            bool const valid = test.at("result").as_string() == "valid";
            CHECK((size <= crypto::hkdf_output_bytes_max) == valid);
            if (!valid) return;
            base::Bytes out(size);
            crypto::hkdf_sha256(hex(test, "salt"), hex(test, "ikm"), hex(test, "info"), out);
            CHECK(out == hex(test, "okm"));
        });
    CHECK(ran == 60);
}

TEST_CASE("SHA3-256, SHA3-512, SHAKE128 and SHAKE256: ACVP") {
    CHECK(run_hash("sha3_256_acvp.json", [](base::ByteView message, base::Bytes& out) {
              copy_to(out, crypto::sha3_256(message));
          }) == 96);
    CHECK(run_hash("sha3_512_acvp.json", [](base::ByteView message, base::Bytes& out) {
              copy_to(out, crypto::sha3_512(message));
          }) == 54);
    CHECK(run_hash("shake128_acvp.json.gz", [](base::ByteView message, base::Bytes& out) {
              crypto::shake128().absorb(message).squeeze(out);
          }) == 134);
    CHECK(run_hash("shake256_acvp.json.gz", [](base::ByteView message, base::Bytes& out) {
              crypto::shake256().absorb(message).squeeze(out);
          }) == 134);
}

TEST_CASE("BLAKE3: the official vectors in all modes, with both kernels, at every output length") {
    auto const file = vectors::load("blake3.json");
    auto const context = text_of(file, "context_string");
    auto const key = crypto::Secret<32>::from(base::as_bytes(text_of(file, "key")));
    REQUIRE(key);
    for (auto const& test : file.at("cases").as_array()) {
        base::Bytes input(static_cast<std::size_t>(test.at("input_len").as_int64()));
        for (std::size_t i = 0; i < input.size(); ++i)
            input[i] = static_cast<std::uint8_t>(i % 251);
        CAPTURE(input.size());
        for (auto const kernel : {crypto::Blake3Kernel::portable, crypto::Blake3Kernel::avx2}) {
            auto const check = [&](crypto::Blake3 hasher, char const* field) {
                auto const expected = hex(test, field);
                hasher.update(input);
                base::Bytes out(expected.size());
                hasher.finish(out);
                CHECK(out == expected);
                CHECK(base::equal(hasher.finish(), base::ByteView(expected).first(32)));
            };
            check(crypto::Blake3(kernel), "hash");
            check(crypto::Blake3::keyed(*key, kernel), "keyed_hash");
            check(crypto::Blake3::derive_key(context, kernel), "derive_key");
        }
    }
}

TEST_CASE("RIPEMD-160: the official test set") {
    auto const file = vectors::load("ripemd160.json");
    for (auto const& test : file.at("tests").as_array()) {
        std::string message;
        for (std::int64_t i = 0; i < test.at("repeat").as_int64(); ++i)
            message += text_of(test, "ascii");
        CHECK(base::to_hex(crypto::ripemd160(base::as_bytes(message))) == text_of(test, "digest"));
    }
}

TEST_CASE("base58: Bitcoin's vectors, both ways") {
    auto const file = vectors::load("base58_bitcoin.json");
    for (auto const& pair : file.as_array()) {
        auto const bytes = base::from_hex(std::string(pair.at(0).as_string()));
        std::string const text(pair.at(1).as_string());
        REQUIRE(bytes);
        CHECK(base::to_base58(*bytes) == text);
        CHECK(base::from_base58(text) == *bytes);
    }
}

TEST_CASE("base58check: bs58check's vectors, both ways, and its refusals") {
    auto const file = vectors::load("base58check_bs58check.json");
    for (auto const& test : file.at("valid").as_array()) {
        auto const text = text_of(test, "string");
        CHECK(identity::to_base58check(hex(test, "payload")) == text);
        CHECK(identity::from_base58check(text) == hex(test, "payload"));
    }
    for (auto const& test : file.at("invalid").as_array())
        CHECK(!identity::from_base58check(text_of(test, "string")));
}
