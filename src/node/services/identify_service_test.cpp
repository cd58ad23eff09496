#include "node/services/identify_service.h"

#include <array>

#include "identity/envelope.h"
#include "node/services/service_net_test.h"

using namespace kith::node;
using namespace kith::node::test;
using kith::base::as_bytes;
using kith::base::Bytes;
using kith::base::Code;
using kith::wire::Multiaddr;
namespace identify = kith::proto::identify;
namespace ping = kith::proto::ping;

namespace {

// `a` has dialled `b`. What a says on streams of its own is up to the test.
struct Pair {
    Pair() : a(net.add()), b(net.add()) {
        a_link = a.host->dial(b.at, b.identity.peer_id(), net.clock.at).value();
        net.run();
        b_link = b.connected(Path::direct).at(0);
    }

    kith::node::StreamId open(std::string_view protocol, Bytes const& bytes = {}) {
        auto const stream = a.host->open_stream(a_link, std::string(protocol), net.clock.at);
        REQUIRE(stream.has_value());
        a.host->write(a_link, *stream, bytes);
        return *stream;
    }
    // What b answers on a new stream of `protocol`; empty after a reset.
    Bytes answer_to(std::string_view protocol, Bytes const& bytes = {}) {
        auto const stream = open(protocol, bytes);
        net.run();
        return said_on(stream);
    }
    Bytes said_on(StreamId stream) const {
        Bytes all;
        for (auto const& data : a.heard<StreamData>(a_link))
            if (data.id == stream) kith::base::append(all, data.bytes);
        return all;
    }
    std::optional<identify::Info> identity_of_b() {
        identify::Reader reader(b.identity.peer_id());
        if (!reader.feed(answer_to(identify::protocol))) return std::nullopt;
        auto info = reader.finish();
        return info ? std::optional(std::move(*info)) : std::nullopt;
    }
    void befriend() {
        b.identify.set_audience(b_link, Audience::member, {"/kith/x"}, net.clock.at);
    }
    Bytes statement(identify::Info const& info) const {
        return identify::build(info, a.identity.operational_public_key());
    }
    void push(identify::Info const& info) {
        auto const stream = open(identify::push_protocol, statement(info));
        a.host->close_write(a_link, stream);
        net.run();
    }

    Net net;
    Machine &a, &b;
    ConnectionId a_link, b_link;
};

Multiaddr at(std::string const& text) {
    return Multiaddr::from_text(text).value();
}

}  // namespace

TEST_CASE("P3: a stranger hears who we are and what he may open, and not where we listen") {
    Pair pair;
    pair.b.identify.set_addresses({at("/ip4/5.6.7.8/tcp/8810")}, pair.net.clock.at);
    auto const info = pair.identity_of_b();
    REQUIRE(info.has_value());
    CHECK(info->agent_version == "kith");
    CHECK(info->protocols ==
          std::vector{std::string(identify::protocol), std::string(ping::protocol)});
    CHECK(info->observed_address == at("/ip4/10.0.0.1/tcp/40000"));
    CHECK(info->listen_addresses.empty());
    CHECK(info->signed_peer_record.empty());
    pair.b.identify.set_audience(pair.b_link, Audience::stranger, {"/kith/join/1.0.0"},
                                 pair.net.clock.at);
    CHECK(pair.identity_of_b()->protocols.size() == 3);
    pair.b.identify.set_addresses({at("/ip4/5.6.7.9/tcp/8810")}, pair.net.clock.at);
    pair.net.run();
    CHECK(pair.a.identify.peer(pair.a_link) == nullptr);  // no push either
}

TEST_CASE("a member hears where we listen, also signed, and is told when it changes") {
    Pair pair;
    pair.befriend();
    pair.a.identify.set_audience(pair.a_link, Audience::member, {}, pair.net.clock.at);
    pair.net.run();
    auto const* heard = pair.a.identify.peer(pair.a_link);
    REQUIRE(heard != nullptr);
    CHECK(heard->said.listen_addresses.empty());
    pair.b.identify.set_addresses({at("/ip4/5.6.7.8/tcp/8810")}, pair.net.clock.at);
    pair.net.run();
    heard = pair.a.identify.peer(pair.a_link);
    CHECK(heard->said.listen_addresses == std::vector{at("/ip4/5.6.7.8/tcp/8810")});
    REQUIRE(heard->record.has_value());
    CHECK(heard->record->addresses == heard->said.listen_addresses);
    auto const first = heard->record->seq;
    pair.b.identify.set_addresses({at("/ip4/5.6.7.9/tcp/8810")}, pair.net.clock.at);
    pair.net.run();
    CHECK(pair.a.identify.peer(pair.a_link)->record->seq > first);
}

TEST_CASE("what a push leaves out stays as it was, and a stranger cannot push") {
    Pair pair;
    identify::Info info{.agent_version = "first", .protocols = {"/p"}};
    pair.push(info);
    CHECK(pair.b.identify.peer(pair.b_link) == nullptr);
    pair.befriend();
    pair.net.run();
    info.listen_addresses = {at("/ip4/5.6.7.8/tcp/1")};
    pair.push(info);
    pair.push({.agent_version = "second"});
    auto const& said = pair.b.identify.peer(pair.b_link)->said;
    CHECK(said.agent_version == "second");
    CHECK(said.protocols == std::vector<std::string>{"/p"});
    CHECK(said.listen_addresses == info.listen_addresses);
}

