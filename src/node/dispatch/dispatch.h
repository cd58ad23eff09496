// node/dispatch/dispatch.h: turns opened frames into authenticated messages, by one table of who
// may say what for whom (S16-S22). A message that claims another sender than the session's peer is
// dropped and changes nothing.
#pragma once

#include <variant>

#include "node/dispatch/authenticated.h"
#include "proto/membership/member_list.h"
#include "proto/sealed_gossip/envelope.h"
#include "proto/session/keyring.h"
#include "schema/wire.pb.h"

namespace kith::node {

// Of a control message. The coordinator's fits a full member list, a member's the largest manifest
// (1 MiB).
inline constexpr std::size_t control_bytes_max = 9 * 1024 * 1024;
inline constexpr std::size_t control_bytes_of_member_max = 1024 * 1024 + 16 * 1024;
inline constexpr std::size_t stage_header_bytes_max = 64 * 1024;  // a full route has 4 KB
// Entries of a message, counted before it is built.
inline constexpr std::size_t own_addresses_max = 64;  // of whoever asks for the list
inline constexpr std::size_t list_addresses_max = 8 * proto::membership::members_max;
inline constexpr std::size_t announced_holdings_max = 256;
inline constexpr std::size_t route_hops_max = 64;

enum class Rank { member, coordinator };  // of a sender

// A stage message and the tensor behind it: rows * hidden F32 values, little endian, or empty. It
// was sealed for this node under the tensor lane (AES-256-GCM), so no byte of it was touched on the
// way (P11).
struct OpenedActivation {
    wire::v1::StageMessage message;
    base::Bytes tensor;
};

using AuthenticatedControl = Authenticated<wire::v1::Control>;
using AuthenticatedActivation = Authenticated<OpenedActivation>;
using Inbound = std::variant<AuthenticatedControl, AuthenticatedActivation>;

class Dispatcher {
public:
    // Code::invalid, too_large: malformed. Code::unauthorized: the message claims to be of somebody
    // else.
    static base::Result<Inbound> admit(identity::NodeId const& sender, Rank rank,
                                       proto::session::Opened const& opened);
    // The same for what a member told the whole swarm: his signature proves him, whoever passed it
    // on. Code::invalid too for a kind of message that gossip does not carry.
    static base::Result<Inbound> admit(proto::sealed_gossip::VerifiedGossip const& gossip);
};

// The plaintext of a tensor frame: u32 header size, header, tensor.
base::Bytes encode_activation(wire::v1::StageMessage const& message, base::ByteView tensor);

}  // namespace kith::node
