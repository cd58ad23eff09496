// Thirty routers on a virtual clock with seeded delays: every message reaches everybody, copies
// stay few, and a swarm that fell apart grows together again.
#include <doctest/doctest.h>

#include <memory>
#include <queue>

#include "proto/gossip/gossip_test_bench.h"

using namespace kith::proto::gossip;
using kith::base::as_bytes;
using kith::base::Bytes;
using kith::base::Duration;
using kith::base::Instant;
using namespace std::chrono_literals;

namespace {

class Swarm {
public:
    Swarm(std::size_t count, std::uint64_t seed, Options options) : random_(seed) {
        for (std::size_t i = 0; i < count; ++i) {
            options.seed = seed * 1000 + i;
            nodes_.push_back(std::make_unique<Router>(options, now_));
            CHECK(nodes_.back()->subscribe("t", now_).has_value());
        }
        // A ring, so that it is one swarm, and eight more links each.
        for (std::size_t i = 0; i < count; ++i) link(i, (i + 1) % count);
        for (std::size_t i = 0; i < count * 4; ++i) link(random_() % count, random_() % count);
    }

    void link(std::size_t a, std::size_t b) {
        if (a == b || linked_.contains({a, b})) return;
        linked_.insert({a, b});
        linked_.insert({b, a});
        add(a, b, Direction::outbound);
        add(b, a, Direction::inbound);
    }
    void unlink_between(std::size_t border) {
        for (auto const& [a, b] : std::set(linked_)) {
            if ((a < border) == (b < border)) continue;
            linked_.erase({a, b});
            nodes_[a]->on_peer_removed(test::peer_of(b), now_);
        }
    }
    void run(Duration duration) {
        auto const end = now_ + duration;
        while (true) {
            for (std::size_t i = 0; i < nodes_.size(); ++i) drain(i);
            auto next = end;
            for (auto const& node : nodes_) next = std::min(next, node->deadline());
            if (!wire_.empty()) next = std::min(next, wire_.top().at);
            now_ = next;
            if (next >= end) return;
            while (!wire_.empty() && wire_.top().at <= now_) {
                auto const packet = wire_.top();
                wire_.pop();
                if (linked_.contains({packet.from, packet.to}))
                    CHECK(nodes_[packet.to]
                              ->on_rpc(test::peer_of(packet.from), packet.rpc, now_)
                              .has_value());
            }
            for (auto& node : nodes_) node->on_deadline(now_);
        }
    }
    void publish(std::size_t from, std::string const& text) {
        CHECK(nodes_[from]->publish("t", as_bytes(text), now_).has_value());
        received_[text].insert(from);
    }
    // How many nodes have the message.
    std::size_t reached(std::string const& text) { return received_[text].size(); }
    std::uint64_t copies() const {
        std::uint64_t sum = 0;
        for (auto const& node : nodes_) sum += node->counters().duplicates_received;
        return sum;
    }
    Router const& node(std::size_t index) const { return *nodes_[index]; }
    std::size_t misbehaved = 0;

private:
    struct Packet {
        Instant at;
        std::uint64_t order;
        std::size_t from, to;
        Bytes rpc;
        bool operator<(Packet const& other) const {  // the priority queue's top is the earliest
            return std::pair(other.at, other.order) < std::pair(at, order);
        }
    };

