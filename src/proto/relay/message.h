// proto/relay/message.h: what is said on the hop and stop streams of circuit relay v2
// (libp2p/specs relay/circuit-v2.md), each message behind its varint length and at most 4 KiB.
//
//   source --- hop: CONNECT ---> relay --- stop: CONNECT ---> target
//          <-- hop: STATUS -----       <-- stop: STATUS ----
//   and from then on the two streams carry one raw connection.
#pragma once

#include <optional>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "identity/identity.h"
#include "identity/peer_id.h"
#include "wire/multiaddr.h"

namespace kith::proto::relay {

inline constexpr std::string_view hop_protocol = "/libp2p/circuit/relay/0.2.0/hop";
inline constexpr std::string_view stop_protocol = "/libp2p/circuit/relay/0.2.0/stop";
inline constexpr std::size_t message_bytes_max = 4096;
inline constexpr std::size_t addresses_max = 16;  // of a relay or a peer; more are left out

// The numbers of the specification; any other number is kept as it came.
enum class Status : std::uint32_t {
    none = 0,  // the field was missing
    ok = 100,
    reservation_refused = 200,
    resource_limit_exceeded = 201,
    permission_denied = 202,
    connection_failed = 203,
    no_reservation = 204,
    malformed_message = 400,
    unexpected_message = 401,
};
// For people: "the relay has no reservation of that peer".
std::string_view status_sentence(Status status);

// What a relay allows one connection to use; 0: no limit.
struct Limit {
    std::uint32_t duration_s = 0;
    std::uint64_t data_bytes = 0;  // in each direction
    bool operator==(Limit const&) const = default;
};

struct Reservation {
    base::UnixTime expires{};
    std::vector<wire::Multiaddr> addresses;  // of the relay; ours is each plus /p2p-circuit
    base::Bytes voucher;  // a signed envelope, not verified here; empty when absent
};

struct Reserve {};
struct Connect {
    identity::PeerId peer;  // to the relay: whom to reach; to the target: who asks
    Limit limit;            // only on the stop stream
};
struct Answer {
    Status status = Status::none;
    std::optional<Reservation> reservation;
    Limit limit;
};
using HopMessage = std::variant<Reserve, Connect, Answer>;
using StopMessage = std::variant<Connect, Answer>;

base::Bytes frame_hop(HopMessage const& message);
base::Bytes frame_stop(StopMessage const& message);

// The bytes of one message without its length. Code::invalid: malformed, no or an unknown type, or
// CONNECT without a peer; unsupported: the peer's key is of a kind this program does not speak to.
// Addresses of unknown kinds are left out.
base::Result<HopMessage> parse_hop(base::ByteView bytes);
base::Result<StopMessage> parse_stop(base::ByteView bytes);

// A relay's signed promise that `peer` has a reservation (envelope payload type 03 02).
struct Voucher {
    identity::PeerId relay;
    identity::PeerId peer;
    base::UnixTime expires{};
};
base::Bytes seal_voucher(identity::Identity const& relay, identity::PeerId const& peer,
                         base::UnixTime expires);
// Code::unauthorized: not signed by the relay that it names; else as open_envelope().
base::Result<Voucher> open_voucher(base::ByteView envelope);

}  // namespace kith::proto::relay
