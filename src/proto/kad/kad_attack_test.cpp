// Networks with liars in them.
#include <doctest/doctest.h>

#include "base/code_of.h"
#include "proto/kad/kad_sim.h"

using namespace kith::proto::kad;
using kith::base::as_bytes;
using kith::base::Bytes;
using kith::base::Code;
using kith::identity::PeerId;
using sim::Network;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t honest_count = 50;
constexpr std::size_t sybils_count = 200;
constexpr std::size_t sybil_bits = 9;  // nearer to the target than any honest node but one in ten

Bytes text(std::string_view characters) {
    return kith::base::to_bytes(as_bytes(characters));
}

// Honest nodes in four rings around a target: each knows some of the next ring only, so that a
// lookup from outside needs three steps. The target is one of them, or just a key.
struct Rings {
    Rings(unsigned seed, std::optional<Bytes> name) : net(seed) {
        std::vector<PeerId> nodes;
        for (std::size_t i = 0; i < honest_count; ++i)
            nodes.push_back(net.add("20.0." + std::to_string(i) + ".1"));
        target = nodes[0];
        key = name ? Key::of(*name) : Key::of(target);
        std::ranges::sort(nodes, {},
                          [this](PeerId const& id) { return distance(Key::of(id), key); });
        inner.assign(nodes.begin(), nodes.begin() + 10);
        middle.assign(nodes.begin() + 10, nodes.begin() + 25);
        outer.assign(nodes.begin() + 25, nodes.end());
        for (std::size_t i = 1; i < inner.size(); ++i) net.connect(inner[i], inner[0]);
        for (std::size_t i = 0; i < middle.size(); ++i)
            for (std::size_t j = 1; j <= 3; ++j) net.connect(middle[i], inner[1 + (i * j) % 9]);
        for (std::size_t i = 0; i < outer.size(); ++i)
            for (std::size_t j = 0; j < 3; ++j) net.connect(outer[i], middle[(i * 3 + j) % 15]);
        asker = net.add("90.0.0.1");
    }

    // 200 ids near the target that answer only with each other, in as many networks as given.
    void add_sybils(std::size_t networks_count) {
        for (std::size_t i = 0; i < sybils_count; ++i)
            sybils.push_back(net.id_near(key, sybil_bits));
        std::ranges::sort(sybils, {},
                          [this](PeerId const& id) { return distance(Key::of(id), key); });
        for (std::size_t i = 0; i < sybils_count; ++i) {
            auto const network = i % networks_count;
            auto const ip = "66." + std::to_string(network / 200) + "." +
                            std::to_string(network % 200) + "." +
                            std::to_string(1 + i / networks_count);
            net.add_liar(sybils[i], ip, [this](PeerId const&, Message const& request) {
                Message answer;
                answer.type = request.type;
                answer.key = request.key;
                for (std::size_t j = 0; j < 20; ++j)
                    answer.closer_peers.push_back(net[sybils[(lie_ + j * 7) % sybils.size()]].info);
                ++lie_;
                return answer;
            });
        }
    }

    Network net;
    PeerId target, asker;
    Key key;
    std::vector<PeerId> inner, middle, outer, sybils;

private:
    std::size_t lie_ = 0;
};

Bytes const multihash = [] {
    Bytes out{0x12, 0x20};
    out.resize(34, 5);
    return out;
}();

}  // namespace

TEST_CASE("without an attacker the target in the rings is found") {
    unsigned const seed = 21;
    CAPTURE(seed);
    Rings rings(seed, {});
    for (std::size_t i = 0; i < 3; ++i) rings.net.connect(rings.asker, rings.outer[i]);
    auto& kad = rings.net.kad(rings.asker);
    CHECK(rings.net.finish<PeerFound>(rings.asker, kad.find_peer(rings.target, rings.net.now()))
              .peer.has_value());
}

