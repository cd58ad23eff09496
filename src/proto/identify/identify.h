// proto/identify/identify.h: who a peer is and where it listens (libp2p/specs identify/README.md
// and research/libp2p.md section 3): /ipfs/id/1.0.0. The responder writes delimited Identify
// messages and closes; real peers send up to ten, which are merged.
//
// Everything in it is a claim of the authenticated peer. The one thing checked here: a public key
// that is present must be that of the peer the connection proved.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "identity/peer_id.h"
#include "wire/frame.h"
#include "wire/multiaddr.h"

namespace kith::proto::identify {

inline constexpr std::string_view protocol = "/ipfs/id/1.0.0";
inline constexpr std::string_view push_protocol = "/ipfs/id/push/1.0.0";
inline constexpr std::size_t message_bytes_max = 8192;       // accepted; as js and go
inline constexpr std::size_t message_bytes_sent_max = 4096;  // rust refuses more
inline constexpr std::size_t messages_max = 10;
inline constexpr std::size_t protocols_max = 256;
inline constexpr std::size_t protocol_chars_max = 140;
inline constexpr std::size_t addresses_max = 64;
inline constexpr std::size_t version_chars_max = 128;  // longer strings are clipped

struct Info {
    std::string protocol_version;
    std::string agent_version;
    std::vector<std::string> protocols;
    std::vector<wire::Multiaddr> listen_addresses;
    std::optional<wire::Multiaddr> observed_address;  // of the receiver, as the sender sees it
    base::Bytes signed_peer_record;                   // not verified here; empty when absent
};

// One delimited message about `self`, whose Ed25519 key is `public_key`. Addresses and protocols
// that do not fit into message_bytes_sent_max are left out, the last first.
base::Bytes build(Info const& info, base::ByteArray<32> const& public_key);

// Reads the answer on an identify (or push) stream.
class Reader {
public:
    explicit Reader(identity::PeerId peer) : peer_(std::move(peer)) {}

    // Takes all of `in`. Code::invalid, too_large: malformed or above a limit. Code::unauthorized:
    // the public key is not that of `peer`. Errors are final. Addresses with unknown protocols are
    // skipped, not refused.
    base::Status feed(base::ByteView in);
    // At the end of the stream: what was said. Code::invalid: it ended inside a message or said
    // nothing.
    base::Result<Info> finish();

private:
    base::Status merge(base::Bytes const& message);

    identity::PeerId peer_;
    Info info_;
    std::size_t messages_count_ = 0;
    wire::FrameReader reader_{message_bytes_max};
};

}  // namespace kith::proto::identify
