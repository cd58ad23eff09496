// proto/identify/peer_record.h: where a peer says it listens, signed by itself (libp2p/specs
// RFC/0003), so that it can be passed on. Sealed in the form that go and js use; the form of the
// RFC's text is read as well (research/libp2p.md 3).
#pragma once

#include <vector>

#include "base/result.h"
#include "identity/identity.h"
#include "wire/multiaddr.h"

namespace kith::proto::identify {

inline constexpr std::size_t record_addresses_max = 64;

struct PeerRecord {
    identity::PeerId peer;
    std::uint64_t seq = 0;  // of two records of a peer the higher one holds
    std::vector<wire::Multiaddr> addresses;
};

base::Bytes seal_peer_record(identity::Identity const& self, std::uint64_t seq,
                             std::vector<wire::Multiaddr> const& addresses);
// Code::unauthorized: signed by, or about, another peer than `expected`; else as
// identity::open_envelope. Addresses of unknown kinds, and those above record_addresses_max, are
// left out.
base::Result<PeerRecord> open_peer_record(base::ByteView envelope,
                                          identity::PeerId const& expected);

}  // namespace kith::proto::identify
