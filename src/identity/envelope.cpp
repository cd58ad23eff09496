#include "identity/envelope.h"

#include "schema/libp2p.pb.h"
#include "wire/frame.h"

namespace kith::identity {

using base::Bytes;
using base::ByteView;
using base::Code;
using base::fail;

namespace {

// RFC/0002: each part with its length before it, so that no two triples read the same.
Bytes statement(EnvelopeUse const& use, ByteView payload) {
    Bytes signed_bytes;
    wire::append_frame(signed_bytes, base::as_bytes(use.domain));
    wire::append_frame(signed_bytes, base::as_bytes(use.payload_type));
    wire::append_frame(signed_bytes, payload);
    return signed_bytes;
}

}  // namespace

Bytes seal_envelope(Identity const& signer, EnvelopeUse const& use, ByteView payload) {
    libp2p::Envelope envelope;
    envelope.set_public_key(base::to_text(signer.peer_id().to_protobuf()));
    envelope.set_payload_type(std::string(use.payload_type));
    envelope.set_payload(base::to_text(payload));
    envelope.set_signature(base::to_text(signer.sign_operational(statement(use, payload))));
    return base::to_bytes(base::as_bytes(envelope.SerializeAsString()));
}

base::Result<OpenedEnvelope> open_envelope(ByteView bytes, EnvelopeUse const& use) {
    if (bytes.size() > envelope_bytes_max)
        return fail(Code::too_large, "a signed envelope is too large");
    libp2p::Envelope envelope;
    if (!envelope.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
        return fail(Code::invalid, "a signed envelope is malformed");
    if (envelope.payload_type() != use.payload_type)
        return fail(Code::unsupported, "a signed envelope carries something else");
    auto signer = KITH_TRY(PeerId::from_protobuf(base::as_bytes(envelope.public_key())));
    crypto::Ed25519Signature signature;
    if (envelope.signature().size() != signature.size())
        return fail(Code::invalid, "the signature of an envelope has a wrong size");
    std::ranges::copy(base::as_bytes(envelope.signature()), signature.begin());
    auto payload = base::to_bytes(base::as_bytes(envelope.payload()));
    bool const genuine =
        crypto::ed25519_verify(signer.public_key(), statement(use, payload), signature);
    if (!genuine) return fail(Code::unauthorized, "the signature of an envelope does not fit");
    return OpenedEnvelope(std::move(signer), std::move(payload));
}

}  // namespace kith::identity
