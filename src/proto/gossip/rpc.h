// proto/gossip/rpc.h: one GossipSub RPC from and to bytes.
//
// A byte of an RPC can cost a hundred bytes of memory once it is an object (an empty id, an empty
// subscription). So everything that repeats is counted on the wire first, without allocating, and
// an RPC above a limit of limits.h is refused before it is parsed (rust-libp2p 0.50: "decode
// amplification").
#pragma once

#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "schema/libp2p.pb.h"

namespace kith::proto::gossip {

using MessageId = std::string;  // bytes

// Code::too_large: a limit. Code::invalid: not this protobuf. Unknown fields are passed over, as
// proto2 demands; groups, which no libp2p peer sends, are refused. A repeated `control` counts as
// one: its parts add up. Strings are as long as they came: topics and ids are judged where they are
// used.
base::Result<libp2p::PubsubRpc> decode_rpc(base::ByteView bytes);

// Field 2 (publish) of an RPC that holds `message`, without what we do not know of it. RPCs may be
// put together by appending.
base::Bytes encode_publish(libp2p::PubsubMessage const& message);

}  // namespace kith::proto::gossip
