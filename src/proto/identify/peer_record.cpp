#include "proto/identify/peer_record.h"

#include "base/sabotage.h"
#include "identity/envelope.h"
#include "schema/libp2p.pb.h"

namespace kith::proto::identify {

using base::Bytes;
using base::Code;
using base::fail;
using base::Result;

Bytes seal_peer_record(identity::Identity const& self, std::uint64_t seq,
                       std::vector<wire::Multiaddr> const& addresses) {
    libp2p::PeerRecord record;
    record.set_peer_id(base::to_text(self.peer_id().to_multihash()));
    record.set_seq(seq);
    for (auto const& address : addresses)
        record.add_addresses()->set_multiaddr(base::to_text(address.to_bytes()));
    return identity::seal_envelope(self, identity::peer_record_use,
                                   base::as_bytes(record.SerializeAsString()));
}

Result<PeerRecord> open_peer_record(base::ByteView envelope, identity::PeerId const& expected) {
    auto opened = identity::open_envelope(envelope, identity::peer_record_use);
    if (!opened && opened.error().code == Code::unsupported)
        opened = identity::open_envelope(envelope, identity::peer_record_use_rfc);
    if (!opened) return std::unexpected(opened.error());
    libp2p::PeerRecord message;
    auto const payload = opened->payload();
    if (!message.ParseFromArray(payload.data(), static_cast<int>(payload.size())))
        return fail(Code::invalid, "identify: malformed peer record");
    auto named = KITH_TRY(identity::PeerId::from_multihash(base::as_bytes(message.peer_id())));
    bool const own = opened->signer() == expected && named == expected;
    if (!KITH_GUARD("P7.peer_record", own))
        return fail(Code::unauthorized, "identify: a peer record of another peer");
    PeerRecord record{.peer = std::move(named), .seq = message.seq(), .addresses = {}};
    for (auto const& one : message.addresses()) {
        if (record.addresses.size() == record_addresses_max) break;
        if (auto address = wire::Multiaddr::from_bytes(base::as_bytes(one.multiaddr())))
            record.addresses.push_back(std::move(*address));
    }
    return record;
}

}  // namespace kith::proto::identify
