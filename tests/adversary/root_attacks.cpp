// What somebody with some of a member's keys can do: the root must stand behind every session.
#include <doctest/doctest.h>

#include "base/code_of.h"
#include "tier1_ends.h"

using namespace kith;
using namespace kith::adversary;
using namespace std::chrono_literals;
using proto::session::Lane;
using proto::session::Side;

TEST_CASE("E4: a session under another static key than the signed one is refused") {
    Ends ends;
    ends.a.claimed_static = ends.a.identity.static_public_key();
    (*ends.a.claimed_static)[0] ^= 1;  // what a's binding says is not what a uses
    ends.connect();
    CHECK(base::code_of(ends.carry(ends.a, ends.b)) == base::Code::unauthorized);
    CHECK(ends.b.channel->outgoing().empty());
}

TEST_CASE("E4: who has a member's operational and static key but not its root gets no session") {
    // The thief has a's stolen keys and makes up the signature: his identity is of another root.
    Ends stolen;
    stolen.connect();
    REQUIRE(stolen.carry(stolen.a, stolen.b).has_value());
    REQUIRE(stolen.carry(stolen.b, stolen.a).has_value());
    node::PeerChannel::Parties const told{
        .self = stolen.b.identity,
        .rng = stolen.b.rng,
        .swarm_id = {{1}},
        .swarm_secret = stolen.b.secret,
        .peer = {
            .node = stolen.a.identity.node_id(),
            .static_key = stolen.a.identity.static_public_key(),
            .root = new_identity(stolen.a.rng, base::UnixTime{1'800'000'000}).root_public_key()}};
    Ends victim;
    victim.start(victim.a, victim.b);
    victim.b.channel = std::make_unique<node::PeerChannel>(told, victim.now);
    REQUIRE(victim.a.channel->offer(victim.now).has_value());
    REQUIRE(victim.carry(victim.a, victim.b).has_value());
    REQUIRE(victim.carry(victim.b, victim.a).has_value());
    CHECK(base::code_of(victim.carry(victim.a, victim.b)) == base::Code::unauthorized);
    CHECK_FALSE(victim.b.channel->ready());
}

TEST_CASE("E4: a member that does not prove its root is neither heard nor spoken to") {
    Ends ends;
    ends.connect();
    ends.arrives = [](base::Bytes const& frame) { return frame.at(0) != 0x12; };
    REQUIRE(ends.settle().has_value());
    CHECK_FALSE(ends.a.channel->ready());
    CHECK_FALSE(ends.b.channel->ready());
    REQUIRE(ends.a.channel->send(Lane::control, base::Bytes{1, 2, 3}).has_value());
    CHECK(ends.a.channel->outgoing().empty());  // it waits
    ends.now += 11s;
    CHECK(base::code_of(ends.b.channel->on_deadline(ends.now)) == base::Code::timeout);

    Ends talks;  // one that has every key but the root's, and leaves the proof out
    talks.start(talks.b, talks.a);
    auto keys = handshake_by_hand(talks);
    base::Bytes frame, framed;
    REQUIRE(keys.seal(Lane::control, base::as_bytes("trust me"), frame).has_value());
    wire::append_frame(framed, frame);
    CHECK(base::code_of(talks.b.channel->feed(framed, talks.now)) == base::Code::unauthorized);
}

TEST_CASE("E4: roots prove themselves once a day, and a session whose root does not ends") {
    Ends daily;
    std::vector<base::Instant> proofs;
    daily.arrives = [&](base::Bytes const& frame) {
        if (frame.at(0) == 0x12) proofs.push_back(daily.now);
        return true;
    };
    auto const start = daily.now;
    daily.connect();
    REQUIRE(daily.settle().has_value());
    REQUIRE(daily.run_for(26h).has_value());
    REQUIRE(proofs.size() == 4);  // of each end two
    CHECK(proofs[1] == start);
    for (auto const& again : {proofs[2], proofs[3]}) {
        CHECK(again >= start + node::root_proof_every);
        CHECK(again < start + node::root_proof_age_max);
    }
    CHECK(daily.talk("the second day"));

    // A member whose root was there on the first day only. Everything else goes on: it takes part
    // in new keys and speaks under them, as the proof is the first frame of one otherwise.
    Ends once;
    once.connect();
    REQUIRE(once.settle().has_value());
    once.arrives = [](base::Bytes const& frame) { return frame.at(0) != 0x12; };
    REQUIRE(once.run_for(23h).has_value());
    base::Status lives;
    while (lives && once.now < start + 26h) {
        lives = once.run_for(1min);
        if (lives) REQUIRE(once.talk("a word a minute"));
    }
    CHECK(base::code_of(lives) == base::Code::timeout);
    CHECK(once.now == start + node::root_proof_age_max);
}

TEST_CASE("E4: a root's signature is good for one pair, one direction, one handshake") {
    SeededRng rng(5);
    auto const self = new_identity(rng, base::UnixTime{1'800'000'000});
    auto const peer = new_identity(rng, base::UnixTime{1'800'000'000});
    node::RootProofSubject const subject{.swarm_id = {{1}},
                                         .signer_side = Side::initiator,
                                         .signer_root = self.root_id(),
                                         .peer_root = peer.root_id(),
                                         .signer_node = self.node_id(),
                                         .peer_node = peer.node_id(),
                                         .key_id = 7,
                                         .handshake_hash = {{9}}};
    auto const proof = node::make_root_proof(subject, self, filled(3)).value();
    CHECK(node::check_root_proof(subject, self.root_public_key(), proof));
    CHECK_FALSE(node::check_root_proof(subject, peer.root_public_key(), proof));
    std::vector<node::RootProofSubject> others(8, subject);
    others[0].swarm_id = {{2}};
    others[1].signer_side = Side::responder;
    others[2].signer_root = peer.root_id();
    others[3].peer_root = self.root_id();
    others[4].peer_node = self.node_id();
    others[5].key_id = 8;
    others[6].handshake_hash = {{10}};
    others[7].signer_node = peer.node_id();
    for (auto const& other : others)
        CHECK_FALSE(node::check_root_proof(other, self.root_public_key(), proof));
}
