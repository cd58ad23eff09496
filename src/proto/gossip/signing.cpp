#include "proto/gossip/signing.h"

#include "crypto/ed25519.h"
#include "crypto/hash.h"
#include "wire/writer.h"

namespace kith::proto::gossip {

using base::as_bytes;
using base::ByteView;
using base::Code;
using base::fail;
using base::Result;
using base::Status;
using identity::PeerId;

namespace {

std::string signed_text(libp2p::PubsubMessage const& message) {
    libp2p::PubsubMessage known;  // without what we do not know, and would not pass on
    known.set_from(message.from());
    if (message.has_data()) known.set_data(message.data());
    known.set_seqno(message.seqno());
    known.set_topic(message.topic());
    return std::string(sign_prefix) + known.SerializeAsString();
}

std::string seqno_text(std::uint64_t seqno) {
    base::ByteArray<seqno_bytes> bytes;
    base::store_be<std::uint64_t>(bytes, seqno);
    return base::to_text(bytes);
}

}  // namespace

MessageId content_id(std::string_view topic, ByteView data) {
    wire::Writer writer;
    writer.prefixed_u16(as_bytes(topic));
    return base::to_text(crypto::Sha256().update(writer.view()).update(data).finish());
}

libp2p::PubsubMessage sign_message(std::string_view topic, ByteView data, std::uint64_t seqno,
                                   identity::Identity const& author) {
    libp2p::PubsubMessage message;
    message.set_from(base::to_text(author.peer_id().to_multihash()));
    message.set_data(base::to_text(data));
    message.set_seqno(seqno_text(seqno));
    message.set_topic(std::string(topic));
    auto const signature = author.sign_operational(as_bytes(signed_text(message)));
    message.set_signature(base::to_text(signature));
    return message;
}

Result<std::optional<Origin>> read_origin(libp2p::PubsubMessage const& message,
                                          SignaturePolicy policy) {
    if (policy == SignaturePolicy::strict_no_sign) {
        if (message.has_from() || message.has_seqno() || message.has_signature() ||
            message.has_key())
            return fail(Code::invalid, "gossip: a message names its author where none may");
        return std::nullopt;
    }
    if (!message.has_from() || !message.has_signature() || message.seqno().size() != seqno_bytes)
        return fail(Code::invalid, "gossip: a message without author, number or signature");
    auto const author = KITH_TRY(PeerId::from_multihash(as_bytes(message.from())));
    if (message.has_key() && KITH_TRY(PeerId::from_protobuf(as_bytes(message.key()))) != author)
        return fail(Code::invalid, "gossip: the key is not the author's");
    return Origin{author, base::load_be<std::uint64_t>(as_bytes(message.seqno()))};
}

Status verify_signature(libp2p::PubsubMessage const& message, PeerId const& author) {
    crypto::Ed25519Signature signature;
    if (message.signature().size() != signature.size())
        return fail(Code::unauthorized, "gossip: the signature has a wrong length");
    std::ranges::copy(as_bytes(message.signature()), signature.begin());
    if (!crypto::ed25519_verify(author.public_key(), as_bytes(signed_text(message)), signature))
        return fail(Code::unauthorized, "gossip: the signature is wrong");
    return {};
}

MessageId signed_id(Origin const& origin) {
    return base::to_text(origin.author.to_multihash()) + seqno_text(origin.seqno);
}

}  // namespace kith::proto::gossip
