// proto/gossip/gossip_test_bench.h: one router with hand-made peers around it, and a clock that
// only the test moves.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "proto/gossip/router.h"

namespace kith::proto::gossip::test {

inline identity::Identity identity_of(std::uint8_t number) {
    base::ByteArray<identity::identity_random_bytes> random;
    random.fill(number);
    return identity::Identity::create(crypto::Secret<identity::identity_random_bytes>(random),
                                      base::UnixTime{1'000'000})
        .value();
}

inline identity::PeerId peer_of(std::size_t number) {
    base::ByteArray<32> key{};
    base::store_be<std::uint64_t>(key, number + 1);
    return identity::PeerId(key);
}

inline base::Bytes bytes_of(libp2p::PubsubRpc const& rpc) {
    return base::to_bytes(base::as_bytes(rpc.SerializeAsString()));
}

// Options without signatures: what most tests are about does not depend on them.
inline Options plain_options() {
    Options options;
    options.policy = SignaturePolicy::strict_no_sign;
    options.seed = 7;
    return options;
}

class Bench {
public:
    explicit Bench(Options options = plain_options()) : router(std::move(options), now) {}

    void add(std::size_t number, Version version = Version::v1_2,
             Direction direction = Direction::outbound, std::string ip = "127.0.0.1") {
        if (!router.on_peer_added(peer_of(number), version, direction, std::move(ip), now))
            throw std::runtime_error("the router refuses a peer of the test");
        drain();
    }
    base::Status say(std::size_t number, libp2p::PubsubRpc const& rpc) {
        auto status = router.on_rpc(peer_of(number), bytes_of(rpc), now);
        drain();
        return status;
    }
    base::Status subscribes(std::size_t number, std::string const& topic) {
        libp2p::PubsubRpc rpc;
        auto* const one = rpc.add_subscriptions();
        one->set_subscribe(true);
        one->set_topic(topic);
        return say(number, rpc);
    }
    base::Status grafts(std::size_t number, std::string const& topic) {
        libp2p::PubsubRpc rpc;
        rpc.mutable_control()->add_graft()->set_topic(topic);
        return say(number, rpc);
    }
    base::Status prunes(std::size_t number, std::string const& topic,
                        std::optional<std::uint64_t> backoff) {
        libp2p::PubsubRpc rpc;
        auto* const prune = rpc.mutable_control()->add_prune();
        prune->set_topic(topic);
        if (backoff) prune->set_backoff(*backoff);
        return say(number, rpc);
    }
    base::Status message(std::size_t number, std::string const& topic, std::string const& data) {
        libp2p::PubsubRpc rpc;
        auto* const one = rpc.add_publish();
        one->set_topic(topic);
        one->set_data(data);
        return say(number, rpc);
    }
    base::Status ihave(std::size_t number, std::string const& topic,
                       std::vector<MessageId> const& ids) {
        libp2p::PubsubRpc rpc;
        auto* const have = rpc.mutable_control()->add_ihave();
        have->set_topic(topic);
        for (auto const& id : ids) have->add_ids(id);
        return say(number, rpc);
    }
    base::Status iwant(std::size_t number, MessageId const& id) {
        libp2p::PubsubRpc rpc;
        rpc.mutable_control()->add_iwant()->add_ids(id);
        return say(number, rpc);
    }
    base::Status idontwant(std::size_t number, MessageId const& id) {
        libp2p::PubsubRpc rpc;
        rpc.mutable_control()->add_idontwant()->add_ids(id);
        return say(number, rpc);
    }

    // Moves the clock in heartbeats.
    void beat(std::size_t times = 1) {
        for (std::size_t i = 0; i < times; ++i) {
            now = std::max(now, router.deadline());
            router.on_deadline(now);
            drain();
        }
    }
    void accept_all() {
        for (auto const& one : delivered) router.validated(one.handle, Verdict::accept, now);
        drain();
    }
    // Everything said to a peer since the last call, as one RPC.
    libp2p::PubsubRpc heard(std::size_t number) {
        drain();
        return std::exchange(sent[peer_of(number)], {});
    }
    [[nodiscard]] bool in_mesh(std::size_t number, std::string const& topic) const {
        return router.mesh(topic).contains(peer_of(number));
    }
    [[nodiscard]] double score(std::size_t number) const {
        return router.score(peer_of(number), now);
    }

    void drain() {
        while (auto output = router.poll_output()) {
            if (auto* const one = std::get_if<Deliver>(&*output)) delivered.push_back(*one);
            if (auto* const one = std::get_if<PeerMisbehaved>(&*output)) misbehaved.push_back(*one);
            if (auto* const one = std::get_if<Transmit>(&*output)) transmit(one->peer);
        }
    }

    base::Instant now{};
    Router router;
    std::vector<Deliver> delivered;
    std::vector<PeerMisbehaved> misbehaved;
    std::set<identity::PeerId> deaf;  // their streams take nothing
    std::map<identity::PeerId, libp2p::PubsubRpc> sent;

private:
    void transmit(identity::PeerId const& peer) {
        if (deaf.contains(peer)) return;
        while (auto const rpc = router.poll_transmit(peer)) {
            auto const decoded = decode_rpc(*rpc);
            if (!decoded) throw std::runtime_error("the router said what it would refuse");
            sent[peer].MergeFrom(*decoded);
        }
    }
};

}  // namespace kith::proto::gossip::test