TEST_CASE("S88: a lookup over disjoint paths passes by 200 Sybils that have captured one path") {
    for (unsigned const seed : {22U, 23U, 24U}) {
        CAPTURE(seed);
        Rings rings(seed, {});
        rings.add_sybils(sybils_count);  // each in a network of its own: only the paths help
        rings.net.connect(rings.asker, rings.sybils[0]);
        rings.net.connect(rings.asker, rings.outer[3]);
        rings.net.connect(rings.asker, rings.outer[9]);
        auto& kad = rings.net.kad(rings.asker);
        auto const found =
            rings.net.finish<PeerFound>(rings.asker, kad.find_peer(rings.target, rings.net.now()));
        REQUIRE(found.peer.has_value());
        CHECK(*found.peer == rings.net[rings.target].info);
    }
}

TEST_CASE("S88: 200 Sybils in five networks, known to every honest node, do not hide the target") {
    for (unsigned const seed : {25U, 26U}) {
        CAPTURE(seed);
        Rings rings(seed, {});
        rings.add_sybils(5);
        for (auto const* ring : {&rings.inner, &rings.middle, &rings.outer})
            for (auto const& node : *ring)
                for (auto const& sybil : rings.sybils) rings.net.connect(node, sybil);
        for (auto const& node : rings.outer) {
            std::size_t entered = 0;
            for (auto const& sybil : rings.sybils)
                if (rings.net.kad(node).table().find(sybil)) ++entered;
            CHECK(entered <= 5 * group_table_max);
        }
        for (std::size_t i = 0; i < 3; ++i) rings.net.connect(rings.asker, rings.outer[i * 4]);
        auto& kad = rings.net.kad(rings.asker);
        auto const found =
            rings.net.finish<PeerFound>(rings.asker, kad.find_peer(rings.target, rings.net.now()));
        REQUIRE(found.peer.has_value());
        CHECK((found.peer->id == rings.target));
    }
}

TEST_CASE("S88: a false address told first does not hide the true one") {
    unsigned const seed = 27;
    CAPTURE(seed);
    Rings rings(seed, {});
    std::vector<PeerId> liars;
    for (std::size_t i = 0; i < 2; ++i) {
        liars.push_back(rings.net.id_near(rings.key, 6));
        rings.net.add_liar(
            liars[i], "66.0." + std::to_string(i) + ".1",
            [&rings](PeerId const&, Message const& request) {
                Message answer;
                answer.type = request.type;
                auto const nowhere = kith::wire::Multiaddr::tcp("66.9.9.9", 1).value();
                for (auto const* ring : {&rings.inner, &rings.middle})
                    for (auto const& node : *ring)
                        answer.closer_peers.push_back({.id = node, .addresses = {nowhere}});
                return answer;
            });
        rings.net.connect(rings.asker, liars[i]);
    }
    rings.net.connect(rings.asker, rings.outer[5]);
    auto& kad = rings.net.kad(rings.asker);
    auto const found =
        rings.net.finish<PeerFound>(rings.asker, kad.find_peer(rings.target, rings.net.now()));
    REQUIRE(found.peer.has_value());
    CHECK(found.peer->addresses.front() == rings.net[rings.target].info.addresses.front());
}

TEST_CASE("S88: peers that keep silent delay a lookup, they do not end it") {
    unsigned const seed = 28;
    CAPTURE(seed);
    Rings rings(seed, {});
    for (std::size_t i = 0; i < 2; ++i) {
        auto const silent = rings.net.id_near(rings.key, 8);
        rings.net.add_liar(silent, "66.0." + std::to_string(i) + ".1",
                           [](PeerId const&, Message const&) { return std::nullopt; });
        rings.net.connect(rings.asker, silent);
    }
    rings.net.connect(rings.asker, rings.outer[5]);
    auto& kad = rings.net.kad(rings.asker);
    auto const begin = rings.net.now().instant;
    CHECK(rings.net.finish<PeerFound>(rings.asker, kad.find_peer(rings.target, rings.net.now()))
              .peer.has_value());
    CHECK(rings.net.now().instant - begin < 10s);
}

