// proto/kad/kad_sim.h: for tests: a network of Kademlia machines, and of liars, on a virtual clock.
// Everything follows from the seed.
#pragma once

#include <doctest/doctest.h>

#include <functional>
#include <map>
#include <random>
#include <set>

#include "proto/kad/kad.h"

namespace kith::proto::kad::sim {

inline constexpr std::int64_t epoch = 1'800'000'000;

struct SeededRng final : ports::Rng {
    explicit SeededRng(unsigned seed) : random(seed) {}
    base::Status fill(base::MutableByteView out) override {
        for (auto& byte : out) byte = static_cast<std::uint8_t>(random());
        return {};
    }
    std::mt19937 random;
};

// What a liar answers; nothing: he keeps silent.
using Lies = std::function<std::optional<Message>(identity::PeerId const& from, Message const&)>;

struct Node {
    std::unique_ptr<crypto::Ed25519KeyPair> keys;  // of honest nodes
    PeerInfo info;
    std::unique_ptr<Kad> kad;  // null: a liar
    KadOptions options;
    Lies lies;
    bool is_alive = true;
    std::set<identity::PeerId> connected;
    std::vector<Output> events;  // all but requests
    std::size_t requests_count = 0;
};

class Network {
public:
    explicit Network(unsigned seed) : random_(seed), rng_(seed + 1) {}

    using Tweak = std::function<void(KadOptions&)>;

    // An honest node at `ip`.
    identity::PeerId add(std::string const& ip, Tweak const& tweak = {});
    void restart(identity::PeerId const& id);  // forgets everything, its links are down
    identity::PeerId add_liar(identity::PeerId const& id, std::string const& ip, Lies lies);
    identity::PeerId random_id();
    // Tries until one shares `bits` or more with the target: what an attacker does.
    identity::PeerId id_near(Key const& target, std::size_t bits);

    Node& operator[](identity::PeerId const& id) { return nodes_.at(id); }
    Kad& kad(identity::PeerId const& id) { return *nodes_.at(id).kad; }
    [[nodiscard]] Now now() const;

    // A link between the two comes up and both identify each other.
    void connect(identity::PeerId const& a, identity::PeerId const& b);
    void kill(identity::PeerId const& id);

    void run_for(base::Duration duration);

    // Runs until the query of `id` is finished and returns it; fails the test after five minutes.
    template <class Result>
    Result finish(identity::PeerId const& id, base::Result<QueryId> const& query) {
        REQUIRE(query.has_value());
        auto const end = now_ + std::chrono::minutes(5);
        drain(id);
        for (;;) {
            for (auto const& event : nodes_.at(id).events)
                if (auto const* done = std::get_if<QueryFinished>(&event))
                    if (done->id == *query) return std::get<Result>(done->result);
            REQUIRE(step(end));
        }
    }
    template <class Event>
    std::vector<Event> events(identity::PeerId const& id) {
        std::vector<Event> found;
        for (auto const& event : nodes_.at(id).events)
            if (auto const* one = std::get_if<Event>(&event)) found.push_back(*one);
        return found;
    }

private:
    void tell(identity::PeerId const& a, identity::PeerId const& b);

    void after(base::Duration delay, std::function<void()> what);
    base::Duration latency();

    bool step(base::Instant end);

    void drain(identity::PeerId const& id);

    void deliver(identity::PeerId const& from, SendRequest request);

    void answer(identity::PeerId const& from, SendRequest const& request);

    std::mt19937 random_;
    SeededRng rng_;
    base::Instant now_{};
    std::map<identity::PeerId, Node> nodes_;
    std::multimap<base::Instant, std::function<void()>> queue_;
};

}  // namespace kith::proto::kad::sim
