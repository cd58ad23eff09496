#include "node/services/swarm_gossip.h"

#include <doctest/doctest.h>

#include "node/services/service_net_test.h"

using namespace kith;
using namespace kith::node;
using namespace std::chrono_literals;
using base::Bytes;
using base::Instant;
using crypto::Secret;
using identity::NodeId;
using proto::sealed_gossip::VerifiedGossip;

namespace {

Secret<32> secret_of(std::uint8_t value) {
    base::ByteArray<32> bytes;
    bytes.fill(value);
    return Secret<32>(bytes);
}

Bytes text(std::string_view characters) {
    return base::to_bytes(base::as_bytes(characters));
}

// Machines in a row: each has a link to the next only, and all gossip.
struct Row {
    struct Member {
        explicit Member(test::TestClock const& clock, unsigned seed)
            : rng(seed),
              identity(test::identity_of(rng)),
              host(Host::create(identity, rng,
                                {.limits = {}, .accepted_protocols = GossipService::protocols()})
                       .value()),
              gossip(SwarmGossip::create(
                         {.host = *host, .identity = identity, .rng = rng, .clock = clock}, {7},
                         secret_of(1), clock.at)
                         .value()) {}

        std::vector<std::string> words() const {
            std::vector<std::string> found;
            for (auto const& one : heard)
                found.push_back(one.origin().to_short() + ":" +
                                std::string(base::as_text(one.content())));
            return found;
        }
        std::size_t count(std::string const& word) const {
            return static_cast<std::size_t>(std::ranges::count(words(), word));
        }

        test::SeededRng rng;
        identity::Identity identity;
        std::unique_ptr<Host> host;
        std::unique_ptr<SwarmGossip> gossip;
        std::vector<VerifiedGossip> heard;
        std::vector<GossipRefused> refused;
    };

    explicit Row(unsigned count) {
        for (unsigned seed = 1; seed <= count; ++seed)
            members.push_back(std::make_unique<Member>(clock, seed));
        for (auto const& member : members) ids.push_back(member->identity.node_id());
        for (auto const& member : members) member->gossip->set_members(ids, clock.at);
        for (std::size_t i = 0; i + 1 < members.size(); ++i) connect(*members[i], *members[i + 1]);
        pass(5s);
    }

    void connect(Member& from, Member& to) {
        auto const id = from.host->dial({"10.0.0.1", 1}, to.identity.peer_id(), clock.at).value();
        ports::ConnectionId const far{next_odd};
        next_odd += 2;
        wires[{&from, id}] = {&to, far};
        wires[{&to, far}] = {&from, id};
        to.host->on_accepted(far, {"10.0.0.2", 1}, clock.at);
        from.host->on_connected(id, clock.at);
        run();
    }

    void run() {
        for (bool moved = true; moved;) {
            moved = false;
            for (auto const& member : members) moved = step(*member) || moved;
        }
    }

    bool step(Member& from) {
        bool moved = false;
        while (auto const event = from.host->poll_event()) {
            moved = true;
            if (auto const* up = std::get_if<PeerConnected>(&event->what))
                from.gossip->admit(event->connection, *up, clock.at);
            from.gossip->on_event(*event, clock.at);
        }
        while (auto event = from.gossip->poll_event()) {
            if (auto* said = std::get_if<VerifiedGossip>(&*event)) from.heard.push_back(*said);
            if (auto* refused = std::get_if<GossipRefused>(&*event))
                from.refused.push_back(*refused);
        }
        while (auto const output = from.host->poll_output()) {
            auto const* ready = std::get_if<ports::Transmit>(&*output);
            if (ready == nullptr) continue;
            moved = true;
            Bytes bytes;
            while (from.host->poll_transmit(ready->id, bytes, clock.at)) {
            }
            auto const [to, id] = wires.at({&from, ready->id});
            if (!bytes.empty()) to->host->on_bytes(id, bytes, clock.at);
        }
        return moved;
    }

    void pass(base::Duration span) {
        run();
        for (auto const end = clock.at + span; clock.at < end;) {
            clock.at = std::min(end, clock.at + 500ms);
            for (auto const& member : members) member->gossip->on_deadline(clock.at);
            run();
        }
    }

    std::string said_by(std::size_t i, std::string const& word) const {
        return ids[i].to_short() + ":" + word;
    }

    test::TestClock clock;
    std::uint64_t next_odd = 1;
    std::vector<std::unique_ptr<Member>> members;
    std::vector<NodeId> ids;
    std::map<std::pair<Member*, ports::ConnectionId>, std::pair<Member*, ports::ConnectionId>>
        wires;
};

}  // namespace

