// tests/adversary/network.h: the edges of a whole swarm in one process: a virtual clock, seeded
// randomness, secrets in memory, a pool that computes when it is told to, and wires that keep a
// tape of every byte. Deterministic: the same seed gives the same run, bit for bit.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <string>

#include "ports/clock.h"
#include "ports/network_core.h"
#include "ports/pool.h"
#include "ports/rng.h"
#include "ports/secret_store.h"

namespace kith::adversary {

class VirtualClock final : public ports::Clock {
public:
    [[nodiscard]] base::Instant now() const override { return now_; }
    [[nodiscard]] base::UnixTime unix_now() const override;
    void set(base::Instant now) { now_ = now; }

private:
    base::Instant now_{std::chrono::seconds(1000)};
};

class SeededRng final : public ports::Rng {
public:
    explicit SeededRng(std::uint64_t seed) : random_(seed) {}
    base::Status fill(base::MutableByteView out) override;

private:
    std::mt19937_64 random_;
};

class MemorySecrets final : public ports::SecretStore {
public:
    base::Result<base::Bytes> read(std::string_view name) override;
    base::Status replace(std::string_view name, base::ByteView secret) override;

private:
    std::map<std::string, base::Bytes, std::less<>> secrets_;
};

// Queues what is submitted; run_one() computes on the caller's thread.
class TurnPool final : public ports::Pool {
public:
    void submit(std::function<void()> work, std::function<void()> done) override;
    void post(std::function<void()> task) override;
    bool run_one();  // false: nothing waits

private:
    std::deque<std::function<void()>> turns_;
};

using Address = ports::SocketAddress;

class Network {
public:
    // `core` outlives the network or is detached before. `pump` is called on each turn, before the
    // outputs of the core are taken.
    void attach(Address at, ports::NetworkCore& core, std::function<void()> pump);
    void detach(Address const& at, base::Instant now);  // every connection of it breaks
    // A machine that is unplugged hears nothing and is not heard; nobody is told.
    void unplug(Address const& at) { unplugged_.insert(at); }
    // A machine behind a router: it dials, but nobody dials it.
    void hide(Address const& at) { hidden_.insert(at); }

    bool step(base::Instant now);  // false: nothing moved
    [[nodiscard]] std::optional<base::Instant> deadline() const;
    void on_deadlines(base::Instant now);

    // Everything that went over wires from one machine to another, as an eavesdropper has it.
    [[nodiscard]] base::Bytes const& tape(Address const& from, Address const& to);

private:
    struct Endpoint {
        ports::NetworkCore* core;
        std::function<void()> pump;
    };
    struct End {
        Address at;
        ports::ConnectionId id;
        auto operator<=>(End const&) const = default;
    };
    void dial(Address const& from, ports::Dial const& request, base::Instant now);
    void transmit(End const& from, base::Instant now);
    void close(End const& from, base::Instant now);

    std::map<Address, Endpoint> endpoints_;
    std::map<End, End> wires_;
    std::map<std::pair<Address, Address>, base::Bytes> tapes_;
    std::set<Address> unplugged_, hidden_;
    std::uint64_t next_accepted_ = 1;
};

}  // namespace kith::adversary
