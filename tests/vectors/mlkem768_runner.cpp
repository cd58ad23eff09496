// ML-KEM-768: ACVP, Wycheproof and CCTV. Where the tests give a seed or a public key, the code that
// callers use runs as well as the internal one on expanded keys.
#include "crypto/mlkem/core.h"
#include "crypto/mlkem768.h"
#include "runner.h"

namespace kith::vectors {

using namespace crypto;

namespace {

using Ciphertext = std::optional<MlKem768Ciphertext>;

Value const& owner(Value const& group, Value const& test, char const* key) {
    return has(test, key) ? test : group;
}

bool is_public_key_valid(Value const& object) {
    auto const key = fixed<mlkem768_public_key_bytes>(object, "ek");
    return key && mlkem::is_valid(*key);
}

bool is_expanded_valid(Value const& object) {
    auto const key = mlkem::ExpandedKey::from(hex(object, "dk"));
    return key && mlkem::is_valid(*key);
}

// `secret` is "k" in ACVP files and "K" in the others.
Verdict encapsulate(Value const& keys, Value const& test, char const* secret) {
    auto const key = array<mlkem768_public_key_bytes>(keys, "ek");
    auto const random = array<32>(test, "m");
    for (bool const by_provider : {false, true}) {
        auto const sent = by_provider ? mlkem768_encapsulate(key, Secret<32>(random))
                                      : mlkem::encapsulate(key, random);
        if (!sent) return failed("a good key is refused");
        if (!base::equal(sent->ciphertext, hex(test, "c"))) return failed("another ciphertext");
        if (!base::equal(sent->shared.view(), hex(test, secret))) return failed("another secret");
    }
    return passed();
}

Verdict decapsulate(Value const& keys, Value const& test, char const* secret) {
    mlkem::ExpandedKey const key(array<mlkem768_expanded_key_bytes>(keys, "dk"));
    auto const shared = mlkem::decapsulate(key, array<mlkem768_ciphertext_bytes>(test, "c"));
    return expect(base::equal(shared.view(), hex(test, secret)), "another secret");
}

Verdict decapsulate_from_seed(Value const& test) {
    auto const seed = MlKem768Seed::from(hex(test, "seed"));
    auto const ciphertext = fixed<mlkem768_ciphertext_bytes>(test, "c");
    if (!seed || !ciphertext) return expect(!is_valid(test), "a length should be accepted");
    if (!is_valid(test)) return failed("right lengths, yet it should be refused");
    MlKem768PublicKey public_key;
    mlkem::ExpandedKey expanded;
    mlkem::generate_key(*seed, public_key, expanded);
    if (has(test, "ek") && !base::equal(public_key, hex(test, "ek")))
        return failed("another public key");
    auto const shared = hex(test, "K");
    if (!base::equal(mlkem::decapsulate(expanded, *ciphertext).view(), shared))
        return failed("another secret");
    return expect(base::equal(MlKem768PrivateKey(*seed).decapsulate(*ciphertext).view(), shared),
                  "another secret by the provider in use");
}

Verdict generate_key(base::ByteView seed_bytes, Value const& test) {
    auto const seed = MlKem768Seed::from(seed_bytes);
    if (!seed) return expect(has(test, "result") && !is_valid(test), "a seed of another length");
    MlKem768PublicKey public_key;
    mlkem::ExpandedKey expanded;
    mlkem::generate_key(*seed, public_key, expanded);
    if (!base::equal(public_key, hex(test, "ek"))) return failed("another public key");
    if (!base::equal(expanded.view(), hex(test, "dk"))) return failed("another private key");
    return expect(MlKem768PrivateKey(*seed).public_key() == public_key,
                  "the provider in use makes another public key");
}

Verdict run_acvp(Value const& group, Value const& test) {
    auto const function = text(group, "function");
    if (function == "encapsulation") return encapsulate(owner(group, test, "ek"), test, "k");
    if (function == "decapsulation") return decapsulate(owner(group, test, "dk"), test, "k");
    if (function == "decapsulationKeyCheck")
        return expect(is_expanded_valid(test) == test.at("testPassed").as_bool(), "wrong verdict");
    if (function == "encapsulationKeyCheck")
        return expect(is_public_key_valid(test) == test.at("testPassed").as_bool(),
                      "wrong verdict");
    if (!has(test, "d")) return skipped("ML-KEM tests of a function that is not known here");
    auto seed = hex(test, "d");
    base::append(seed, hex(test, "z"));
    return generate_key(seed, test);
}

Verdict run_wycheproof(std::string const& type, Value const& test) {
    if (type == "MLKEMTest") return decapsulate_from_seed(test);
    if (type == "MLKEMKeyGen") return generate_key(hex(test, "seed"), test);
    if (type == "MLKEMEncapsTest") {
        if (is_valid(test)) return encapsulate(test, test, "K");
        bool const fits = hex(test, "m").size() == 32 && is_public_key_valid(test);
        auto const key = fixed<mlkem768_public_key_bytes>(test, "ek");
        if (fits) return failed("accepts what must be refused");
        if (!key || hex(test, "m").size() != 32) return passed();
        return expect(!mlkem768_encapsulate(*key, Secret<32>(array<32>(test, "m"))),
                      "the provider in use accepts a key that must be refused");
    }
    if (type == "MLKEMDecapsValidationTest") {
        bool const fits = fixed<mlkem768_ciphertext_bytes>(test, "c") && is_expanded_valid(test);
        if (fits != is_valid(test)) return failed("wrong verdict on key or lengths");
        return fits ? decapsulate(test, test, "K") : passed();
    }
    return skipped("ML-KEM tests of a type that is not known here");
}

Verdict must_refuse(Value const& bytes) {
    auto const key = from_hex(bytes.as_string());
    if (key.size() != mlkem768_public_key_bytes) return passed();  // does not fit our type
    MlKem768PublicKey array;
    std::ranges::copy(key, array.begin());
    return expect(!mlkem768_encapsulate(array, Secret<32>()), "an unreduced key is accepted");
}

}  // namespace

bool run_mlkem768(Value const& file, Report& report) {
    if (!file.is_object()) return false;
    report.kind = "ML-KEM-768";
    report.notes = {provider_note(mlkem768_provider())};
    auto const algorithm = plain_name(text(file, "algorithm"));
    if (algorithm.starts_with("mlkem") && has(file, "testGroups")) {
        run_groups(file, report, [&](Value const& group, Value const& test) -> Verdict {
            auto const set =
                has(group, "parameterSet") ? plain_name(text(group, "parameterSet")) : algorithm;
            if (set.starts_with("mlkem512") || set.starts_with("mlkem1024"))
                return skipped("parameter set other than ML-KEM-768");
            auto const type = text(group, "type");
            return type.empty() ? run_acvp(group, test) : run_wycheproof(type, test);
        });
        return true;
    }
    if (has(file, "ek") && file.at("ek").is_array()) {  // CCTV modulus
        run_list(file.at("ek").as_array(), report, must_refuse);
        return true;
    }
    if (has(file, "ek") && has(file, "dk") && has(file, "m")) {  // CCTV unluckysample
        report.add("encapsulation", guarded([&] { return encapsulate(file, file, "K"); }));
        report.add("decapsulation", guarded([&] { return decapsulate(file, file, "K"); }));
        return true;
    }
    return false;
}

}  // namespace kith::vectors
