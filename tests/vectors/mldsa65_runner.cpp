// ML-DSA-65: ACVP (key generation, signing, verification) and Wycheproof (signing from seeds and
// expanded keys, verification).
#include "crypto/mldsa/core.h"
#include "crypto/mldsa65.h"
#include "runner.h"

namespace kith::vectors {

using namespace crypto;

namespace {

enum class Interface { pure, internal };

// Where ACVP puts a key: in the test, in older sets in the group.
Value const& owner(Value const& group, Value const& test, char const* key) {
    return has(test, key) ? test : group;
}

struct Input {
    Interface interface = Interface::pure;
    char const* message = "message";
    char const* context = "context";
};

// mu as given, or from message and context.
base::Result<mldsa::Representative> representative(Value const& test, Input input,
                                                   mldsa::In<64> key_hash) {
    if (!has(test, input.message) && has(test, "mu")) return array<64>(test, "mu");
    auto const message = hex(test, input.message);
    if (input.interface == Interface::internal) return mldsa::represent(key_hash, {}, {}, message);
    return mldsa::represent_pure(key_hash, hex(test, input.context), message);
}

Verdict generate_key_acvp(Value const& test) {
    MlDsa65PublicKey public_key;
    mldsa::ExpandedKey expanded;
    MlDsa65Seed const seed(array<32>(test, "seed"));
    mldsa::generate_key(seed, public_key, expanded);
    if (!base::equal(public_key, hex(test, "pk"))) return failed("another public key");
    if (!base::equal(expanded.view(), hex(test, "sk"))) return failed("another private key");
    return expect(MlDsa65SigningKey(seed).public_key() == public_key,
                  "the provider in use makes another public key");
}

Verdict sign_acvp(Value const& group, Value const& test, Interface interface) {
    auto const key = mldsa::ExpandedKey::from(hex(owner(group, test, "sk"), "sk"));
    if (!key) return failed("the private key has another length");
    auto const mu = representative(test, {.interface = interface}, mldsa::public_key_hash(*key));
    if (!mu) return failed("message or context refused");
    auto const signature = mldsa::sign(*key, *mu, array_or_zeros<32>(test, "rnd"));
    if (!signature) return failed("no signature");
    return expect(base::equal(*signature, hex(test, "signature")), "another signature");
}

Verdict verify_acvp(Value const& group, Value const& test, Interface interface) {
    bool const expected = test.at("testPassed").as_bool();
    auto const& key_owner = owner(group, test, "pk");
    auto const key = fixed<mldsa65_public_key_bytes>(key_owner, "pk");
    if (!key) return expect(!expected, "a key of another length should be accepted");
    auto const mu = representative(test, {.interface = interface}, mldsa::public_key_hash(*key));
    auto const signature = hex(test, "signature");
    if ((mu && mldsa::verify(*key, *mu, signature)) != expected) return failed("wrong verdict");
    if (interface == Interface::internal || !has(test, "message")) return passed();
    return expect(
        mldsa65_verify(*key, hex(test, "message"), hex(test, "context"), signature) == expected,
        "wrong verdict of the provider in use");
}

Verdict run_acvp(std::string const& mode, Value const& group, Value const& test) {
    bool const is_internal = text(group, "signatureInterface") != "external";
    auto const interface = is_internal ? Interface::internal : Interface::pure;
    if (mode.ends_with("keygen")) return generate_key_acvp(test);
    auto const hashing = has(group, "preHash") ? text(group, "preHash") : text(test, "preHash");
    if (!hashing.empty() && hashing != "pure" && hashing != "none")
        return skipped("HashML-DSA: kith signs messages, never their hashes");
    if (mode.ends_with("siggen")) return sign_acvp(group, test, interface);
    return verify_acvp(group, test, interface);
}

// ---- Wycheproof
// -----------------------------------------------------------------------------------

constexpr Input wycheproof = {.interface = Interface::pure, .message = "msg", .context = "ctx"};

Verdict compare(Value const& test, base::Result<MlDsa65Signature> const& signature) {
    if (signature.has_value() != is_valid(test))
        return failed(signature ? "signed what must be refused" : "refused to sign");
    return expect(!signature || base::equal(*signature, hex(test, "sig")), "another signature");
}

base::Result<MlDsa65Signature> sign_with(mldsa::ExpandedKey const& key, Value const& test) {
    auto const mu = KITH_TRY(representative(test, wycheproof, mldsa::public_key_hash(key)));
    if (has(test, "mu") && !base::equal(mu, hex(test, "mu")))
        return base::fail(base::Code::internal, "another message representative");
    return mldsa::sign(key, mu, array_or_zeros<32>(test, "rnd"));
}

Verdict sign_from_seed(Value const& group, Value const& test) {
    auto const seed = MlDsa65Seed::from(hex(group, "privateSeed"));
    if (!seed) return expect(!is_valid(test), "a seed of another length should be accepted");
    MlDsa65PublicKey public_key;
    mldsa::ExpandedKey expanded;
    mldsa::generate_key(*seed, public_key, expanded);
    if (has(group, "publicKey") && !base::equal(public_key, hex(group, "publicKey")))
        return failed("another public key");
    auto verdict = compare(test, sign_with(expanded, test));
    if (verdict.kind != Verdict::Kind::passed || !has(test, "msg")) return verdict;
    Secret<32> const random(array_or_zeros<32>(test, "rnd"));
    verdict =
        compare(test, MlDsa65SigningKey(*seed).sign(hex(test, "msg"), hex(test, "ctx"), random));
    if (verdict.kind == Verdict::Kind::failed) verdict.reason += " (by the provider in use)";
    return verdict;
}

Verdict sign_from_expanded(Value const& group, Value const& test) {
    auto const key = mldsa::ExpandedKey::from(hex(group, "privateKey"));
    if (!key) return expect(!is_valid(test), "a key of another length should be accepted");
    return compare(test, sign_with(*key, test));
}

Verdict verify_wycheproof(Value const& group, Value const& test) {
    auto const key = fixed<mldsa65_public_key_bytes>(group, "publicKey");
    if (!key) return expect(!is_valid(test), "a key of another length should be accepted");
    auto const signature = hex(test, "sig");
    auto const mu = representative(test, wycheproof, mldsa::public_key_hash(*key));
    if ((mu && mldsa::verify(*key, *mu, signature)) != is_valid(test))
        return failed("wrong verdict");
    if (!has(test, "msg")) return passed();
    return expect(
        mldsa65_verify(*key, hex(test, "msg"), hex(test, "ctx"), signature) == is_valid(test),
        "wrong verdict of the provider in use");
}

}  // namespace

bool run_mldsa65(Value const& file, Report& report) {
    if (!file.is_object() || !has(file, "testGroups")) return false;
    auto const algorithm = plain_name(text(file, "algorithm"));
    if (!algorithm.starts_with("mldsa")) return false;
    auto const mode = algorithm + plain_name(text(file, "mode"));
    report.kind = "ML-DSA-65";
    report.notes.push_back(provider_note(mldsa65_provider()));
    run_groups(file, report, [&mode](Value const& group, Value const& test) -> Verdict {
        auto const set =
            has(group, "parameterSet") ? plain_name(text(group, "parameterSet")) : mode;
        if (set.starts_with("mldsa44") || set.starts_with("mldsa87"))
            return skipped("parameter set other than ML-DSA-65");
        auto const type = text(group, "type");
        if (type == "MlDsaVerify") return verify_wycheproof(group, test);
        if (type == "MlDsaSign")
            return has(group, "privateSeed") ? sign_from_seed(group, test)
                                             : sign_from_expanded(group, test);
        if (mode.ends_with("keygen") || mode.ends_with("siggen") || mode.ends_with("sigver"))
            return run_acvp(mode, group, test);
        return skipped("ML-DSA tests of a type that is not known here");
    });
    return true;
}

}  // namespace kith::vectors
