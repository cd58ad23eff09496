// identity/contexts.h: every use of a signing key has its own context string, here and nowhere
// else, so that a signature made for one purpose is worthless for another (FIPS 204 context for
// ML-DSA, a prefix for Ed25519).
#pragma once

#include <string_view>

namespace kith::identity::context {

inline constexpr std::string_view identity_binding = "kith/identity-binding/v1";
inline constexpr std::string_view invite = "kith/invite/v1";
inline constexpr std::string_view membership = "kith/membership/v1";
inline constexpr std::string_view member_list = "kith/member-list/v1";
inline constexpr std::string_view channel_auth = "kith/channel-auth/v1";
inline constexpr std::string_view revocation = "kith/revocation/v1";
inline constexpr std::string_view epoch = "kith/epoch/v1";
inline constexpr std::string_view swarm = "kith/swarm/v1";
inline constexpr std::string_view sealed_gossip = "kith/sealed-gossip/v1";
inline constexpr std::string_view nickname = "kith/nickname/v1";
inline constexpr std::string_view credit_offer = "kith/credit-offer/v1";
inline constexpr std::string_view credit_receipt = "kith/credit-receipt/v1";
inline constexpr std::string_view credit_report = "kith/credit-report/v1";
inline constexpr std::string_view dht_record = "kith/dht-record/v1";

}  // namespace kith::identity::context
