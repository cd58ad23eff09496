// Every file of this folder through the runners, with the number of tests each must have run: a
// test that is silently left out is as bad as one that fails.
#include <doctest/doctest.h>

#include "runner.h"

using namespace kith;
using vectors::Value;

namespace {

Value load(std::string const& name) {
    auto file = vectors::load(std::string(KITH_VECTORS) + "/" + name);
    REQUIRE_MESSAGE(file.has_value(), name);
    return *std::move(file);
}

void check(char const* name, std::size_t passed, std::size_t skipped = 0) {
    CAPTURE(name);
    auto const report = vectors::run(load(name));
    REQUIRE(report.has_value());
    for (auto const& failure : report->failures) FAIL_CHECK(failure.id, ": ", failure.reason);
    CHECK(report->passed == passed);
    CHECK(report->skipped_count() == skipped);
}

}  // namespace

TEST_CASE("X25519: Wycheproof; a zero shared secret is refused") {
    check("x25519_wycheproof.json.gz", 346);
}

TEST_CASE("Ed25519: Wycheproof") {
    check("ed25519_wycheproof.json.gz", 106);
}

TEST_CASE("Ed25519: the edge cases on which libraries disagree follow one rule, libsodium's") {
    check("ed25519_edge_cctv.json.gz", 610);
}

TEST_CASE("ML-DSA-65 key generation: ACVP") {
    check("mldsa65_keygen_acvp.json.gz", 17);
}

TEST_CASE("ML-DSA-65 signing, pure interface, deterministic and hedged: ACVP") {
    check("mldsa65_siggen_pure_acvp.json.gz", 30);
}

TEST_CASE("ML-DSA-65 signing, internal interface and external mu: ACVP") {
    check("mldsa65_siggen_internal_acvp.json.gz", 30);
}

TEST_CASE("ML-DSA-65 verification: ACVP") {
    check("mldsa65_sigver_acvp.json.gz", 30);
}

TEST_CASE("ML-DSA-65 signing from a seed: Wycheproof") {
    check("mldsa65_sign_seed_wycheproof.json.gz", 91);
}

TEST_CASE("ML-DSA-65 signing from an expanded key, malformed keys included: Wycheproof") {
    check("mldsa65_sign_noseed_wycheproof.json.gz", 68);
}

TEST_CASE("ML-DSA-65 verification: Wycheproof") {
    check("mldsa65_verify_wycheproof.json.gz", 150);
}

TEST_CASE("ML-DSA-65 verification: hint encodings crafted to be accepted by careless decoders") {
    check("mldsa65_verify_crafted.json.gz", 19);
}

TEST_CASE("ML-DSA-65 and ML-KEM-768: one hash over 100 rounds of everything: CCTV") {
    check("accumulated_cctv.json", 2);
}

TEST_CASE("ML-KEM-768 key generation: ACVP and Wycheproof") {
    check("mlkem768_keygen_acvp.json.gz", 17);
    check("mlkem768_keygen_seed_wycheproof.json.gz", 67);
}

TEST_CASE("ML-KEM-768 encapsulation, decapsulation and key checks: ACVP") {
    check("mlkem768_encapdecap_acvp.json.gz", 55);
}

TEST_CASE("ML-KEM-768 encapsulation, unreduced keys refused: Wycheproof and CCTV") {
    check("mlkem768_encaps_wycheproof.json.gz", 177);
    check("mlkem768_modulus_cctv.json.gz", 260);
}

TEST_CASE("ML-KEM-768 decapsulation from seeds and expanded keys, wrong lengths: Wycheproof") {
    check("mlkem768_decaps_wycheproof.json.gz", 129);
    check("mlkem768_expanded_decaps_wycheproof.json.gz", 7);
}

TEST_CASE("ML-KEM-768: a seed that needs more SHAKE128 blocks than most: CCTV") {
    check("mlkem768_unlucky_cctv.json", 2);
}

TEST_CASE("ChaCha20-Poly1305 and XChaCha20-Poly1305: Wycheproof") {
    check("chacha20_poly1305_wycheproof.json.gz", 220);
    check("xchacha20_poly1305_wycheproof.json.gz", 213);
}

TEST_CASE("AES-256-GCM: Wycheproof, 256-bit keys") {
    check("aes_gcm_wycheproof.json.gz", 44, 88);
}

TEST_CASE(
    "AES-256-GCM opens one ciphertext under two keys: it does not commit, callers must not try "
    "keys") {
    check("aes256gcm_salamander.json", 4);
}

TEST_CASE("HKDF-SHA256: Wycheproof") {
    check("hkdf_sha256_wycheproof.json", 60);
}