TEST_CASE("what a member says reaches members that it has no link to, once, under its name") {
    Row row(4);
    row.members[0]->gossip->say(1, text("hello"), row.clock.at);
    row.pass(5s);
    for (std::size_t i = 1; i < 4; ++i)
        CHECK(row.members[i]->words() == std::vector{row.said_by(0, "hello")});
    CHECK(row.members[0]->heard.empty());  // its own words are no news
    CHECK(row.members[0]->gossip->counts().said == 1);
    CHECK(row.members[0]->gossip->counts().neighbours == 1);
    CHECK(row.members[3]->gossip->counts().heard == 1);
}

TEST_CASE("the newest of each kind is said again each minute, the same content not before") {
    Row row(2);
    auto& from = *row.members[0];
    from.gossip->say(1, text("a"), row.clock.at);
    from.gossip->say(2, text("b"), row.clock.at);
    from.gossip->say(1, text("a"), row.clock.at);
    from.gossip->say(1, text("c"), row.clock.at);
    row.pass(59s);
    CHECK(row.members[1]->heard.size() == 3);
    row.pass(2s);
    CHECK(row.members[1]->heard.size() == 5);
    CHECK(row.members[1]->count(row.said_by(0, "a")) == 1);
    CHECK(row.members[1]->count(row.said_by(0, "b")) == 2);
    CHECK(row.members[1]->count(row.said_by(0, "c")) == 2);
}

TEST_CASE("who comes late hears it soon: a new member list makes everybody say it again") {
    Row row(3);
    row.members[0]->gossip->say(1, text("hello"), row.clock.at);
    row.pass(5s);
    row.members[2]->heard.clear();
    row.members[0]->gossip->set_members(row.ids, row.clock.at);
    row.pass(gossip_settle - 1s);
    CHECK(row.members[2]->heard.empty());
    row.pass(2s);
    CHECK(row.members[2]->count(row.said_by(0, "hello")) == 1);
}

TEST_CASE("who is on no list is not heard, and not passed on") {
    Row row(3);
    std::vector<NodeId> const without{row.ids[1], row.ids[2]};
    for (std::size_t i = 1; i < 3; ++i) row.members[i]->gossip->set_members(without, row.clock.at);
    row.members[0]->gossip->say(1, text("let me in"), row.clock.at);
    row.pass(5s);
    CHECK(row.members[1]->heard.empty());
    CHECK(row.members[1]->refused.size() == 1);
    CHECK_FALSE(row.members[1]->refused[0].judgement.to_blame.has_value());
    CHECK(row.members[2]->heard.empty());
    CHECK(row.members[2]->refused.empty());  // it did not even arrive
}

TEST_CASE("with another secret one neither hears nor is heard, until the others have it too") {
    Row row(3);
    for (std::size_t i : {0U, 1U})
        CHECK(row.members[i]->gossip->set_secret(secret_of(2), row.clock.at).has_value());
    row.members[0]->gossip->say(1, text("for those who stay"), row.clock.at);
    row.members[2]->gossip->say(1, text("from outside"), row.clock.at);
    row.pass(5s);
    CHECK(row.members[1]->words() == std::vector{row.said_by(0, "for those who stay")});
    CHECK(row.members[2]->heard.empty());
    CHECK(row.members[2]->refused.size() == 1);
    CHECK(row.members[2]->refused[0].error.code == base::Code::conflict);
    CHECK(row.members[2]->gossip->set_secret(secret_of(2), row.clock.at).has_value());
    row.pass(70s);
    CHECK(row.members[2]->count(row.said_by(0, "for those who stay")) > 0);
    CHECK(row.members[0]->count(row.said_by(2, "from outside")) > 0);
}

TEST_CASE("of one member sixty things a minute are heard and passed on, and not one more") {
    Row row(3);
    for (std::size_t i = 0; i <= gossip_per_origin_max; ++i) {
        row.members[0]->gossip->say(1, text(std::to_string(i)), row.clock.at);
        row.run();
    }
    row.pass(2s);
    CHECK(row.members[1]->heard.size() == gossip_per_origin_max);
    CHECK(row.members[2]->heard.size() == gossip_per_origin_max);
    row.members[1]->gossip->say(1, text("I am another"), row.clock.at);
    row.pass(2s);
    CHECK(row.members[2]->heard.size() == gossip_per_origin_max + 1);
    row.pass(61s);
    auto const before = row.members[1]->heard.size();
    row.members[0]->gossip->say(1, text("a minute later"), row.clock.at);
    row.pass(2s);
    CHECK(row.members[1]->heard.size() > before);
}
