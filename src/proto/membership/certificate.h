// proto/membership/certificate.h: the two signed statements that make somebody a member.
//
//   operator's root --signs--> InviteCertificate{invite public key, uses, expiry}
//   invite key      --signs--> join statement{the joiner's root}
//   joiner's root   --signs--> identity binding{its keys of today}
//
// Any member checks this chain alone; a coordinator can leave members out but cannot add one (P4,
// DESIGN 6).
#pragma once

#include <optional>

#include "base/time.h"
#include "identity/binding.h"
#include "identity/ids.h"
#include "proto/membership/token.h"

namespace kith::proto::membership {

inline constexpr std::uint32_t invite_uses_max = 10'000;
inline constexpr std::size_t certificate_bytes_max = 4096;

// Layout (big endian): version u8 = 1, swarm_id 32, lookup_id 32, invite_public_key 32, uses_max
// u32, created i64, expires i64 (0: never), then the root's ML-DSA-65 signature over all of that
// (3309 bytes, context "kith/invite/v1").
struct InviteCertificate {
    SwarmId swarm_id{};
    LookupId lookup_id{};
    crypto::Ed25519PublicKey invite_public_key{};
    std::uint32_t uses_max = 1;
    base::UnixTime created{};
    base::UnixTime expires{};
};

base::Bytes certificate_body(InviteCertificate const& certificate);

// Only check_certificate() makes one: the operator's root signed exactly this.
class VerifiedCertificate {
public:
    InviteCertificate const& operator*() const { return certificate_; }
    InviteCertificate const* operator->() const { return &certificate_; }

private:
    friend base::Result<VerifiedCertificate> check_certificate(base::ByteView,
                                                               identity::RootPublicKey const&,
                                                               SwarmId const&);
    explicit VerifiedCertificate(InviteCertificate certificate) : certificate_(certificate) {}
    InviteCertificate certificate_;
};

// `encoded` is body || signature.
base::Result<VerifiedCertificate> check_certificate(base::ByteView encoded,
                                                    identity::RootPublicKey const& operator_root,
                                                    SwarmId const& swarm_id);

// What the invite key signs with Ed25519: "kith/join/v2" || swarm_id || lookup_id || root_id. It
// names the root and no binding, so that a member whose binding was renewed, or whose keys were
// exchanged, is the same member by the same statement.
base::Bytes join_statement(SwarmId const& swarm_id, LookupId const& lookup_id,
                           identity::RootId const& root_id);

}  // namespace kith::proto::membership
