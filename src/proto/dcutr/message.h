// proto/dcutr/message.h: what two peers say over their relayed connection before they dial each
// other at the same moment (libp2p/specs relay/DCUtR.md), each message behind its varint length and
// at most 4 KiB.
//
//   initiator (was reached through the relay)          responder (dialled through the relay)
//              --- CONNECT: where I was seen --->
//              <-- CONNECT: where I was seen ----       the time between is one round trip
//              --- SYNC ------------------------>
//   dials half a round trip later                      dials when SYNC is here
//
// On the direct connection the responder is the client of every protocol, the initiator its server,
// however TCP came about.
#pragma once

#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "wire/multiaddr.h"
#include "wire/reach.h"

namespace kith::proto::dcutr {

inline constexpr std::string_view protocol = "/libp2p/dcutr";
inline constexpr std::size_t message_bytes_max = 4096;
inline constexpr std::size_t addresses_max = 8;  // told by us, and dialled of what a peer tells
inline constexpr std::size_t attempts_max = 3;   // the specification: retry twice
inline constexpr base::Duration reverse_timeout = std::chrono::seconds(2);  // of a plain dial
inline constexpr base::Duration answer_timeout = std::chrono::seconds(5);
inline constexpr base::Duration dial_timeout = std::chrono::seconds(5);  // of one attempt

struct Connect {
    std::vector<wire::Multiaddr> addresses;
};
struct Sync {};
using Message = std::variant<Connect, Sync>;

// At most addresses_max of the addresses.
base::Bytes frame(Message const& message);

// The bytes of one message without its length. Code::invalid: malformed, no or an unknown type;
// too_large: more than message_bytes_max. Addresses of unknown kinds are left out.
base::Result<Message> parse(base::ByteView bytes);

// Those of `addresses` that may be dialled because the peer named them, each once and without
// "/p2p", at most addresses_max.
std::vector<wire::Multiaddr> usable(wire::Reach reach,
                                    std::vector<wire::Multiaddr> const& addresses);

// --- what a machine wants its driver to do, in this order

struct OpenStream {};  // over the relayed connection; then on_opened()
struct Send {
    base::Bytes bytes;
};
struct CloseStream {};  // nothing more will be written
enum class Manner {
    plain,        // an ordinary dial, as the client
    simultaneous  // from the port that is listened on; client or server by role
};
struct Dial {  // all at once; the first that comes up and proves the peer counts
    std::vector<wire::Multiaddr> to;
    Manner manner = Manner::simultaneous;
};
struct CancelDials {};
struct GiveUp {};  // no direct connection; the relayed one stays
using Action = std::variant<OpenStream, Send, CloseStream, Dial, CancelDials, GiveUp>;

}  // namespace kith::proto::dcutr
