// ML-DSA-65 against ACVP, Wycheproof, CCTV and the crafted hints.
#include <doctest/doctest.h>

#include "base/encoding.h"
#include "crypto/keccak.h"
#include "crypto/mldsa65.h"
#include "crypto/mldsa65_core.h"
#include "vector_file.h"

using namespace kith;
using namespace crypto;
using boost::json::value;
using vectors::array;
using vectors::has;
using vectors::hex;

namespace {

base::Result<mldsa::ExpandedKey> expanded_of(value const& object, char const* key) {
    return mldsa::ExpandedKey::from(hex(object, key));
}

// The representative of a test: given as mu, or from message and context under the interface of its
// group.
base::Result<mldsa::Representative> representative_of(value const& test, char const* message_field,
                                                      char const* context_field,
                                                      mldsa::In<64> key_hash) {
    if (!has(test, message_field)) return array<64>(test, "mu");
    return mldsa::represent_pure(key_hash, hex(test, context_field), hex(test, message_field));
}

bool is_internal_message(value const& group) {
    return has(group, "externalMu") && group.at("signatureInterface").as_string() == "internal" &&
           !group.at("externalMu").as_bool();
}

void run_acvp_signing(std::string const& name) {
    auto const ran =
        vectors::for_each_test(vectors::load(name), [](value const& group, value const& test) {
            CAPTURE(test.at("tcId").as_int64());
            auto const key = expanded_of(test, "sk");
            REQUIRE(key);
            auto const key_hash = mldsa::public_key_hash(*key);
            auto const mu = is_internal_message(group)
                                ? mldsa::represent(key_hash, {}, {}, hex(test, "message"))
                                : representative_of(test, "message", "context", key_hash);
            REQUIRE(mu);
            auto const signature = mldsa::sign(*key, *mu, array<32>(test, "rnd"));
            REQUIRE(signature);
            CHECK(base::equal(*signature, hex(test, "signature")));
        });
    CHECK(ran == 30);
}

// One Wycheproof signing test with an expanded key; nullopt-like error when the inputs are refused.
base::Result<MlDsa65Signature> sign_wycheproof(value const& test, mldsa::ExpandedKey const& key) {
    auto const mu = KITH_TRY(representative_of(test, "msg", "ctx", mldsa::public_key_hash(key)));
    if (has(test, "mu")) CHECK(base::equal(mu, hex(test, "mu")));
    return mldsa::sign(key, mu, array<32>(test, "rnd"));
}

void check_signature(value const& test, base::Result<MlDsa65Signature> const& signature) {
    bool const valid = test.at("result").as_string() == "valid";
    CHECK(signature.has_value() == valid);
    if (valid && signature) CHECK(base::equal(*signature, hex(test, "sig")));
}

std::size_t run_verification(std::string const& name) {
    return vectors::for_each_test(vectors::load(name), [](value const& group, value const& test) {
        CAPTURE(test.at("tcId").as_int64());
        bool const valid = test.at("result").as_string() == "valid";
        auto const key = hex(group, "publicKey");
        if (key.size() != mldsa65_public_key_bytes) {  // our type cannot hold it
            CHECK(!valid);
            return;
        }
        CHECK(mldsa65_verify(array<mldsa65_public_key_bytes>(group, "publicKey"), hex(test, "msg"),
                             hex(test, "ctx"), hex(test, "sig")) == valid);
    });
}

}  // namespace

TEST_CASE("ML-DSA-65 key generation: ACVP") {
    auto const ran = vectors::for_each_test(
        vectors::load("mldsa65_keygen_acvp.json.gz"), [](value const&, value const& test) {
            MlDsa65PublicKey public_key;
            mldsa::ExpandedKey expanded;
            mldsa::generate_key(MlDsa65Seed(array<32>(test, "seed")), public_key, expanded);
            CHECK(base::equal(public_key, hex(test, "pk")));
            CHECK(base::equal(expanded.view(), hex(test, "sk")));
        });
    CHECK(ran == 17);
}

