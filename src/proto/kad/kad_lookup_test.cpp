// Whole networks of honest machines on a virtual clock.
#include <doctest/doctest.h>

#include "proto/kad/kad_sim.h"

using namespace kith::proto::kad;
using kith::base::as_bytes;
using kith::base::Bytes;
using kith::identity::PeerId;
using sim::Network;
using namespace std::chrono_literals;

namespace {

std::string ip_of(std::size_t number) {
    return "20." + std::to_string(number / 250) + "." + std::to_string(number % 250) + ".1";
}

// `count` nodes; each knows the one before it and one more. Nobody has looked for anybody yet.
std::vector<PeerId> sparse(Network& net, std::size_t count, Network::Tweak const& tweak = {}) {
    std::vector<PeerId> nodes;
    for (std::size_t i = 0; i < count; ++i) {
        nodes.push_back(net.add(ip_of(i), tweak));
        if (i > 0) net.connect(nodes[i], nodes[i - 1]);
        if (i > 2) net.connect(nodes[i], nodes[i / 2]);
    }
    return nodes;
}

void bootstrap_all(Network& net, std::vector<PeerId> const& nodes) {
    for (auto const& node : nodes) net.finish<PeerFound>(node, net.kad(node).bootstrap(net.now()));
}

Bytes text(std::string_view characters) {
    return kith::base::to_bytes(as_bytes(characters));
}

Bytes own_key(Network& net, PeerId const& node) {
    std::string key = "/own/";  // Bytes would do, had GCC 12 no false warning for it at -O2
    key += kith::base::to_text(net[node].keys->public_key());
    return text(key);
}

Bytes const multihash = [] {
    Bytes out{0x12, 0x20};
    out.resize(34, 5);
    return out;
}();

std::size_t holders(Network& net, std::vector<PeerId> const& nodes, Bytes const& key) {
    std::size_t count = 0;
    for (auto const& node : nodes)
        if (net.kad(node).store().find(key, net.now())) ++count;
    return count;
}

}  // namespace

TEST_CASE("in a network of fifty nodes anybody finds anybody, also before the tables are full") {
    for (unsigned const seed : {1U}) {
        CAPTURE(seed);
        Network net(seed);
        auto const nodes = sparse(net, 50);
        auto const first =
            net.finish<PeerFound>(nodes[0], net.kad(nodes[0]).find_peer(nodes[49], net.now()));
        REQUIRE(first.peer.has_value());
        CHECK(*first.peer == net[nodes[49]].info);
        bootstrap_all(net, nodes);
        for (std::size_t i = 0; i < nodes.size(); i += 7) {
            auto const& other = nodes[(i * 13 + 5) % nodes.size()];
            auto const found =
                net.finish<PeerFound>(nodes[i], net.kad(nodes[i]).find_peer(other, net.now()));
            REQUIRE(found.peer.has_value());
            CHECK((found.peer->id == other));
        }
        auto const nobody = net.random_id();
        auto const none =
            net.finish<PeerFound>(nodes[3], net.kad(nodes[3]).find_peer(nobody, net.now()));
        CHECK_FALSE(none.peer.has_value());
        CHECK(none.closest.size() == 20);
        for (auto const& node : nodes) CHECK(net.kad(node).queries_count() == 0);
    }
}

TEST_CASE("a value is found by everybody, also when half of those that keep it are gone") {
    unsigned const seed = 3;
    CAPTURE(seed);
    Network net(seed);
    auto const nodes = sparse(net, 40);
    bootstrap_all(net, nodes);
    auto const key = own_key(net, nodes[7]);
    auto const stored =
        net.finish<Stored>(nodes[7], net.kad(nodes[7]).put_value(key, text("here"), net.now()));
    CHECK(stored.peers_count == 20);
    CHECK(holders(net, nodes, key) >= 20);
    std::size_t killed = 0;
    for (auto const& node : nodes)
        if (killed < 10 && net.kad(node).store().find(key, net.now())) {
            net.kill(node);
            ++killed;
        }
    std::size_t asked = 0;
    for (auto const& node : nodes) {
        if (!net[node].is_alive || asked++ > 5) continue;
        auto const found = net.finish<ValueFound>(node, net.kad(node).get_value(key, net.now()));
        REQUIRE(found.record.has_value());
        CHECK(kith::base::as_text(found.record->body()) == "here");
    }
    auto const missing = net.finish<ValueFound>(
        nodes[39], net.kad(nodes[39]).get_value(own_key(net, nodes[8]), net.now()));
    CHECK_FALSE(missing.record.has_value());
}

TEST_CASE("S24: who provides says so under its own signature, and is found with its addresses") {
    unsigned const seed = 4;
    CAPTURE(seed);
    Network net(seed);
    auto const nodes = sparse(net, 25);
    bootstrap_all(net, nodes);
    for (auto const provider : {3, 11}) {
        auto const& node = nodes[static_cast<std::size_t>(provider)];
        CHECK(net.finish<Stored>(node, net.kad(node).provide(multihash, net.now())).peers_count ==
              20);
    }
    net.run_for(1s);
    auto const found = net.finish<ProvidersFound>(
        nodes[20], net.kad(nodes[20]).find_providers(multihash, net.now()));
    REQUIRE(found.providers.size() == 2);
    for (auto const& provider : found.providers) {
        CHECK((provider.peer.id == nodes[3] || provider.peer.id == nodes[11]));
        CHECK(provider.peer == net[provider.peer.id].info);
        CHECK(provider.proof.size() == 112);
    }
    net.kad(nodes[3]).withdraw_provider(multihash);
    CHECK(net.kad(nodes[3]).store().providers(multihash, net.now()).size() <= 1);
    CHECK(net.events<BadRecord>(nodes[20]).empty());
}

