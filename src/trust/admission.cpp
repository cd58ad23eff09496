#include "trust/admission.h"

#include <array>

#include "base/sabotage.h"

namespace kith::trust {
namespace {

constexpr std::array<std::pair<Policy, std::string_view>, 4> policies{
    {{Policy::members, "members"},
     {Policy::tofu, "tofu"},
     {Policy::allow_list, "allow_list"},
     {Policy::allow_all, "allow_all"}}};

}  // namespace

std::optional<Policy> parse_policy(std::string_view word) {
    for (auto const& [policy, name] : policies)
        if (name == word) return policy;
    return std::nullopt;
}

std::string_view policy_name(Policy policy) {
    for (auto const& [known, name] : policies)
        if (known == policy) return name;
    return "unknown";
}

Decision admit(Policy policy, PeerFacts const& facts) {
    switch (policy) {
        case Policy::members:
            if (!KITH_GUARD("P2.in_swarm", facts.in_swarm))
                return {false, "this node is in no swarm"};
            if (!KITH_GUARD("P5.fail_closed", facts.has_lease))
                return {false, "the member list is not fresh"};
            if (!KITH_GUARD("P2.member", facts.on_list)) return {false, untrusted_peer_words};
            return {true, "member"};
        case Policy::tofu:
            if (!KITH_GUARD("M10.pinned", facts.pin != Pin::other))
                return {false, untrusted_peer_words};
            return {true, facts.pin == Pin::same ? "the key seen before" : "first seen"};
        case Policy::allow_list:
            if (!KITH_GUARD("M11.listed", facts.listed)) return {false, untrusted_peer_words};
            return {true, "in the allow_list"};
        case Policy::allow_all:
            return {true, "every peer is allowed"};
    }
    return {false, "unknown policy"};
}

std::string_view words_of(PairFailure failure) {
    switch (failure) {
        case PairFailure::untrusted_peer:
            return untrusted_peer_words;
        case PairFailure::handshake_rejected:
            return handshake_rejected_words;
        case PairFailure::timeout:
            return timeout_words;
    }
    return untrusted_peer_words;
}

std::optional<PairFailure> classify(LinkStage stage, base::Code code) {
    if (stage != LinkStage::handshake) return std::nullopt;
    switch (code) {
        case base::Code::timeout:
            return PairFailure::timeout;
        case base::Code::invalid:
        case base::Code::too_large:
        case base::Code::unauthorized:
        case base::Code::unsupported:
        case base::Code::corrupt:
        case base::Code::unavailable:  // the other side hung up in the middle: it rejected ours
        case base::Code::io:
            return PairFailure::handshake_rejected;
        case base::Code::forbidden:
        case base::Code::not_found:
        case base::Code::conflict:
        case base::Code::cancelled:
        case base::Code::internal:
            return std::nullopt;
    }
    return std::nullopt;
}

std::string mismatch_warning(Mismatch const& mismatch) {
    return "STOP. " + mismatch.address +
           " proved another key than the one it had at first contact. That is what a "
           "man-in-the-middle attack (MITM) looks like. Seen first: " +
           mismatch.pinned_id + ". Now: " + mismatch.proved_id +
           ". Ask the peer, by another way than this network, which node id its own kith status "
           "shows. Only if it is the new one: kith peers forget " +
           mismatch.pinned_short + ", then pair again.";
}

std::string impersonation_warning(std::string_view address, std::string_view expected_id) {
    return "STOP. Whoever answered at " + std::string(address) + " did not prove to be " +
           std::string(expected_id) +
           ". A wrong address does that, and so does a man-in-the-middle attack (MITM). Compare "
           "the "
           "address and the node id with the peer, by another way than this network, before you "
           "pair again.";
}

}  // namespace kith::trust
