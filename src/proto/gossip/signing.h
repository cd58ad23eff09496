// proto/gossip/signing.h: who says that he wrote a message (libp2p/specs pubsub/README.md, "Message
// signing").
//
// strict_sign: `from`, `seqno` and `signature` must be there and right. The signature is Ed25519
// over "libp2p-pubsub:" and the message without signature AND without key (go and js; the
// specification names the signature only), serialised from the known fields in tag order. For
// Ed25519 the key is left out: the peer id contains it. strict_no_sign: none of the four fields may
// be present, not even empty. One topic, one policy: all nodes of a network must be told the same
// one.
#pragma once

#include <functional>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "identity/identity.h"
#include "proto/gossip/rpc.h"

namespace kith::proto::gossip {

enum class SignaturePolicy { strict_sign, strict_no_sign };

inline constexpr std::string_view sign_prefix = "libp2p-pubsub:";
inline constexpr std::size_t seqno_bytes = 8;

// The id of a message under strict_no_sign, at most message_id_bytes_max bytes (longer ids are
// cut); must be pure, and the same function on every node of the network.
using MessageIdFunction = std::function<MessageId(std::string_view topic, base::ByteView data)>;

// SHA-256 over the topic's length (u16), the topic and the data.
MessageId content_id(std::string_view topic, base::ByteView data);

struct Origin {
    identity::PeerId author;
    std::uint64_t seqno = 0;
};

// The message of `author` under strict_sign. Serialised it may be above message_bytes_max: the
// caller looks.
libp2p::PubsubMessage sign_message(std::string_view topic, base::ByteView data, std::uint64_t seqno,
                                   identity::Identity const& author);

// What the fields say, without the signature: all that the id needs. strict_no_sign: nullopt, or
// Code::invalid when a field is present. strict_sign: Code::invalid when one is missing or
// malformed, or `key` is not that of `from`; Code::unsupported for keys other than Ed25519.
base::Result<std::optional<Origin>> read_origin(libp2p::PubsubMessage const& message,
                                                SignaturePolicy policy);
// Code::unauthorized: the signature is not that of `author`. Costs about 50 us.
base::Status verify_signature(libp2p::PubsubMessage const& message, identity::PeerId const& author);

// from || seqno, the id that go and js use under strict_sign.
MessageId signed_id(Origin const& origin);

}  // namespace kith::proto::gossip
