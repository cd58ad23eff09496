// bench/session_bench.cpp: what Tier 1 costs, both ends in one process and no network: a handshake,
// a root proof, and bytes per second sealed end to end, alone and inside a link.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <optional>

#include "node/link/link.h"
#include "node/peers/peer_channel.h"

namespace {

using namespace kith;
using node::Link;
using node::PeerChannel;
using proto::session::Lane;

constexpr base::UnixTime today{1'800'000'000};

// Not for secrets: a benchmark needs bytes that differ, fast.
class CountingRng final : public ports::Rng {
public:
    explicit CountingRng(std::uint64_t seed) : state_(seed) {}
    base::Status fill(base::MutableByteView out) override {
        for (auto& byte : out) {
            state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
            byte = static_cast<std::uint8_t>(state_ >> 56);
        }
        return {};
    }

private:
    std::uint64_t state_;
};

identity::Identity make_identity(ports::Rng& rng) {
    crypto::Secret<identity::identity_random_bytes> random;
    if (!rng.fill(random.mutable_view())) std::abort();
    return identity::Identity::create(random, today).value();
}

struct Ends {
    CountingRng rng{7};
    identity::Identity a = make_identity(rng), b = make_identity(rng);
    crypto::Secret<32> secret;
    base::Instant now{};
    std::optional<PeerChannel> first, second;

    Ends() { reset(); }
    void reset() {
        first.emplace(parties(a, b), now);
        second.emplace(parties(b, a), now);
    }

    PeerChannel::Parties parties(identity::Identity const& self, identity::Identity const& peer) {
        return {.self = self,
                .rng = rng,
                .swarm_id = {{1}},
                .swarm_secret = secret,
                .peer = {.node = peer.node_id(),
                         .static_key = peer.static_public_key(),
                         .root = peer.root_public_key()}};
    }
    bool carry(PeerChannel& from, PeerChannel& to) {
        auto const bytes = base::to_bytes(from.outgoing());
        if (bytes.empty()) return false;
        from.taken(bytes.size());
        if (!to.feed(bytes, now)) std::abort();
        return true;
    }
    void settle() {
        while (carry(*first, *second) | carry(*second, *first)) {
        }
    }
    void connect() {
        if (!first->offer(now)) std::abort();
        settle();
        if (!first->ready() || !second->ready()) std::abort();
    }
};

// Both sides' work; a machine does half of it (offer and end: 1 key pair more, answer: 1
// encapsulation).
void tier1_handshake(benchmark::State& state) {
    Ends ends;
    ends.connect();
    for (auto _ : state) {
        ends.now += std::chrono::minutes(1);  // not more offers than are accepted
        if (!ends.first->offer(ends.now)) std::abort();
        ends.settle();
    }
    state.counters["per_side"] =
        benchmark::Counter(2.0 * static_cast<double>(state.iterations()),
                           benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(tier1_handshake)->Unit(benchmark::kMicrosecond);

void tier1_connect_with_root_proofs(benchmark::State& state) {
    Ends ends;
    for (auto _ : state) {
        ends.reset();
        ends.connect();
    }
}
BENCHMARK(tier1_connect_with_root_proofs)->Unit(benchmark::kMicrosecond);

void sealed(benchmark::State& state, Lane lane) {
    Ends ends;
    ends.connect();
    base::Bytes const part(static_cast<std::size_t>(state.range(0)), 7);
    for (auto _ : state) {
        if (!ends.first->send(lane, part)) std::abort();
        ends.carry(*ends.first, *ends.second);
        if (!ends.second->poll_message()) std::abort();
    }
    state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK_CAPTURE(sealed, tensor, Lane::tensor)->Arg(16 * 1024)->Arg(1024 * 1024);
BENCHMARK_CAPTURE(sealed, control, Lane::control)->Arg(16 * 1024);

}  // namespace

BENCHMARK_MAIN();
