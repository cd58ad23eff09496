#include "proto/kad/message.h"

#include <algorithm>

#include "base/check.h"
#include "schema/libp2p.pb.h"
#include "wire/fields.h"

namespace kith::proto::kad {

using base::Bytes;
using base::ByteView;
using base::Code;
using base::fail;
using base::Result;
using base::Status;

namespace {

// One length-delimited field of a message: at most `size_max` bytes, at most `count_max` times.
struct FieldLimit {
    int number;
    std::size_t size_max;
    std::size_t count_max;
    std::size_t seen = 0;
};

std::unexpected<base::Error> malformed() {
    return fail(Code::invalid, "kad: malformed message");
}

// Goes over the fields of `message` without building anything; calls `inside` with the bytes of
// each field that has a limit.
template <class Inside>
Status scan(ByteView message, std::vector<FieldLimit> limits, Inside const& inside) {
    wire::FieldReader reader(message);
    while (auto const field = KITH_TRY(reader.next())) {
        auto const limit = std::ranges::find(limits, field->number, &FieldLimit::number);
        if (limit == limits.end()) continue;
        if (field->bytes.size() > limit->size_max || ++limit->seen > limit->count_max)
            return fail(Code::too_large, "kad: a field is longer or more frequent than allowed");
        KITH_TRY(inside(limit->number, field->bytes));
    }
    return {};
}

Status check_limits(ByteView bytes) {
    using Kad = libp2p::KadMessage;
    using Peer = libp2p::KadPeer;
    using Rec = libp2p::KadRecord;
    auto const nothing = [](int, ByteView) -> Status { return {}; };
    auto const inside = [&nothing](int number, ByteView field) -> Status {
        if (number == Kad::kKeyFieldNumber) return {};
        if (number == Kad::kRecordFieldNumber)
            return scan(field,
                        {{Rec::kKeyFieldNumber, message_key_bytes_max, 1},
                         {Rec::kValueFieldNumber, value_bytes_max, 1},
                         {Rec::kTimeReceivedFieldNumber, 64, 1}},
                        nothing);
        return scan(field,
                    {{Peer::kIdFieldNumber, 128, 1},
                     {Peer::kAddressesFieldNumber, wire::multiaddr_bytes_max, wire_addresses_max},
                     {Peer::kProofFieldNumber, proof_bytes_max, 1}},
                    nothing);
    };
    return scan(bytes,
                {{Kad::kKeyFieldNumber, message_key_bytes_max, 1},
                 {Kad::kRecordFieldNumber, message_bytes_max, 1},
                 {Kad::kCloserPeersFieldNumber, peer_bytes_max, peers_max},
                 {Kad::kProviderPeersFieldNumber, peer_bytes_max, peers_max}},
                inside);
}

// nullopt: a peer that we cannot name.
std::optional<PeerInfo> to_peer(libp2p::KadPeer const& peer) {
    auto const id = identity::PeerId::from_multihash(base::as_bytes(peer.id()));
    if (!id) return std::nullopt;
    PeerInfo info{.id = *id, .addresses = {}};
    for (auto const& bytes : peer.addresses()) {
        if (info.addresses.size() == addresses_kept_max) break;
        auto address = wire::Multiaddr::from_bytes(base::as_bytes(bytes));
        if (address && std::ranges::find(info.addresses, *address) == info.addresses.end())
            info.addresses.push_back(std::move(*address));
    }
    return info;
}

void fill(libp2p::KadPeer& out, PeerInfo const& peer) {
    out.set_id(base::to_text(peer.id.to_multihash()));
    for (auto const& address : peer.addresses) {
        if (static_cast<std::size_t>(out.addresses_size()) == addresses_kept_max) break;
        out.add_addresses(base::to_text(address.to_bytes()));
    }
}

}  // namespace

Result<Message> decode(ByteView bytes) {
    if (bytes.size() > message_bytes_max)
        return fail(Code::too_large, "kad: the message is longer than allowed");
    KITH_TRY(check_limits(bytes));
    libp2p::KadMessage parsed;
    if (!parsed.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return malformed();
    if (parsed.type() < 0 || parsed.type() > static_cast<int>(MessageType::ping))
        return fail(Code::unsupported, "kad: unknown message type");
    Message message;
    message.type = static_cast<MessageType>(parsed.type());
    message.key = base::to_bytes(base::as_bytes(parsed.key()));
    if (parsed.has_record())
        message.record = Record{.key = base::to_bytes(base::as_bytes(parsed.record().key())),
                                .value = base::to_bytes(base::as_bytes(parsed.record().value()))};
    for (auto const& peer : parsed.closer_peers())
        if (auto info = to_peer(peer)) message.closer_peers.push_back(std::move(*info));
    for (auto const& peer : parsed.provider_peers())
        if (auto info = to_peer(peer))
            message.provider_peers.push_back(
                {.peer = std::move(*info), .proof = base::to_bytes(base::as_bytes(peer.proof()))});
    return message;
}

Bytes encode(Message const& message) {
    KITH_ASSERT(message.key.size() <= message_key_bytes_max);
    libp2p::KadMessage out;
    out.set_type(static_cast<int>(message.type));
    if (!message.key.empty()) out.set_key(base::to_text(message.key));
    if (message.record) {
        KITH_ASSERT(message.record->value.size() <= value_bytes_max);
        KITH_ASSERT(message.record->key.size() <= message_key_bytes_max);
        out.mutable_record()->set_key(base::to_text(message.record->key));
        out.mutable_record()->set_value(base::to_text(message.record->value));
    }
    // The size is kept by hand: ByteSizeLong() walks the whole message each time.
    std::size_t left = message_bytes_sent_max - out.ByteSizeLong();
    auto const add = [&left](auto* list, PeerInfo const& peer, ByteView proof) {
        auto* const entry = list->Add();
        fill(*entry, peer);
        if (!proof.empty()) entry->set_proof(base::to_text(proof));
        auto const size = entry->ByteSizeLong() + 4;  // tag and length
        if (size <= left)
            left -= size;
        else
            list->RemoveLast();
    };
    for (auto const& provider : message.provider_peers)
        add(out.mutable_provider_peers(), provider.peer, provider.proof);
    for (auto const& peer : message.closer_peers) add(out.mutable_closer_peers(), peer, {});
    return base::to_bytes(base::as_bytes(out.SerializeAsString()));
}

}  // namespace kith::proto::kad
