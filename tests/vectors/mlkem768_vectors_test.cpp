// ML-KEM-768 against ACVP, Wycheproof and CCTV.
#include <doctest/doctest.h>

#include "base/encoding.h"
#include "crypto/keccak.h"
#include "crypto/mlkem768.h"
#include "crypto/mlkem768_core.h"
#include "vector_file.h"

using namespace kith;
using namespace crypto;
using boost::json::value;
using vectors::array;
using vectors::hex;

namespace {

MlKem768PublicKey public_key_of(value const& test) {
    return array<mlkem768_public_key_bytes>(test, "ek");
}

mlkem::ExpandedKey expanded_of(value const& test) {
    return mlkem::ExpandedKey(array<mlkem768_expanded_key_bytes>(test, "dk"));
}

MlKem768Ciphertext ciphertext_of(value const& test) {
    return array<mlkem768_ciphertext_bytes>(test, "c");
}

bool is_valid(value const& test) {
    return test.at("result").as_string() == "valid";
}

void check_key_generation(MlKem768Seed const& seed, value const& test) {
    MlKem768PublicKey public_key;
    mlkem::ExpandedKey expanded;
    mlkem::generate_key(seed, public_key, expanded);
    CHECK(base::equal(public_key, hex(test, "ek")));
    CHECK(base::equal(expanded.view(), hex(test, "dk")));
}

// `secret` is "k" in ACVP files and "K" in the others.
void check_encapsulation(value const& test, char const* secret) {
    auto const sent = mlkem768_encapsulate(public_key_of(test), Secret<32>(array<32>(test, "m")));
    REQUIRE(sent);
    CHECK(base::equal(sent->ciphertext, hex(test, "c")));
    CHECK(base::equal(sent->shared.view(), hex(test, secret)));
}

void check_decapsulation(value const& test, char const* secret) {
    CHECK(base::equal(mlkem::decapsulate(expanded_of(test), ciphertext_of(test)).view(),
                      hex(test, secret)));
}

}  // namespace

TEST_CASE("ML-KEM-768 key generation: ACVP and Wycheproof") {
    CHECK(vectors::for_each_test(vectors::load("mlkem768_keygen_acvp.json.gz"),
                                 [](value const&, value const& test) {
                                     auto seed = hex(test, "d");
                                     base::append(seed, hex(test, "z"));
                                     check_key_generation(*MlKem768Seed::from(seed), test);
                                 }) == 17);
    CHECK(vectors::for_each_test(vectors::load("mlkem768_keygen_seed_wycheproof.json.gz"),
                                 [](value const&, value const& test) {
                                     REQUIRE(is_valid(test));
                                     check_key_generation(MlKem768Seed(array<64>(test, "seed")),
                                                          test);
                                 }) == 67);
}

TEST_CASE("ML-KEM-768 encapsulation, decapsulation and key checks: ACVP") {
    auto const ran = vectors::for_each_test(
        vectors::load("mlkem768_encapdecap_acvp.json.gz"),
        [](value const& group, value const& test) {
            CAPTURE(test.at("tcId").as_int64());
            auto const& function = group.at("function").as_string();
            if (function == "encapsulation") check_encapsulation(test, "k");
            if (function == "decapsulation") check_decapsulation(test, "k");
            if (function == "decapsulationKeyCheck")
                CHECK(mlkem::is_valid(expanded_of(test)) == test.at("testPassed").as_bool());
            if (function == "encapsulationKeyCheck")
                CHECK(mlkem::is_valid(public_key_of(test)) == test.at("testPassed").as_bool());
        });
    CHECK(ran == 55);
}

TEST_CASE("ML-KEM-768 encapsulation, unreduced keys refused: Wycheproof and CCTV") {
    CHECK(vectors::for_each_test(vectors::load("mlkem768_encaps_wycheproof.json.gz"),
                                 [](value const&, value const& test) {
                                     CAPTURE(test.at("tcId").as_int64());
                                     if (is_valid(test)) return check_encapsulation(test, "K");
                                     // A key of another length does not fit our type.
                                     CHECK((hex(test, "ek").size() != mlkem768_public_key_bytes ||
                                            hex(test, "m").size() != 32 ||
                                            !mlkem::is_valid(public_key_of(test))));
                                 }) == 177);
    auto const file = vectors::load("mlkem768_modulus_cctv.json.gz");
    for (auto const& text : file.at("ek").as_array()) {
        auto const bytes = base::from_hex(std::string(text.as_string()));
        REQUIRE(bytes);
        MlKem768PublicKey key;
        REQUIRE(bytes->size() == key.size());
        std::ranges::copy(*bytes, key.begin());
        CHECK(!mlkem768_encapsulate(key, Secret<32>()));
    }
}

TEST_CASE("ML-KEM-768 decapsulation from seeds and from expanded keys: Wycheproof") {
    CHECK(vectors::for_each_test(
              vectors::load("mlkem768_decaps_wycheproof.json.gz"),
              [](value const&, value const& test) {
                  CAPTURE(test.at("tcId").as_int64());
                  auto const seed = MlKem768Seed::from(hex(test, "seed"));
                  bool const fits = seed && hex(test, "c").size() == mlkem768_ciphertext_bytes;
                  CHECK(fits == is_valid(test));
                  if (!fits) return;
                  CHECK(
                      base::equal(MlKem768PrivateKey(*seed).decapsulate(ciphertext_of(test)).view(),
                                  hex(test, "K")));
              }) == 129);
    vectors::for_each_test(vectors::load("mlkem768_expanded_decaps_wycheproof.json.gz"),
                           [](value const&, value const& test) {
                               CAPTURE(test.at("tcId").as_int64());
                               bool const fits =
                                   hex(test, "dk").size() == mlkem768_expanded_key_bytes &&
                                   hex(test, "c").size() == mlkem768_ciphertext_bytes &&
                                   mlkem::is_valid(expanded_of(test));
                               CHECK(fits == is_valid(test));
                               if (fits) check_decapsulation(test, "K");
                           });
}

TEST_CASE("ML-KEM-768: a seed that needs more SHAKE128 blocks than most: CCTV") {
    auto const test = vectors::load("mlkem768_unlucky_cctv.json");
    check_encapsulation(test, "K");
    check_decapsulation(test, "K");
}

TEST_CASE(
    "ML-KEM-768: one hash over 100 exchanges, one genuine and one random ciphertext each: CCTV "
    "recipe") {
    auto source = shake128();
    auto all = shake128();
    for (int i = 0; i < 100; ++i) {
        MlKem768Seed seed;
        Secret<32> random;
        MlKem768Ciphertext noise;
        source.squeeze(seed.mutable_view());
        source.squeeze(random.mutable_view());
        source.squeeze(noise);
        MlKem768PublicKey public_key;
        mlkem::ExpandedKey expanded;
        mlkem::generate_key(seed, public_key, expanded);
        auto const sent = mlkem768_encapsulate(public_key, random);
        REQUIRE(sent);
        CHECK(base::equal(mlkem::decapsulate(expanded, sent->ciphertext).view(),
                          sent->shared.view()));
        all.absorb(public_key)
            .absorb(expanded.view())
            .absorb(sent->ciphertext)
            .absorb(sent->shared.view());
        all.absorb(mlkem::decapsulate(expanded, noise).view());
    }
    base::ByteArray<32> out;
    all.squeeze(out);
    auto const file = vectors::load("accumulated_cctv.json");
    CHECK(base::to_hex(out) == std::string(file.at("ML-KEM-768").at("100").as_string()));
}
