// Fuzzes the GossipSub router: the input is cut into RPCs of hostile peers, between them the clock
// moves and the owner judges. Checked: limits hold, and whatever the router says is an RPC that it
// would accept itself.
//
// Input: one byte of settings, then entries of: peer and action u8, length u16, that many bytes.
#include <cstdlib>

#include "proto/gossip/router.h"

namespace gossip = kith::proto::gossip;
using kith::base::ByteView;
using kith::base::Instant;
using kith::identity::PeerId;

namespace {

constexpr std::size_t peers = 8;

PeerId peer_of(std::size_t number) {
    kith::base::ByteArray<32> key{};
    key[0] = static_cast<std::uint8_t>(number + 1);
    return PeerId(key);
}

class Owner {
public:
    explicit Owner(gossip::Options options) : router(std::move(options), now) {
        for (auto const* topic : {"t", "u"})
            if (!router.subscribe(topic, now)) std::abort();
        for (std::size_t i = 0; i < peers; ++i) add(i);
    }

    void add(std::size_t number) {
        static_cast<void>(router.on_peer_added(
            peer_of(number), number < 2 ? gossip::Version::v1_0 : gossip::Version::v1_2,
            number % 2 == 0 ? gossip::Direction::outbound : gossip::Direction::inbound, "10.0.0.1",
            now));
    }
    void drop(std::size_t number) { router.on_peer_removed(peer_of(number), now); }

    void hear(std::size_t number, ByteView rpc) {
        if (!router.on_rpc(peer_of(number), rpc, now)) {
            drop(number);
            add(number);
        }
    }
    void drain(std::uint8_t mood) {
        while (auto const output = router.poll_output()) {
            if (auto const* const one = std::get_if<gossip::Deliver>(&*output))
                router.validated(one->handle, static_cast<gossip::Verdict>(mood % 3), now);
            if (auto const* const one = std::get_if<gossip::PeerMisbehaved>(&*output))
                router.on_peer_removed(one->peer, now);
            if (auto const* const one = std::get_if<gossip::Transmit>(&*output))
                if ((mood & 4) == 0) read(one->peer);
        }
        if (router.pending_count() > gossip::pending_max) std::abort();
        for (auto const* topic : {"t", "u"})
            if (router.mesh(topic).size() > peers) std::abort();
    }
    void read(PeerId const& peer) {
        while (auto const rpc = router.poll_transmit(peer))
            if (rpc->size() > gossip::rpc_bytes_sent_max || !gossip::decode_rpc(*rpc)) std::abort();
    }

    Instant now{};
    gossip::Router router;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    if (size == 0) return 0;
    gossip::Options options;
    options.policy = gossip::SignaturePolicy::strict_no_sign;
    options.seed = data[0];
    Owner owner(std::move(options));
    ByteView input(data + 1, size - 1);
    while (input.size() >= 3) {
        auto const who = input[0];
        std::size_t const length = std::min<std::size_t>(
            kith::base::load_be<std::uint16_t>(input.subspan(1)), input.size() - 3);
        owner.hear(who % peers, input.subspan(3, length));
        input = input.subspan(3 + length);
        owner.drain(who >> 3);
        if ((who & 0x40) != 0) {
            owner.now = std::max(owner.now, owner.router.deadline());
            owner.router.on_deadline(owner.now);
            owner.drain(who >> 3);
        }
        if ((who & 0xc0) == 0xc0) owner.drop(who % peers);
        if ((who & 0xc0) == 0x80) owner.add(who % peers);
    }
    // The signing codec reads the same bytes as one message.
    kith::libp2p::PubsubMessage message;
    if (message.ParseFromArray(data, static_cast<int>(size))) {
        auto const origin = gossip::read_origin(message, gossip::SignaturePolicy::strict_sign);
        if (origin && gossip::verify_signature(message, (*origin)->author)) {
            auto const again = gossip::decode_rpc(gossip::encode_publish(message));
            if (!again || !gossip::verify_signature(again->publish(0), (*origin)->author))
                std::abort();
        }
    }
    return 0;
}
