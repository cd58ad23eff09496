// identity/binding.h: IdentityBinding, the statement "this root speaks through these operational
// keys until then".
//
// Signed twice over the same bytes: by the root (ML-DSA-65, context kith/identity-binding/v1) and
// by the Ed25519 key itself (proof of possession: nobody can bind somebody else's key to their
// root). The X25519 key is proved by use.
//
// To be signed, big-endian, no optional fields:
//   u16+tag "kith/identity-binding/v1" | u16 version = 1 | u32 flags | u64 counter | u64 not_before
//   | u64 not_after | u16+root public key (1952) | u16+Ed25519 key (32) | u16+X25519 key (32)
// On the wire: u16+to-be-signed | u16+root signature (3309) | u16+Ed25519 signature (64). About 5.5
// KB: it travels in an established link, never in a first message.
#pragma once

#include <array>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/ed25519.h"
#include "crypto/mldsa65.h"
#include "crypto/x25519.h"
#include "identity/ids.h"

namespace kith::identity {

inline constexpr std::uint16_t binding_version = 1;
inline constexpr std::uint32_t binding_flag_service =
    1;  // the root is a hosted service, not a machine
inline constexpr std::uint32_t binding_flags_known = binding_flag_service;  // others are refused

inline constexpr std::int64_t binding_validity_seconds =
    30 * 86400;  // as issued; renewed after 20 days
inline constexpr std::int64_t binding_renewal_seconds = 20 * 86400;
inline constexpr std::int64_t binding_backdate_seconds = 3600;  // for peers whose clock is slow
inline constexpr std::int64_t binding_validity_seconds_max = 366 * 86400;  // accepted from others

struct BindingBody {
    std::uint32_t flags = 0;
    std::uint64_t counter = 0;    // a higher one replaces a lower one
    base::UnixTime not_before{};  // inclusive
    base::UnixTime not_after{};   // exclusive
    RootPublicKey root{};
    crypto::Ed25519PublicKey operational{};
    crypto::X25519PublicKey static_key{};

    bool operator==(BindingBody const&) const = default;
};

struct IdentityBinding {
    BindingBody body;
    crypto::MlDsa65Signature root_signature{};
    crypto::Ed25519Signature operational_signature{};

    bool operator==(IdentityBinding const&) const = default;
};

base::Bytes binding_to_sign(BindingBody const& body);

inline constexpr std::size_t binding_body_bytes =
    2 + 24 + 2 + 4 + 3 * 8 + (2 + 1952) + 2 * (2 + 32);
inline constexpr std::size_t binding_bytes = (2 + binding_body_bytes) + (2 + 3309) + (2 + 64);

base::Bytes encode(IdentityBinding const& binding);  // exactly binding_bytes
// Code::invalid unless `bytes` is exactly what encode makes of some binding. Verifies nothing.
base::Result<IdentityBinding> decode_binding(base::ByteView bytes);

// `random`: 32 fresh bytes. Asserts that body.root and body.operational are the keys of the two
// signers.
base::Result<IdentityBinding> sign_binding(BindingBody const& body,
                                           crypto::MlDsa65SigningKey const& root,
                                           crypto::Ed25519KeyPair const& operational,
                                           crypto::Secret<32> const& random);

// A binding that verify_binding accepted at some time; nothing else makes one. Whoever keeps it
// must look at not_after again, and remember the highest counter per root (a replaced binding still
// verifies).
class VerifiedBinding {
public:
    [[nodiscard]] BindingBody const& body() const { return binding_.body; }
    [[nodiscard]] IdentityBinding const& binding() const { return binding_; }
    [[nodiscard]] NodeId node_id() const { return NodeId{binding_.body.operational}; }
    [[nodiscard]] PeerId peer_id() const { return PeerId(binding_.body.operational); }
    [[nodiscard]] RootId const& root_id() const { return root_id_; }
    [[nodiscard]] Address address() const { return Address::of(binding_.body.root); }

private:
    friend base::Result<VerifiedBinding> verify_binding(IdentityBinding binding,
                                                        base::UnixTime now);
    VerifiedBinding(IdentityBinding binding, RootId root_id)
        : binding_(std::move(binding)), root_id_(root_id) {}

    IdentityBinding binding_;
    RootId root_id_;
};

// Code::unauthorized: a signature is wrong, not yet valid, or expired. Code::invalid: unknown
// flags, or a validity longer than binding_validity_seconds_max.
base::Result<VerifiedBinding> verify_binding(IdentityBinding binding, base::UnixTime now);

}  // namespace kith::identity