TEST_CASE(
    "S25: forged, moved, unsigned and older values in a third of all answers change nothing") {
    for (unsigned const seed : {31U, 32U}) {
        CAPTURE(seed);
        Network net(seed);
        std::vector<PeerId> nodes;
        for (std::size_t i = 0; i < 20; ++i) {
            nodes.push_back(net.add("20.0." + std::to_string(i) + ".1"));
            for (std::size_t j = 0; j < i; ++j) net.connect(nodes[i], nodes[j]);
        }
        auto key = text("/own/");
        kith::base::append(key, net[nodes[0]].keys->public_key());
        RecordScope const scope{.kind = RecordKind::value, .domain = "swarm-a", .key = key};
        auto const sign = [&](PeerId const& by, std::uint64_t sequence, std::string_view body) {
            auto const* const keys = net[by].keys.get();
            return sign_record(scope, {.sequence = sequence, .issued = net.now().wall},
                               as_bytes(body),
                               {.public_key = keys->public_key(),
                                .sign = [keys](auto message) { return keys->sign(message); }});
        };
        auto const stored =
            net.finish<Stored>(nodes[0], net.kad(nodes[0]).put_value(key, text("true"), net.now()));
        CHECK(stored.peers_count == 19);
        auto forged = sign(nodes[0], ~std::uint64_t{0}, "true");
        forged.back() ^= 1;
        std::vector<Bytes> const lies{forged,
                                      text("unsigned"),
                                      Bytes(95, 7),
                                      Bytes(96, 7),
                                      sign(nodes[1], ~std::uint64_t{0}, "mine"),
                                      sign(nodes[0], 1, "old")};
        std::vector<PeerId> liars;
        for (std::size_t i = 0; i < 10; ++i) {
            liars.push_back(net.id_near(Key::of(key), 6));
            net.add_liar(liars[i], "66.0." + std::to_string(i) + ".1",
                         [&lies, key, i](PeerId const&, Message const& request) {
                             Message answer;
                             answer.type = request.type;
                             answer.key = request.key;
                             answer.record = Record{.key = key, .value = lies[i % lies.size()]};
                             return answer;
                         });
        }
        auto const asker = net.add("90.0.0.1");
        for (auto const& liar : liars) net.connect(asker, liar);
        for (std::size_t i = 1; i < 20; ++i) net.connect(asker, nodes[i]);
        auto const found = net.finish<ValueFound>(asker, net.kad(asker).get_value(key, net.now()));
        REQUIRE(found.record.has_value());
        CHECK(kith::base::as_text(found.record->body()) == "true");
        auto const bad = net.events<BadRecord>(asker);
        CHECK(bad.size() >= 5);
        for (auto const& one : bad) CHECK(std::ranges::find(liars, one.from) != liars.end());
    }
}

TEST_CASE("S25: who has read a record is not given an older one later, though it is valid") {
    unsigned const seed = 33;
    CAPTURE(seed);
    Network net(seed);
    auto const author = net.add("20.0.0.1"), asker = net.add("90.0.0.1");
    auto key = text("/own/");
    kith::base::append(key, net[author].keys->public_key());
    net.connect(author, asker);
    net.finish<Stored>(author, net.kad(author).put_value(key, text("old"), net.now()));
    auto const old = net.kad(author).store().find(key, net.now())->value();
    net.run_for(2s);
    net.kad(author).withdraw_value(key);
    net.finish<Stored>(author, net.kad(author).put_value(key, text("new"), net.now()));
    // A second asker, who was not handed the record: he reads it, then is left alone with a liar.
    auto const reader = net.add("91.0.0.1");
    net.connect(reader, author);
    auto const read = net.finish<ValueFound>(reader, net.kad(reader).get_value(key, net.now()));
    CHECK(kith::base::as_text(read.record->body()) == "new");
    net.kill(author);
    net.kill(asker);
    auto const liar =
        net.add_liar(net.random_id(), "66.0.0.1", [&](PeerId const&, Message const& request) {
            Message answer;
            answer.type = request.type;
            answer.record = Record{.key = key, .value = old};
            return answer;
        });
    net.connect(reader, liar);
    auto const again = net.finish<ValueFound>(reader, net.kad(reader).get_value(key, net.now()));
    CHECK_FALSE(again.record.has_value());
    auto const bad = net.events<BadRecord>(reader);
    REQUIRE(bad.size() == 1);
    CHECK((bad[0].from == liar));
    CHECK(bad[0].reason.code == Code::conflict);
}

