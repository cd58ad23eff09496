// X25519 and Ed25519: Wycheproof and CCTV's edge cases.
#include <algorithm>

#include "crypto/ed25519.h"
#include "crypto/x25519.h"
#include "runner.h"

namespace kith::vectors {
namespace {

constexpr char const* x25519_rule =
    "X25519: of the \"acceptable\" tests those with an all-zero secret must be refused (RFC 7748 "
    "6.1), the others (twist, non-canonical coordinates) must give the secret named.";

Verdict run_x25519(Value const& group, Value const& test) {
    auto const curve = plain_name(text(group, "curve"));
    if (curve != "curve25519" && curve != "x25519") return skipped("curve other than X25519");
    if (text(group, "type") != "XdhComp")
        return skipped("keys in ASN.1, PEM or JWK: kith has raw keys only");
    auto const peer = fixed<32>(test, "public");
    auto const key = fixed<32>(test, "private");
    if (!peer || !key) return expect(!is_valid(test), "a length should be accepted");
    auto const expected = hex(test, "shared");
    auto const shared = crypto::x25519(crypto::Secret<32>(*key), *peer);
    bool const is_zero = std::ranges::all_of(expected, [](std::uint8_t byte) { return byte == 0; });
    if (is_zero)
        return expect(!shared && shared.error().code == base::Code::unauthorized,
                      "an all-zero secret is not refused");
    if (text(test, "result") == "invalid") return expect(!shared, "accepts what must be refused");
    return expect(shared && base::equal(shared->view(), expected), "another secret");
}

Verdict run_ed25519(Value const& group, Value const& test) {
    auto const& key_owner = has(group, "publicKey") ? group.at("publicKey") : group.at("key");
    auto const curve = plain_name(text(key_owner, "curve"));
    if (!curve.empty() && curve != "edwards25519") return skipped("curve other than Ed25519");
    auto const key = fixed<32>(key_owner, "pk");
    auto const signature = fixed<64>(test, "sig");
    bool const verdict =
        key && signature && crypto::ed25519_verify(*key, hex(test, "msg"), *signature);
    return expect(verdict == is_valid(test), "wrong verdict");
}

// What the rule in crypto/ed25519.h says of a CCTV edge case: nothing of small order, nothing
// non-canonical, and the equation without a cofactor.
bool accepted_by_rule(Value const& test) {
    for (auto const& flag : test.at("flags").as_array())
        for (char const* const refused : {"low_order_A", "low_order_R", "non_canonical_A",
                                          "non_canonical_R", "low_order_residue"})
            if (flag.as_string() == refused) return false;
    return true;
}

Verdict run_edge_case(Value const& test) {
    auto const message = text(test, "msg");  // text, not hex
    bool const verdict = crypto::ed25519_verify(array<32>(test, "key"), base::as_bytes(message),
                                                array<64>(test, "sig"));
    if (verdict != accepted_by_rule(test)) return failed("not the verdict that our rule gives");
    // Files that carry measured verdicts of libraries: ours must be that of libsodium.
    return expect(
        !has(test, "libsodium_1_0_18") || verdict == test.at("libsodium_1_0_18").as_bool(),
        "not the verdict of libsodium");
}

bool is_edge_file(Value const& file) {
    if (!file.is_array() || file.as_array().empty()) return false;
    auto const& first = file.as_array().front();
    return first.is_object() && has(first, "key") && has(first, "sig") && has(first, "msg") &&
           has(first, "flags");
}

}  // namespace

bool run_curves(Value const& file, Report& report) {
    if (is_edge_file(file)) {
        report.kind = "Ed25519 edge cases";
        run_list(file.as_array(), report, run_edge_case);
        return true;
    }
    if (!file.is_object() || !has(file, "testGroups")) return false;
    auto const algorithm = plain_name(text(file, "algorithm"));
    if (algorithm == "xdh" || algorithm == "x25519") {
        report.kind = "X25519";
        report.notes.emplace_back(x25519_rule);
        run_groups(file, report, run_x25519);
        return true;
    }
    if (algorithm == "eddsa" || algorithm == "ed25519") {
        report.kind = "Ed25519";
        run_groups(file, report, run_ed25519);
        return true;
    }
    return false;
}

}  // namespace kith::vectors
