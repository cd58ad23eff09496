#include "node/services/gossip_judge.h"

#include <doctest/doctest.h>

#include "proto/gossip/router.h"

using kith::base::as_bytes;
using kith::base::Bytes;
using kith::base::Instant;
using kith::base::UnixTime;
using kith::crypto::Secret;
using kith::identity::Identity;
using kith::identity::NodeId;
using kith::identity::PeerId;
namespace gossip = kith::proto::gossip;
namespace sealed_gossip = kith::proto::sealed_gossip;

namespace {

constexpr UnixTime now{1'800'000'000};

Identity identity_of(std::uint8_t number) {
    kith::base::ByteArray<kith::identity::identity_random_bytes> random;
    random.fill(number);
    return Identity::create(Secret<kith::identity::identity_random_bytes>(random), now).value();
}

// We listen to one honest relay, which passes on what a member says.
struct Bench {
    Identity alice = identity_of(1), mallory = identity_of(2);
    PeerId relay{kith::base::ByteArray<32>{9}};
    sealed_gossip::SwarmId swarm{1};
    Secret<32> secret;
    sealed_gossip::Opener opener{swarm, secret};
    gossip::Router router;

    static gossip::Options options() {
        gossip::Options made;
        made.policy = gossip::SignaturePolicy::strict_no_sign;
        return made;
    }
    Bench() : router(options(), Instant{}) {
        NodeId const members[] = {alice.node_id(), mallory.node_id()};
        CHECK(opener.set_members(members).has_value());
        CHECK(router.subscribe("t", Instant{}).has_value());
        CHECK(router
                  .on_peer_added(relay, gossip::Version::v1_2, gossip::Direction::inbound,
                                 "127.0.0.1", Instant{})
                  .has_value());
    }
    Bytes sealed_by(Identity const& who, UnixTime at = now) {
        sealed_gossip::Sealer sealer(swarm, secret, who, {});
        return sealer.seal_signed("t", as_bytes("words"), at).value();
    }
    // What comes of an envelope that arrives from the relay.
    std::optional<kith::node::GossipJudgement> arrives(Bytes const& envelope) {
        kith::libp2p::PubsubRpc rpc;
        rpc.add_publish()->set_topic("t");
        rpc.mutable_publish(0)->set_data(kith::base::to_text(envelope));
        CHECK(router.on_rpc(relay, as_bytes(rpc.SerializeAsString()), Instant{}).has_value());
        std::optional<kith::node::GossipJudgement> judgement;
        while (auto const output = router.poll_output()) {
            auto const* const message = std::get_if<gossip::Deliver>(&*output);
            if (!message) continue;
            auto const opened = opener.open(message->topic, message->data, now);
            CHECK_FALSE(opened.has_value());
            if (opened) continue;
            judgement = kith::node::judge(opened.error());
            router.validated(message->handle, judgement->verdict, Instant{});
        }
        return judgement;
    }
    double relay_score() const { return router.score(relay, Instant{}); }
};

}  // namespace

TEST_CASE(
    "S36: gossip that its origin signed and is wrong inside costs the origin, not the relay") {
    Bench bench;
    auto envelope = bench.sealed_by(bench.mallory);
    envelope.resize(envelope.size() - 64);
    envelope.back() ^= 1;  // does not open; Mallory signs it all the same
    kith::base::append(envelope, bench.mallory.sign_operational(
                                     sealed_gossip::signed_statement(bench.swarm, "t", envelope)));
    auto const judgement = bench.arrives(envelope);
    REQUIRE(judgement.has_value());
    CHECK(judgement->verdict == gossip::Verdict::ignore);
    CHECK(judgement->to_blame == bench.mallory.node_id());
    CHECK(bench.relay_score() == 0);
}

TEST_CASE("S36: late gossip is held against nobody: it may have been late on the way") {
    Bench bench;
    auto const late = bench.sealed_by(bench.alice, UnixTime{kith::base::seconds(now) - 301});
    auto const judgement = bench.arrives(late);
    REQUIRE(judgement.has_value());
    CHECK_FALSE(judgement->to_blame.has_value());
    CHECK(bench.relay_score() == 0);
}

TEST_CASE(
    "S36: a relay that passes on a bad signature is at fault itself, the named origin is not") {
    Bench bench;
    auto envelope = bench.sealed_by(bench.alice);
    envelope.back() ^= 1;
    auto const judgement = bench.arrives(envelope);
    REQUIRE(judgement.has_value());
    CHECK(judgement->verdict == gossip::Verdict::reject);
    CHECK_FALSE(judgement->to_blame.has_value());
    CHECK(bench.relay_score() < 0);
}
