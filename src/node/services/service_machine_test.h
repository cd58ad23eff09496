// node/services/service_machine_test.h: for tests: a process with a Host and its services.
#pragma once

#include <doctest/doctest.h>

#include <functional>
#include <random>

#include "node/services/dcutr_service.h"
#include "node/services/identify_service.h"
#include "node/services/relay_service.h"

namespace kith::node::test {

using base::Bytes;
using base::Instant;
using base::UnixTime;
using identity::Identity;
using identity::PeerId;
using ports::ConnectionId;
using ports::SocketAddress;
using proto::relay::Grant;
using namespace std::chrono_literals;

struct SeededRng final : kith::ports::Rng {
    explicit SeededRng(unsigned seed) : random(seed) {}
    kith::base::Status fill(kith::base::MutableByteView out) override {
        for (auto& byte : out) byte = static_cast<std::uint8_t>(random());
        return {};
    }
    std::mt19937 random;
};

struct TestClock final : kith::ports::Clock {
    [[nodiscard]] Instant now() const override { return at; }
    [[nodiscard]] UnixTime unix_now() const override {
        auto const since = std::chrono::duration_cast<std::chrono::seconds>(at.time_since_epoch());
        return UnixTime{1'800'000'000 + since.count()};
    }
    Instant at{1000s};
};

inline Identity identity_of(SeededRng& rng) {
    kith::crypto::Secret<kith::identity::identity_random_bytes> seed;
    REQUIRE(rng.fill(seed.mutable_view()).has_value());
    return Identity::create(seed, UnixTime{1'800'000'000}).value();
}

// One process: its host, its relay service, and what its owner heard.
struct Machine {
    Machine(unsigned seed, TestClock const& clock, HostLimits host_limits,
            proto::relay::ServerLimits limits)
        : rng(seed),
          identity(identity_of(rng)),
          at{.ip = "10.0.0." + std::to_string(seed), .port = 8810},
          host(Host::create(identity, rng,
                            {.limits = host_limits,
                             .accepted_protocols = {std::string(proto::relay::hop_protocol),
                                                    std::string(proto::relay::stop_protocol),
                                                    std::string(proto::identify::protocol),
                                                    std::string(proto::identify::push_protocol),
                                                    std::string(proto::ping::protocol),
                                                    std::string(proto::dcutr::protocol), "/echo"}})
                   .value()),
          service({.host = *host,
                   .identity = identity,
                   .clock = clock,
                   .grant = [this](PeerId const&) { return grant; }},
                  limits),
          identify({.host = *host, .identity = identity, .clock = clock}),
          dcutr({.host = *host,
                 .own_addresses = [this] { return told; },
                 .known_addresses = [this](ConnectionId) { return knows; },
                 .may = [this](PeerId const&) { return may_punch; }}) {
        told.push_back(wire::Multiaddr::tcp(at.ip, at.port).value());
    }

    SeededRng rng;
    Identity identity;
    SocketAddress at;
    std::unique_ptr<Host> host;
    bool consumes = true;          // gives credit for stream data back
    bool answers_identify = true;  // its identify service hears what happens
    Grant grant = Grant::unlimited;
    RelayService service;
    IdentifyService identify;
    bool behind_router = false;  // lets in only whom this machine dials at the same moment
    bool may_punch = true;       // what its dcutr service hears about every peer
    std::vector<wire::Multiaddr> told, knows;  // its own addresses, and those of others
    DcutrService dcutr;
    std::vector<HostEvent> events;
    std::function<void(HostEvent const&)> on_event;  // before anybody else hears of it
    Bytes tape;  // everything that others put on wires to this machine

    template <class T>
    std::vector<T> heard(ConnectionId id) const {
        std::vector<T> found;
        for (auto const& event : events)
            if (auto const* one = std::get_if<T>(&event.what); one && event.connection == id)
                found.push_back(*one);
        return found;
    }
    [[nodiscard]] std::vector<ConnectionId> connected(Path path) const {
        std::vector<ConnectionId> found;
        for (auto const& event : events)
            if (auto const* up = std::get_if<PeerConnected>(&event.what); up && up->path == path)
                found.push_back(event.connection);
        return found;
    }
};

}  // namespace kith::node::test
