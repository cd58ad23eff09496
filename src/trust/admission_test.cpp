#include "trust/admission.h"

#include <doctest/doctest.h>

using namespace kith::trust;
using kith::base::Code;

TEST_CASE("only a listed member under a fresh list is admitted") {
    for (bool in_swarm : {false, true})
        for (bool has_lease : {false, true})
            for (bool on_list : {false, true}) {
                auto const decision = admit(Policy::members, {in_swarm, has_lease, on_list});
                CHECK(decision.allow == (in_swarm && has_lease && on_list));
                CHECK_FALSE(decision.reason.empty());
            }
}

TEST_CASE("M10: an address that was never seen is admitted, one that changed its key is not") {
    CHECK(admit(Policy::tofu, {.pin = Pin::none}).allow);
    CHECK(admit(Policy::tofu, {.pin = Pin::same}).allow);
    auto const changed = admit(Policy::tofu, {.pin = Pin::other});
    CHECK_FALSE(changed.allow);
    CHECK(changed.reason == "untrusted peer ID");
    // Being a member, or listed, does not excuse it here.
    CHECK_FALSE(admit(Policy::tofu, {.in_swarm = true,
                                     .has_lease = true,
                                     .on_list = true,
                                     .pin = Pin::other,
                                     .listed = true})
                    .allow);
}

TEST_CASE("M11: under allow_list a peer that is not listed is refused, whatever else is known") {
    CHECK(admit(Policy::allow_list, {.listed = true}).allow);
    for (auto const pin : {Pin::none, Pin::same, Pin::other}) {
        auto const decision = admit(Policy::allow_list, {.in_swarm = true, .pin = pin});
        CHECK_FALSE(decision.allow);
        CHECK(decision.reason == "untrusted peer ID");
    }
}

TEST_CASE("M12: allow_all admits every proved peer and is the only policy that does") {
    PeerFacts const worst{.pin = Pin::other};
    CHECK(admit(Policy::allow_all, worst).allow);
    for (auto const policy : {Policy::members, Policy::tofu, Policy::allow_list})
        CHECK_FALSE(admit(policy, worst).allow);
}

TEST_CASE("a policy is named by exactly one word") {
    for (auto const policy : {Policy::members, Policy::tofu, Policy::allow_list, Policy::allow_all})
        CHECK(parse_policy(policy_name(policy)) == policy);
    for (auto const* const word : {"", "TOFU", "members ", "allow", "allow_al", "none", "off"})
        CHECK_FALSE(parse_policy(word).has_value());
}

TEST_CASE(
    "M13: each way in which a handshake fails has one reason, and what is no failed pairing has "
    "none") {
    CHECK(words_of(PairFailure::untrusted_peer) == "untrusted peer ID");
    CHECK(words_of(PairFailure::handshake_rejected) == "noise handshake rejected");
    CHECK(words_of(PairFailure::timeout) == "timeout");
    CHECK(classify(LinkStage::handshake, Code::timeout) == PairFailure::timeout);
    for (auto const code :
         {Code::invalid, Code::unauthorized, Code::unsupported, Code::too_large, Code::unavailable})
        CHECK(classify(LinkStage::handshake, code) == PairFailure::handshake_rejected);
    for (auto const code : {Code::cancelled, Code::internal, Code::conflict})
        CHECK_FALSE(classify(LinkStage::handshake, code).has_value());
    for (auto const stage : {LinkStage::connecting, LinkStage::proved})
        for (auto const code : {Code::timeout, Code::unauthorized, Code::unavailable})
            CHECK_FALSE(classify(stage, code).has_value());
}

TEST_CASE(
    "M20: the warning about a changed key says STOP, names the attack and offers no way around") {
    auto const text = mismatch_warning({.address = "/ip4/10.0.0.1/tcp/8810",
                                        .pinned_id = "aaaa",
                                        .proved_id = "bbbb",
                                        .pinned_short = "aa"});
    CHECK(text.starts_with("STOP"));
    for (auto const* const part : {"man-in-the-middle", "MITM", "/ip4/10.0.0.1/tcp/8810", "aaaa",
                                   "bbbb", "kith peers forget aa", "kith status"})
        CHECK(text.find(part) != std::string::npos);
    for (auto const* const bypass : {"--force", "ignore", "anyway", "accept", "continue"})
        CHECK(text.find(bypass) == std::string::npos);
}
