// tests/adversary/wire_hall.h: a swarm of two with a member that breaks the protocols below the
// session: what must be as before, whatever mallory sent.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <memory>

#include "hostile.h"
#include "proto/ping/ping.h"
#include "proto/yamux/session.h"
#include "wire_hostile.h"

namespace kith::adversary {

// What an attack may have the process hold at any moment, the network's two windows of 1 MiB
// included. An honest session at full speed takes more.
inline constexpr std::size_t grown_max = 4 * 1024 * 1024;

// op is attacked; ada has a session with op; mallory has joined like anybody and has no link.
struct WireHall {
    WireHall() {
        mallory.join(op, bench.invite(op));
        bench.run_for(std::chrono::seconds(5));
        before_ = facts();
        heap_before_ = heap_bytes();
    }

    // A link that mallory's key has proved; the peers before it stay where they are.
    WirePeer& link() {
        auto& peer = link_that([](WirePeer&) {});
        REQUIRE(peer.is_up());
        return peer;
    }
    // The same for one that behaves so from its first word on; it need not stand afterwards.
    WirePeer& link_that(std::function<void(WirePeer&)> const& behaves) {
        peers_.push_back(std::make_unique<WirePeer>(bench, mallory.identity, 7 + peers_.size()));
        behaves(*peers_.back());
        peers_.back()->connect(op);
        return *peers_.back();
    }
    // One yamux frame, of which any field may be wrong.
    static void send(WirePeer& peer, proto::yamux::Header const& header, base::ByteView body = {}) {
        peer.send(frame(header, body));
    }

    // The machine serves a newcomer, ada's session carries words both ways, the process holds
    // little more than before and never held grown_max more, and what op knows of others stands.
    void check_unharmed() {
        for (auto const& peer : peers_) CHECK(peer->heap_peak < heap_before_ + grown_max);
        SeededRng rng(4711 + rounds_);
        auto const stranger = new_identity(rng, bench.clock.unix_now());
        WirePeer newcomer(bench, stranger, 4711 + rounds_);
        newcomer.connect(op);
        REQUIRE(newcomer.is_up());
        auto const said = base::Bytes(proto::ping::payload_bytes, 0x5a);
        auto const stream = newcomer.open(proto::ping::protocol, said);
        auto echo = proposal(proto::ping::protocol);
        base::append(echo, said);
        CHECK(newcomer.heard(stream).bytes == echo);
        newcomer.close();
        CHECK(op.node->is_ready(ada.identity.node_id()));
        CHECK(hears(op, ada));
        CHECK(hears(ada, op));
        CHECK(facts() == before_);
    }

    SwarmBench bench{1, SwarmBench::Tape::off};
    Machine& op = bench.add_operator();
    Machine& ada = bench.add_member(op);
    Hostile mallory{bench};

private:
    struct Facts {
        std::vector<std::pair<identity::NodeId, crypto::X25519PublicKey>> members;
        double trust_of_op_in_ada = 0, trust_of_ada_in_op = 0;
        std::uint64_t epoch = 0;
        std::string name_of_ada;
        std::vector<std::string> alarms;
        bool operator==(Facts const&) const = default;
    };
    [[nodiscard]] Facts facts() const {
        Facts facts;
        for (auto const& member : op.node->registry()->list()->members())
            facts.members.emplace_back(member.node_id(), member.static_key());
        facts.trust_of_op_in_ada = op.node->trust_in(ada.identity.node_id()).to_double();
        facts.trust_of_ada_in_op = ada.node->trust_in(op.identity.node_id()).to_double();
        facts.epoch = op.node->swarm()->epoch;
        facts.name_of_ada = op.node->nickname_of(ada.identity.node_id());
        facts.alarms = op.node->alarms();
        return facts;
    }
    // A word that nobody said before reaches `to` from `from`.
    bool hears(Machine& to, Machine& from) {
        auto const word = "word " + std::to_string(++rounds_);
        wire::v1::Control control;
        auto* announce = control.mutable_shard_announce();
        announce->set_node_id(base::to_text(from.identity.node_id().bytes));
        auto* holding = announce->add_models();
        holding->set_model_id(std::string(32, 'm'));
        holding->set_name(word);
        holding->add_shards(0);
        if (!from.node->send(to.identity.node_id(), control)) return false;
        bench.settle();
        return std::ranges::any_of(to.recorder.controls, [&](auto const& heard) {
            return heard.sender == from.identity.node_id() && heard.message.has_shard_announce() &&
                   heard.message.shard_announce().models_size() == 1 &&
                   heard.message.shard_announce().models(0).name() == word;
        });
    }

    std::vector<std::unique_ptr<WirePeer>> peers_;
    Facts before_;
    std::size_t heap_before_ = 0;
    std::uint64_t rounds_ = 0;
};

}  // namespace kith::adversary
