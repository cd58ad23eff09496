#include "proto/membership/certificate.h"

#include "base/sabotage.h"
#include "crypto/mldsa65.h"
#include "identity/contexts.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace kith::proto::membership {

using base::Code;
using base::fail;

namespace {
constexpr std::uint8_t certificate_version = 1;
constexpr std::size_t body_bytes = 1 + 32 + 32 + 32 + 4 + 8 + 8;
}  // namespace

base::Bytes certificate_body(InviteCertificate const& certificate) {
    wire::Writer writer;
    writer.u8(certificate_version)
        .bytes(certificate.swarm_id)
        .bytes(certificate.lookup_id)
        .bytes(certificate.invite_public_key)
        .u32(certificate.uses_max)
        .u64(static_cast<std::uint64_t>(base::seconds(certificate.created)))
        .u64(static_cast<std::uint64_t>(base::seconds(certificate.expires)));
    return writer.take();
}

base::Result<VerifiedCertificate> check_certificate(base::ByteView encoded,
                                                    identity::RootPublicKey const& operator_root,
                                                    SwarmId const& swarm_id) {
    if (encoded.size() != body_bytes + crypto::mldsa65_signature_bytes)
        return fail(Code::invalid, "an invite certificate has the wrong size");
    auto const body = encoded.first(body_bytes);
    bool const signed_by_operator =
        crypto::mldsa65_verify(operator_root, body, base::as_bytes(identity::context::invite),
                               encoded.subspan(body_bytes));
    if (!KITH_GUARD("P2.certificate_signature", signed_by_operator))
        return fail(Code::unauthorized,
                    "an invite certificate is not signed by the operator of this swarm");
    wire::Reader reader(body);
    if (KITH_TRY(reader.u8()) != certificate_version)
        return fail(Code::unsupported, "an invite certificate has an unknown version");
    InviteCertificate certificate;
    certificate.swarm_id = KITH_TRY(reader.array<32>());
    certificate.lookup_id = KITH_TRY(reader.array<32>());
    certificate.invite_public_key = KITH_TRY(reader.array<32>());
    certificate.uses_max = KITH_TRY(reader.u32());
    certificate.created = base::UnixTime{static_cast<std::int64_t>(KITH_TRY(reader.u64()))};
    certificate.expires = base::UnixTime{static_cast<std::int64_t>(KITH_TRY(reader.u64()))};
    if (!KITH_GUARD("P4.swarm", certificate.swarm_id == swarm_id))
        return fail(Code::unauthorized, "an invite certificate is for another swarm");
    if (certificate.uses_max == 0 || certificate.uses_max > invite_uses_max)
        return fail(Code::invalid, "an invite certificate allows an impossible number of uses");
    return VerifiedCertificate(certificate);
}

base::Bytes join_statement(SwarmId const& swarm_id, LookupId const& lookup_id,
                           identity::RootId const& root_id) {
    wire::Writer writer;
    writer.bytes(base::as_bytes("kith/join/v2"))
        .bytes(swarm_id)
        .bytes(lookup_id)
        .bytes(root_id.bytes);
    return writer.take();
}

}  // namespace kith::proto::membership