    void add(std::size_t at, std::size_t peer, Direction direction) {
        CHECK(nodes_[at]
                  ->on_peer_added(test::peer_of(peer), Version::v1_2, direction, "127.0.0.1", now_)
                  .has_value());
    }
    void drain(std::size_t index) {
        auto& node = *nodes_[index];
        while (auto const output = node.poll_output()) {
            if (auto const* const one = std::get_if<Deliver>(&*output)) {
                auto const [entry, is_new] =
                    received_[kith::base::to_text(one->data)].insert(index);
                CHECK(is_new);  // nothing is delivered twice
                node.validated(one->handle, Verdict::accept, now_);
            }
            if (std::holds_alternative<PeerMisbehaved>(*output)) ++misbehaved;
            if (auto const* const one = std::get_if<Transmit>(&*output)) transmit(index, one->peer);
        }
    }
    void transmit(std::size_t from, kith::identity::PeerId const& peer) {
        auto const to =
            kith::base::load_be<std::uint64_t>(std::span(peer.public_key()).first(8)) - 1;
        while (auto rpc = nodes_[from]->poll_transmit(peer)) {
            // Streams keep their order: nothing arrives before what was sent before it.
            auto& last = arrival_[{from, to}];
            last = std::max(last, now_ + Duration(1000 + random_() % 50'000));
            wire_.push({last, order_++, from, to, std::move(*rpc)});
        }
    }

    Generator random_;
    Instant now_{};
    std::vector<std::unique_ptr<Router>> nodes_;
    std::set<std::pair<std::size_t, std::size_t>> linked_;
    std::map<std::pair<std::size_t, std::size_t>, Instant> arrival_;
    std::priority_queue<Packet> wire_;
    std::uint64_t order_ = 0;
    std::map<std::string, std::set<std::size_t>> received_;
};

Options swarm_options() {
    auto options = test::plain_options();
    options.flood_publish = FloodPublish::off;
    return options;
}

}  // namespace

TEST_CASE("thirty routers: every message reaches everybody, with D copies too many at most") {
    double copies_mean = 0;
    for (std::uint64_t const seed : {1U, 2U, 3U}) {
        CAPTURE(seed);
        Swarm swarm(30, seed, swarm_options());
        swarm.run(5s);
        for (std::size_t i = 0; i < 30; ++i) {
            CHECK(swarm.node(i).mesh("t").size() >= 3);
            CHECK(swarm.node(i).mesh("t").size() <= 12);
        }
        std::size_t const messages = 60;
        for (std::size_t i = 0; i < messages; ++i) {
            swarm.publish(i % 30, "message " + std::to_string(i));
            swarm.run(100ms);
        }
        swarm.run(4s);
        for (std::size_t i = 0; i < messages; ++i)
            CHECK(swarm.reached("message " + std::to_string(i)) == 30);
        auto const copies = static_cast<double>(swarm.copies()) / (messages * 30);
        MESSAGE("copies per message and node: " << copies);
        CHECK(copies < MeshDegrees{}.high);
        copies_mean += copies / 3;
        CHECK(swarm.misbehaved == 0);
    }
    CHECK(copies_mean < MeshDegrees{}.target);
}

TEST_CASE("large messages: IDONTWANT saves copies") {
    auto const copies_with = [](std::size_t bytes) {
        Swarm swarm(30, 4, swarm_options());
        swarm.run(5s);
        for (std::size_t i = 0; i < 20; ++i) {
            auto const text = std::to_string(i) + std::string(bytes, 'x');
            swarm.publish(i, text);
            swarm.run(1s);
            CHECK(swarm.reached(text) == 30);
        }
        return swarm.copies();
    };
    auto const small = copies_with(100);
    auto const large = copies_with(4000);
    MESSAGE("copies of 20 messages: small " << small << ", large " << large);
    CHECK(large < small);
}

TEST_CASE("a swarm that was cut in two grows together again and delivers to all") {
    Swarm swarm(30, 5, swarm_options());
    swarm.run(5s);
    swarm.unlink_between(15);
    swarm.run(5s);
    swarm.publish(0, "left");
    swarm.publish(20, "right");
    swarm.run(5s);
    CHECK(swarm.reached("left") == 15);
    CHECK(swarm.reached("right") == 15);
    for (std::size_t i = 0; i < 5; ++i) swarm.link(i, 20 + i);
    swarm.run(3s);
    swarm.publish(0, "whole");
    swarm.publish(20, "again");
    swarm.run(5s);
    CHECK(swarm.reached("whole") == 30);
    CHECK(swarm.reached("again") == 30);
    CHECK(swarm.misbehaved == 0);
}