TEST_CASE("a client finds everything and is in nobody's table") {
    unsigned const seed = 5;
    CAPTURE(seed);
    Network net(seed);
    auto const nodes = sparse(net, 12);
    bootstrap_all(net, nodes);
    net.finish<Stored>(nodes[4],
                       net.kad(nodes[4]).put_value(own_key(net, nodes[4]), text("x"), net.now()));
    auto const client =
        net.add("90.0.0.1", [](KadOptions& options) { options.mode = Mode::client; });
    net.connect(client, nodes[0]);
    CHECK(
        net.finish<ValueFound>(client, net.kad(client).get_value(own_key(net, nodes[4]), net.now()))
            .record.has_value());
    CHECK(net.kad(client).table().size() > 5);
    for (auto const& node : nodes) CHECK(net.kad(node).table().find(client) == nullptr);
}

TEST_CASE(
    "S26: a value lives on while its author does: at 59:59 and at 60:01; without him it ends") {
    unsigned const seed = 6;
    CAPTURE(seed);
    Network net(seed);
    auto const nodes = sparse(net, 8);
    bootstrap_all(net, nodes);
    auto const begin = net.now().instant;
    auto const key = own_key(net, nodes[2]);
    net.finish<Stored>(nodes[2], net.kad(nodes[2]).put_value(key, text("x"), net.now()));
    auto const until = [&](kith::base::Duration passed) {
        net.run_for(begin + passed - net.now().instant);
    };
    auto const others = std::vector(nodes.begin() + 3, nodes.end());
    until(59min + 59s);
    CHECK(holders(net, others, key) == others.size());
    until(60min + 5s);
    CHECK(holders(net, others, key) == others.size());
    auto const again = net.events<Republished>(nodes[2]);
    REQUIRE(again.size() == 2);
    CHECK(again[0].key == key);
    CHECK(again[0].peers_count == 7);
    auto const last = net.kad(nodes[5]).store().find(key, net.now())->stamp();
    REQUIRE(last.has_value());
    auto const left =
        kith::base::seconds(last->issued) + 3600 - kith::base::seconds(net.now().wall);
    net.kill(nodes[2]);
    net.run_for(std::chrono::seconds(left - 1));
    CHECK(holders(net, others, key) == others.size());
    net.run_for(2s);
    CHECK(holders(net, others, key) == 0);
}

TEST_CASE("S26: a node that restarts publishes again at once, in time for what it said before") {
    unsigned const seed = 7;
    CAPTURE(seed);
    Network net(seed);
    auto const nodes = sparse(net, 8);
    bootstrap_all(net, nodes);
    auto const key = own_key(net, nodes[2]);
    net.finish<Stored>(nodes[2], net.kad(nodes[2]).put_value(key, text("x"), net.now()));
    net.finish<Stored>(nodes[2], net.kad(nodes[2]).provide(multihash, net.now()));
    auto const before = *net.kad(nodes[5]).store().find(key, net.now())->stamp();
    auto const state = net.kad(nodes[2]).export_state();
    net.run_for(20min);
    net.restart(nodes[2]);
    REQUIRE(net.kad(nodes[2]).import_state(state, net.now()).has_value());
    net.run_for(1s);
    CHECK(net.events<Republished>(nodes[2]).empty());  // it knows nobody yet
    net.connect(nodes[2], nodes[1]);
    net.run_for(5s);
    CHECK(net.events<Republished>(nodes[2]).size() == 2);
    auto const after = *net.kad(nodes[5]).store().find(key, net.now())->stamp();
    CHECK(after.sequence > before.sequence);
    CHECK(kith::base::seconds(after.issued) - kith::base::seconds(before.issued) >= 1200);
    net.run_for(41min);  // more than an hour after the first time
    CHECK(holders(net, {nodes[5]}, key) == 1);
    CHECK(net.kad(nodes[5]).store().providers(multihash, net.now()).size() == 1);
}

TEST_CASE("dead peers leave the tables, and what is left finds its way without them") {
    unsigned const seed = 8;
    CAPTURE(seed);
    Network net(seed);
    auto const nodes = sparse(net, 20);
    bootstrap_all(net, nodes);
    for (std::size_t i = 10; i < 20; ++i) net.kill(nodes[i]);
    net.run_for(30min);
    for (std::size_t i = 0; i < 10; ++i) {
        auto const& table = net.kad(nodes[i]).table();
        for (std::size_t j = 10; j < 20; ++j) CHECK(table.find(nodes[j]) == nullptr);
        CHECK(table.size() == 9);
        CHECK(net.kad(nodes[i]).requests_count() == 0);
    }
}