TEST_CASE("SHA3-256, SHA3-512, SHAKE128 and SHAKE256: ACVP") {
    check("sha3_256_acvp.json", 96);
    check("sha3_512_acvp.json", 54);
    check("shake128_acvp.json.gz", 134);
    check("shake256_acvp.json.gz", 134);
}

TEST_CASE("BLAKE3: the official vectors in all modes, with every kernel") {
    check("blake3.json", 24);
}

TEST_CASE("RIPEMD-160: the official test set") {
    check("ripemd160.json", 9);
}

TEST_CASE("X-Wing and XAES-256-GCM, built from our primitives") {
    check("xwing.json", 3);
    check("xaes256gcm_c2sp.json", 2);
}

TEST_CASE("Noise: every cacophony transcript, byte for byte") {
    check("noise_cacophony.json", 14);
}

TEST_CASE("base58 and base58check: Bitcoin's and bs58check's vectors, and their refusals") {
    check("base58_bitcoin.json", 14);
    check("base58check_bs58check.json", 54);
}

// ---- the runners themselves
// -----------------------------------------------------------------------

TEST_CASE("one changed byte in a file makes exactly that test fail") {
    auto file = load("mlkem768_unlucky_cctv.json");
    auto& secret = file.at("K").as_string();
    secret[0] = secret[0] == '0' ? '1' : '0';
    CHECK(vectors::run(file)->failures.size() == 2);  // it is the answer of two tests

    auto transcripts = load("noise_cacophony.json");
    auto& hash = transcripts.at("vectors").at(3).at("handshake_hash").as_string();
    hash[10] = hash[10] == '0' ? '1' : '0';
    auto const report = vectors::run(transcripts);
    REQUIRE(report->failures.size() == 1);
    CHECK(report->failures[0].id.starts_with("#3 "));
    CHECK(report->passed == 13);
}

TEST_CASE("a verdict turned round is a failure, whichever way") {
    auto file = load("ed25519_wycheproof.json.gz");
    auto& tests = file.at("testGroups").at(0).at("tests").as_array();
    for (auto& test : tests)
        test.at("result") = test.at("result").as_string() == "valid" ? "invalid" : "valid";
    CHECK(vectors::run(file)->failures.size() == tests.size());
}

TEST_CASE("what kith does not implement is skipped with a reason, never passed") {
    auto file = load("mldsa65_keygen_acvp.json.gz");
    file.at("testGroups").at(0).at("parameterSet") = "ML-DSA-44";
    auto const report = vectors::run(file);
    CHECK(report->passed == 0);
    CHECK(report->failures.empty());
    CHECK(report->skipped_count() == 17);
}

TEST_CASE(
    "of a file of ACVP hashes, messages too large to write down and parts of bytes are skipped") {
    auto const of_one = [](std::string const& test) {
        return vectors::run(boost::json::parse(
            R"({"algorithm":"SHAKE-128","testGroups":[{"tests":[)" + test + "]}]}"));
    };
    auto const large = of_one(
        R"({"tcId":1,"largeMsg":{"content":"00","contentLength":8,"fullLength":8589934592,)"
        R"("expansionTechnique":"repeating"},"outLen":128,"md":"BE712632560B3B07FE746FBD7318A700"})");
    CHECK(large->skipped_count() == 1);
    CHECK(large->failures.empty());
    auto const odd = of_one(R"({"tcId":1,"msg":"7B","len":8,"outLen":20,"md":"B39B90"})");
    CHECK(odd->skipped_count() == 1);
    CHECK(odd->failures.empty());
    auto const whole =
        of_one(R"({"tcId":1,"msg":"7B","outLen":128,"md":"B39B9246593DADEF53FDB24BFD22FF9C"})");
    CHECK(whole->passed == 1);
    CHECK(of_one(R"({"tcId":1,"md":"B39B9246593DADEF53FDB24BFD22FF9C"})")->failures.size() == 1);
}

TEST_CASE("a test without a field it needs fails; a file of no known kind is refused") {
    auto file = load("mldsa65_keygen_acvp.json.gz");
    file.at("testGroups").at(0).at("tests").at(4).as_object().erase("seed");
    CHECK(vectors::run(file)->failures.size() == 1);
    for (char const* const content :
         {"{}", "[]", "[1]", "7", "{\"testGroups\":[]}",
          "{\"algorithm\":\"RSA\",\"testGroups\":[]}", "{\"tests\":[]}", "{\"tests\":[{\"x\":1}]}"})
        CHECK(vectors::run(boost::json::parse(content)).error().code == base::Code::unsupported);
    CHECK(vectors::load("no such file").error().code == base::Code::not_found);
}