TEST_CASE("S25: the newest valid record wins, whichever answer comes last") {
    unsigned const seed = 34;
    CAPTURE(seed);
    for (bool const newest_first : {true, false}) {
        Network net(seed);
        auto const author = net.add("20.0.0.1");
        auto const asker = net.add("90.0.0.1");
        auto key = text("/own/");
        kith::base::append(key, net[author].keys->public_key());
        auto const* const keys = net[author].keys.get();
        auto const value = [&](std::uint64_t sequence) {
            return sign_record({.kind = RecordKind::value, .domain = "swarm-a", .key = key},
                               {.sequence = sequence, .issued = net.now().wall}, {},
                               {.public_key = keys->public_key(),
                                .sign = [keys](auto message) { return keys->sign(message); }});
        };
        auto& kad = net.kad(asker);
        for (int i = 0; i < 2; ++i)
            kad.on_peer_ready({.peer = {.id = net.random_id(), .addresses = {}},
                               .remote = {},
                               .serves = ServesKad::yes},
                              net.now());
        REQUIRE(kad.get_value(key, net.now()).has_value());
        std::vector<RequestId> requests;
        while (auto output = kad.poll_output())
            if (auto const* sent = std::get_if<SendRequest>(&*output)) requests.push_back(sent->id);
        REQUIRE(requests.size() == 2);
        for (int i = 0; i < 2; ++i) {
            bool const is_newest = newest_first == (i == 0);
            Message answer;
            answer.type = MessageType::get_value;
            answer.record = Record{.key = key, .value = value(is_newest ? 2 : 1)};
            kad.on_response(requests[static_cast<std::size_t>(i)], encode(answer), net.now());
        }
        std::optional<VerifiedRecord> record;
        while (auto output = kad.poll_output())
            if (auto const* done = std::get_if<QueryFinished>(&*output))
                record = std::get<ValueFound>(done->result).record;
        REQUIRE(record.has_value());
        CHECK(record->stamp()->sequence == 2);
    }
}

TEST_CASE("S24: providers that nobody signed are left out of what is found, and reported") {
    unsigned const seed = 35;
    CAPTURE(seed);
    Network net(seed);
    auto const provider = net.add("20.0.0.1"), asker = net.add("90.0.0.1");
    net.connect(provider, asker);
    net.finish<Stored>(provider, net.kad(provider).provide(multihash, net.now()));
    auto const reader = net.add("91.0.0.1");
    auto const victim = net.random_id();
    auto const liar =
        net.add_liar(net.random_id(), "66.0.0.1", [&](PeerId const&, Message const& request) {
            Message answer;
            answer.type = request.type;
            auto const address = kith::wire::Multiaddr::tcp("8.8.8.8", 80).value();
            PeerInfo const named{.id = victim, .addresses = {address}};
            answer.provider_peers = {{.peer = named, .proof = {}},
                                     {.peer = named, .proof = Bytes(112, 1)}};
            return answer;
        });
    net.connect(reader, liar);
    net.connect(reader, provider);
    auto const found =
        net.finish<ProvidersFound>(reader, net.kad(reader).find_providers(multihash, net.now()));
    REQUIRE(found.providers.size() == 1);
    CHECK((found.providers[0].peer.id == provider));
    CHECK(net.events<BadRecord>(reader).size() == 2);
}
