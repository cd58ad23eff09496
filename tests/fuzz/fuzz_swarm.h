// tests/fuzz/fuzz_swarm.h: a swarm with true signatures, the same in every run, for the targets
// that lie about it: an operator, members with several bindings, and somebody who is none.
#pragma once

#include "fuzz_identity.h"
#include "identity/contexts.h"
#include "proto/membership/certificate.h"
#include "proto/membership/epoch.h"
#include "proto/membership/member_list.h"
#include "proto/membership/secret_wrap.h"
#include "proto/membership/token.h"

namespace kith::fuzz {

namespace membership = proto::membership;

inline constexpr membership::SwarmId swarm_id{{7}};

inline identity::Identity renewed(identity::Identity const& who, base::UnixTime at) {
    auto other = who.clone();
    auto const done = other.renew(at, secret_of<32>(8));
    return done ? std::move(other) : who.clone();
}

// A certificate of `root` for an invite whose seed is all `fill`.
inline base::Bytes certificate_of(identity::Identity const& root, std::uint8_t fill,
                                  std::uint32_t uses_max) {
    auto const keys = membership::derive_token_keys(secret_of<32>(fill));
    auto certificate =
        membership::certificate_body({.swarm_id = swarm_id,
                                      .lookup_id = keys.lookup_id,
                                      .invite_public_key = keys.invite_key.public_key(),
                                      .uses_max = uses_max,
                                      .created = today});
    base::append(certificate,
                 root.sign_root(identity::context::invite, certificate, secret_of<32>(8)).value());
    return certificate;
}

// What makes `who` a member, when the certificate is the operator's.
inline membership::Entry entry_of(identity::Identity const& who, base::Bytes certificate,
                                  std::uint8_t fill) {
    auto const keys = membership::derive_token_keys(secret_of<32>(fill));
    return {.binding = identity::encode(who.binding()),
            .certificate = std::move(certificate),
            .statement_signature = keys.invite_key.sign(
                membership::join_statement(swarm_id, keys.lookup_id, who.root_id())),
            .joined = today};
}

inline membership::Revocation revocation_of(identity::Identity const& by,
                                            identity::RootId const& root) {
    auto const body = membership::revocation_body(swarm_id, root, today);
    auto const signature =
        by.sign_root(identity::context::revocation, body, secret_of<32>(8)).value();
    return {.root_id = root, .time = today, .signature = base::to_bytes(signature)};
}

// Signed as a list, whatever it is: the coordinator's own key may be in hostile hands.
inline base::Bytes signed_list(base::Bytes body, identity::Identity const& by) {
    auto const signature = by.sign_operational(membership::list_statement(body));
    return membership::append_list_signature(std::move(body), signature);
}

}  // namespace kith::fuzz