TEST_CASE("ML-DSA-65 signing, pure interface, deterministic and hedged: ACVP") {
    run_acvp_signing("mldsa65_siggen_pure_acvp.json.gz");
}

TEST_CASE("ML-DSA-65 signing, internal interface and external mu: ACVP") {
    run_acvp_signing("mldsa65_siggen_internal_acvp.json.gz");
}

TEST_CASE("ML-DSA-65 verification: ACVP") {
    auto const ran = vectors::for_each_test(
        vectors::load("mldsa65_sigver_acvp.json.gz"), [](value const&, value const& test) {
            CAPTURE(test.at("tcId").as_int64());
            auto const key = array<mldsa65_public_key_bytes>(test, "pk");
            auto const mu =
                representative_of(test, "message", "context", mldsa::public_key_hash(key));
            REQUIRE(mu);
            CHECK(mldsa::verify(key, *mu, hex(test, "signature")) ==
                  test.at("testPassed").as_bool());
        });
    CHECK(ran == 30);
}

TEST_CASE("ML-DSA-65 signing from a seed: Wycheproof") {
    auto const ran =
        vectors::for_each_test(vectors::load("mldsa65_sign_seed_wycheproof.json.gz"),
                               [](value const& group, value const& test) {
                                   CAPTURE(test.at("tcId").as_int64());
                                   auto const seed = MlDsa65Seed::from(hex(group, "privateSeed"));
                                   if (!seed) {
                                       CHECK(test.at("result").as_string() == "invalid");
                                       return;
                                   }
                                   MlDsa65PublicKey public_key;
                                   mldsa::ExpandedKey expanded;
                                   mldsa::generate_key(*seed, public_key, expanded);
                                   if (group.at("publicKey").is_string())
                                       CHECK(base::equal(public_key, hex(group, "publicKey")));
                                   check_signature(test, sign_wycheproof(test, expanded));
                               });
    CHECK(ran == 91);
}

TEST_CASE("ML-DSA-65 signing from an expanded key, malformed keys included: Wycheproof") {
    auto const ran =
        vectors::for_each_test(vectors::load("mldsa65_sign_noseed_wycheproof.json.gz"),
                               [](value const& group, value const& test) {
                                   CAPTURE(test.at("tcId").as_int64());
                                   auto const key = expanded_of(group, "privateKey");
                                   if (!key) {
                                       CHECK(test.at("result").as_string() == "invalid");
                                       return;
                                   }
                                   check_signature(test, sign_wycheproof(test, *key));
                               });
    CHECK(ran == 68);
}

TEST_CASE("ML-DSA-65 verification: Wycheproof") {
    CHECK(run_verification("mldsa65_verify_wycheproof.json.gz") == 150);
}

TEST_CASE("ML-DSA-65 verification: hint encodings crafted to be accepted by careless decoders") {
    CHECK(run_verification("mldsa65_verify_crafted.json.gz") == 19);
}

TEST_CASE("ML-DSA-65: one hash over 100 keys and signatures: CCTV") {
    auto seeds = shake128();
    auto all = shake128();
    Secret<32> const no_random;
    for (int i = 0; i < 100; ++i) {
        MlDsa65Seed seed;
        seeds.squeeze(seed.mutable_view());
        MlDsa65SigningKey const key(seed);
        auto const signature = key.sign({}, {}, no_random);
        REQUIRE(signature);
        CHECK(mldsa65_verify(key.public_key(), {}, {}, *signature));
        all.absorb(key.public_key()).absorb(*signature);
    }
    base::ByteArray<32> out;
    all.squeeze(out);
    auto const file = vectors::load("accumulated_cctv.json");
    CHECK(base::to_hex(out) == std::string(file.at("ML-DSA-65").at("100").as_string()));
}
