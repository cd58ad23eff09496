// identity/envelope.h: libp2p's signed envelope (libp2p/specs RFC/0002): a payload, what kind it
// is, and the signature of an Ed25519 identity over both and over a domain that no other use
// shares.
#pragma once

#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "identity/identity.h"
#include "identity/peer_id.h"

namespace kith::identity {

inline constexpr std::size_t envelope_bytes_max = 4096;

// Domain and payload type of one use. js and go really use the multicodec numbers as types; the
// texts of RFC/0003 are what old rust-libp2p sends.
struct EnvelopeUse {
    std::string_view domain;
    std::string_view payload_type;
};
inline constexpr EnvelopeUse peer_record_use{"libp2p-peer-record", "\x03\x01"};
inline constexpr EnvelopeUse peer_record_use_rfc{"libp2p-routing-state",
                                                 "/libp2p/routing-state-record"};
inline constexpr EnvelopeUse relay_voucher_use{"libp2p-relay-rsvp", "\x03\x02"};

base::Bytes seal_envelope(Identity const& signer, EnvelopeUse const& use, base::ByteView payload);

// What an envelope said, once its signature was verified for the use asked about.
class OpenedEnvelope {
public:
    [[nodiscard]] PeerId const& signer() const { return signer_; }
    [[nodiscard]] base::ByteView payload() const { return payload_; }

private:
    friend base::Result<OpenedEnvelope> open_envelope(base::ByteView bytes, EnvelopeUse const& use);
    OpenedEnvelope(PeerId signer, base::Bytes payload)
        : signer_(std::move(signer)), payload_(std::move(payload)) {}

    PeerId signer_;
    base::Bytes payload_;
};

// Code::too_large above envelope_bytes_max, unsupported: another key type or payload type, invalid:
// malformed, unauthorized: the signature does not fit.
base::Result<OpenedEnvelope> open_envelope(base::ByteView bytes, EnvelopeUse const& use);

}  // namespace kith::identity