TEST_CASE("a bad peer record, a foreign key and garbage change nothing and end no link") {
    Pair pair;
    pair.befriend();
    pair.net.run();
    auto const heard_agent = [&] { return pair.b.identify.peer(pair.b_link)->said.agent_version; };
    pair.push({.agent_version = "good",
               .signed_peer_record = identify::seal_peer_record(pair.b.identity, 9, {})});
    CHECK(heard_agent() == "good");
    CHECK_FALSE(pair.b.identify.peer(pair.b_link)->record.has_value());
    pair.push({.agent_version = "better", .signed_peer_record = {1, 2, 3}});
    CHECK(heard_agent() == "better");
    auto foreign =
        identify::build({.agent_version = "foreign"}, pair.b.identity.operational_public_key());
    pair.a.host->close_write(pair.a_link, pair.open(identify::push_protocol, foreign));
    pair.a.host->close_write(pair.a_link,
                             pair.open(identify::push_protocol, {3, 0xff, 0xff, 0xff}));
    pair.a.host->close_write(pair.a_link, pair.open(identify::push_protocol, {0x80}));
    pair.net.run();
    CHECK(heard_agent() == "better");
    CHECK(pair.b.heard<LinkDown>(pair.b_link).empty());
}

TEST_CASE("an older record does not replace a newer one") {
    Pair pair;
    pair.befriend();
    pair.net.run();
    for (auto const seq : std::array<std::uint64_t, 3>{5, 3, 4})
        pair.push({.signed_peer_record = identify::seal_peer_record(
                       pair.a.identity, seq, {at("/ip4/5.6.7.8/tcp/" + std::to_string(seq))})});
    CHECK(pair.b.identify.peer(pair.b_link)->record->seq == 5);
}

TEST_CASE("identify is answered so often and no more, and again a minute later") {
    Pair pair;
    for (std::size_t i = 0; i < identify_answers_max; ++i) CHECK(pair.identity_of_b().has_value());
    CHECK_FALSE(pair.identity_of_b().has_value());
    pair.net.pass(identify_answers_per);
    CHECK(pair.identity_of_b().has_value());
}

TEST_CASE("two pushes of a peer may be under way, the third is reset, and they end in time") {
    Pair pair;
    pair.befriend();
    pair.net.run();
    for (std::size_t i = 0; i < identify_pushes_max; ++i) pair.open(identify::push_protocol);
    pair.net.run();
    CHECK(pair.a.heard<StreamReset>(pair.a_link).empty());
    pair.open(identify::push_protocol);
    pair.net.run();
    CHECK(pair.a.heard<StreamReset>(pair.a_link).size() == 1);
    pair.net.pass(identify_timeout);
    CHECK(pair.a.heard<StreamReset>(pair.a_link).size() == 1 + identify_pushes_max);
}

TEST_CASE("pings are echoed on two streams at a time, and a stream ends when its asker is done") {
    Pair pair;
    Bytes const payload(ping::payload_bytes, 7);
    auto const first = pair.open(ping::protocol, payload);
    auto const second = pair.open(ping::protocol, payload);
    auto const third = pair.open(ping::protocol, payload);
    pair.net.run();
    CHECK(pair.said_on(first) == payload);
    CHECK(pair.said_on(second) == payload);
    CHECK(pair.said_on(third).empty());
    pair.a.host->close_write(pair.a_link, first);
    pair.net.run();
    CHECK(pair.a.heard<StreamEnded>(pair.a_link).size() == 1);
    CHECK(pair.answer_to(ping::protocol, payload) == payload);
}

TEST_CASE(
    "only members vote on our address: three networks of them, and their ports when they dial") {
    Net net;
    auto& self = net.add();
    auto const seen = at("/ip4/5.6.7.8/tcp/8810");
    auto const meet = [&](std::string const& ip, Audience audience, bool we_dial) {
        auto& other = net.add();
        other.at.ip = ip;
        auto& from = we_dial ? self : other;
        auto& to = we_dial ? other : self;
        auto const before = self.connected(Path::direct).size();
        REQUIRE(from.host->dial(to.at, to.identity.peer_id(), net.clock.at).has_value());
        net.run();
        auto const link = self.connected(Path::direct).at(before);
        self.identify.set_audience(link, audience, {}, net.clock.at);
        // The test answers for the other machine, which would say what it really sees.
        auto const theirs = other.connected(Path::direct).at(0);
        auto const stream =
            other.host->open_stream(theirs, std::string(identify::push_protocol), net.clock.at);
        auto const said = identify::build(
            {.observed_address = seen.with_peer(self.identity.peer_id().to_multihash()).value()},
            other.identity.operational_public_key());
        other.host->write(theirs, *stream, said);
        other.host->close_write(theirs, *stream);
        net.run();
    };
    for (int i = 1; i <= 4; ++i) meet("7.1." + std::to_string(i) + ".1", Audience::stranger, false);
    CHECK(self.identify.observed(net.clock.at).empty());
    meet("7.2.1.1", Audience::member, false);
    meet("7.2.2.1", Audience::member, false);
    meet("7.2.2.2", Audience::member, false);
    CHECK(self.identify.observed(net.clock.at).empty());
    meet("7.2.3.1", Audience::member, false);
    CHECK(self.identify.observed(net.clock.at) == std::vector{seen});
    for (int i = 1; i <= 3; ++i) meet("7.3." + std::to_string(i) + ".1", Audience::member, true);
    CHECK(self.identify.observed(net.clock.at).size() == 2);
    CHECK(self.identify.observed(net.clock.at).back() == at("/ip4/5.6.7.8"));
    net.clock.at += identify::vote_lives;
    CHECK(self.identify.observed(net.clock.at).empty());
}
