#include "proto/kad/kad_sim.h"

#include <algorithm>

namespace kith::proto::kad::sim {

using base::Bytes;
using identity::PeerId;

PeerId Network::add(std::string const& ip, Tweak const& tweak) {
    crypto::Secret<32> seed;
    for (auto& byte : seed.mutable_view()) byte = static_cast<std::uint8_t>(random_());
    auto keys = std::make_unique<crypto::Ed25519KeyPair>(seed);
    PeerId const id(keys->public_key());
    auto& node = nodes_[id];
    node.info = {.id = id, .addresses = {wire::Multiaddr::tcp(ip, 4001).value()}};
    KadOptions options;
    options.self = node.info;
    options.domain = "swarm-a";
    options.signer = {.public_key = keys->public_key(),
                      .sign = [key = keys.get()](base::ByteView m) { return key->sign(m); }};
    options.namespaces.resize(2);
    options.namespaces[0].name = "own";
    options.namespaces[1].name = "plain";
    options.namespaces[1].form = Namespace::Form::plain;
    options.reach = Reach::private_network;
    if (tweak) tweak(options);
    node.options = options;
    node.keys = std::move(keys);
    node.kad = std::make_unique<Kad>(std::move(options), rng_);
    return id;
}

void Network::restart(PeerId const& id) {
    kill(id);
    auto& node = nodes_.at(id);
    node.kad = std::make_unique<Kad>(node.options, rng_);
    node.events.clear();
    node.is_alive = true;
}

PeerId Network::add_liar(PeerId const& id, std::string const& ip, Lies lies) {
    auto& node = nodes_[id];
    node.info = {.id = id, .addresses = {wire::Multiaddr::tcp(ip, 4001).value()}};
    node.lies = std::move(lies);
    return id;
}

PeerId Network::random_id() {
    base::ByteArray<32> key;
    for (auto& byte : key) byte = static_cast<std::uint8_t>(random_());
    return PeerId(key);
}

PeerId Network::id_near(Key const& target, std::size_t bits) {
    for (;;)
        if (auto const id = random_id(); common_prefix_length(Key::of(id), target) >= bits)
            return id;
}

Now Network::now() const {
    auto const passed = std::chrono::duration_cast<std::chrono::seconds>(now_ - base::Instant{});
    return {.instant = now_, .wall = base::UnixTime{epoch + passed.count()}};
}

void Network::connect(PeerId const& a, PeerId const& b) {
    if (!nodes_.at(a).connected.insert(b).second) return;
    nodes_.at(b).connected.insert(a);
    tell(a, b);
    tell(b, a);
}

void Network::kill(PeerId const& id) {
    nodes_.at(id).is_alive = false;
    for (auto const& other : nodes_.at(id).connected) {
        nodes_.at(other).connected.erase(id);
        if (nodes_.at(other).kad) nodes_.at(other).kad->on_peer_gone(id, now());
        drain(other);
    }
    nodes_.at(id).connected.clear();
}

void Network::run_for(base::Duration duration) {
    auto const end = now_ + duration;
    for (auto& [id, node] : nodes_) drain(id);
    while (step(end)) {
    }
    now_ = std::max(now_, end);
}

void Network::tell(PeerId const& a, PeerId const& b) {
    auto& node = nodes_.at(a);
    auto const& other = nodes_.at(b);
    if (!node.kad) return;
    node.kad->on_peer_ready(
        {.peer = other.info,
         .remote = other.info.addresses.front(),
         .serves = other.options.mode == Mode::server ? ServesKad::yes : ServesKad::no},
        now());
    drain(a);
}

void Network::after(base::Duration delay, std::function<void()> what) {
    queue_.emplace(now_ + delay, std::move(what));
}

bool Network::step(base::Instant end) {
    auto next = queue_.empty() ? base::Instant::max() : queue_.begin()->first;
    PeerId const* due = nullptr;
    for (auto& [id, node] : nodes_) {
        if (!node.kad || !node.is_alive) continue;
        auto const deadline = node.kad->deadline();
        if (deadline && *deadline < next) {
            next = *deadline;
            due = &id;
        }
    }
    if (next > end) return false;
    now_ = std::max(now_, next);
    if (due) {
        nodes_.at(*due).kad->on_deadline(now());
        drain(*due);
        return true;
    }
    auto what = std::move(queue_.begin()->second);
    queue_.erase(queue_.begin());
    what();
    return true;
}

void Network::drain(PeerId const& id) {
    auto& node = nodes_.at(id);
    if (!node.kad) return;
    while (auto output = node.kad->poll_output()) {
        if (auto* const request = std::get_if<SendRequest>(&*output)) {
            ++node.requests_count;
            deliver(id, std::move(*request));
        } else if (!std::holds_alternative<CancelRequest>(*output)) {
            node.events.push_back(std::move(*output));
        }
    }
}

void Network::deliver(PeerId const& from, SendRequest request) {
    auto const target = nodes_.find(request.peer);
    bool const is_there =
        target != nodes_.end() && target->second.is_alive &&
        (target->second.connected.contains(from) ||
         std::ranges::find(request.addresses, target->second.info.addresses.front()) !=
             request.addresses.end());
    if (!is_there)
        return after(std::chrono::seconds(1), [this, from, id = request.id] {
            kad(from).on_request_failed(id, {.code = base::Code::unavailable, .message = ""},
                                        now());
            drain(from);
        });
    after(latency(), [this, from, request = std::move(request)] {
        if (!nodes_.at(request.peer).is_alive) return;
        connect(from, request.peer);
        answer(from, request);
    });
}

void Network::answer(PeerId const& from, SendRequest const& request) {
    auto& node = nodes_.at(request.peer);
    std::optional<Bytes> bytes = Bytes{};
    bool is_refused = false;
    if (node.kad) {
        auto const result = node.kad->on_request(from, request.bytes, now());
        is_refused = !result.has_value();
        if (result && *result) bytes = **result;
    } else {
        auto const lie = node.lies(from, decode(request.bytes).value());
        if (!lie) return;
        bytes = encode(*lie);
    }
    drain(request.peer);
    after(latency(), [this, from, id = request.id, bytes, is_refused] {
        if (is_refused)
            kad(from).on_request_failed(id, {.code = base::Code::unavailable, .message = ""},
                                        now());
        else
            kad(from).on_response(id, *bytes, now());
        drain(from);
    });
}

base::Duration Network::latency() {
    return std::chrono::milliseconds(20 + random_() % 60);
}

}  // namespace kith::proto::kad::sim
