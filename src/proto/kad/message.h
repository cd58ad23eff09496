// proto/kad/message.h: the one message of Kademlia and its bytes (libp2p/specs kad-dht/README.md
// "RPC messages", research/libp2p.md section 3 "Kad"). On a stream it stands behind a varint length
// (wire/frame.h); here are the bytes behind that length.
//
// Traps: the key of GET_PROVIDERS and ADD_PROVIDER is a multihash, not a CID as the specification's
// text says; the key of FIND_NODE is the multihash of a peer id; ADD_PROVIDER has no answer.
#pragma once

#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "identity/peer_id.h"
#include "wire/multiaddr.h"

namespace kith::proto::kad {

inline constexpr std::size_t message_bytes_max = std::size_t{64} * 1024;       // accepted
inline constexpr std::size_t message_bytes_sent_max = std::size_t{16} * 1024;  // rust refuses more
inline constexpr std::size_t message_key_bytes_max = 256;
inline constexpr std::size_t provider_key_bytes_max = 80;  // as go
inline constexpr std::size_t value_bytes_max = std::size_t{8} * 1024;
inline constexpr std::size_t proof_bytes_max = 256;
inline constexpr std::size_t peers_max = 100;          // in each of the two lists; more is refused
inline constexpr std::size_t wire_addresses_max = 64;  // of one peer; more is refused
inline constexpr std::size_t addresses_kept_max = 8;   // of those the first that we understand
inline constexpr std::size_t peer_bytes_max = std::size_t{8} * 1024;  // one entry of a list

// Values of the specification.
enum class MessageType {
    put_value = 0,
    get_value = 1,
    add_provider = 2,
    get_providers = 3,
    find_node = 4,
    ping = 5,
};

// A peer and where somebody says that it listens: a claim until a link to it is up.
struct PeerInfo {
    identity::PeerId id;
    std::vector<wire::Multiaddr> addresses;
    bool operator==(PeerInfo const&) const = default;
};

struct ProviderInfo {
    PeerInfo peer;
    base::Bytes proof;  // empty from other implementations; RecordChecker judges it
    bool operator==(ProviderInfo const&) const = default;
};

struct Record {
    base::Bytes key;
    base::Bytes value;
    bool operator==(Record const&) const = default;
};

struct Message {
    MessageType type = MessageType::ping;
    base::Bytes key;
    std::optional<Record> record;
    std::vector<PeerInfo> closer_peers;
    std::vector<ProviderInfo> provider_peers;
    bool operator==(Message const&) const = default;
};

// Lengths and counts are checked on the wire bytes, before any object is built. Code::too_large: a
// limit above; Code::invalid: malformed; Code::unsupported: a type that is not in the list. Peers
// with another kind of key and addresses with unknown protocols are left out, not refused.
base::Result<Message> decode(base::ByteView bytes);

// At most message_bytes_sent_max: what does not fit is left out from the end of the lists (closer
// peers first), never cut. Asserts value_bytes_max and message_key_bytes_max: these are our own.
base::Bytes encode(Message const& message);

}  // namespace kith::proto::kad
