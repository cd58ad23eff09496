// bench/session_bench.cpp: what Tier 1 costs, both ends in one process and no network: a handshake,
// a root proof, and bytes per second sealed end to end, alone and inside a link.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <optional>

#include "base/heap.h"
#include "crypto/aead.h"
#include "link_credentials.h"
#include "node/link/link.h"
#include "node/peers/peer_channel.h"

namespace {

using namespace kith;
using node::Link;
using node::PeerChannel;
using proto::session::Lane;
namespace noise = proto::noise;
using bench::credentials_of;
using bench::key_of;

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

// Two Links with a stream between them, on which the sealed frames of `ends` travel: what crosses
// between members is sealed by Tier 1 and by Noise.
struct Links {
    static constexpr char const* protocol = "/sealed";

    static Link make(node::LinkRole role, noise::Credentials const& credentials,
                     std::uint8_t fill) {
        node::LinkOptions options;
        options.role = role;
        options.accepted_protocols = {protocol};
        return {options, credentials, key_of(fill), base::Instant{}};
    }
    bool carry(Link& from, Link& to) {
        wire.clear();
        if (!from.poll_transmit(wire, base::Instant{})) return false;
        if (!to.feed(wire, base::Instant{})) std::abort();
        return true;
    }
    void settle() {
        while (carry(dialer, listener) | carry(listener, dialer)) {
        }
    }
    void move(PeerChannel& from, PeerChannel& to) {
        from.taken(dialer.write(stream, from.outgoing()));
        carry(dialer, listener);
        while (auto event = listener.poll_event()) {
            auto const* data = std::get_if<node::StreamData>(&*event);
            if (data == nullptr) continue;
            if (!to.feed(data->bytes, base::Instant{})) std::abort();
            listener.consumed(stream, data->bytes.size());
        }
        carry(listener, dialer);
        while (dialer.poll_event()) {
        }
    }

    noise::Credentials a = credentials_of(1), b = credentials_of(2);
    Link dialer = make(node::LinkRole::dialer, a, 11);
    Link listener = make(node::LinkRole::listener, b, 12);
    base::Bytes wire;
    node::StreamId stream{};
};

void sealed_in_link(benchmark::State& state) {
    Ends ends;
    ends.connect();
    Links links;
    links.settle();
    links.stream = *links.dialer.open_stream(Links::protocol, base::Instant{});
    base::Bytes const part(static_cast<std::size_t>(state.range(0)), 7);
    for (auto _ : state) {
        if (!ends.first->send(Lane::tensor, part)) std::abort();
        while (!ends.second->poll_message()) links.move(*ends.first, *ends.second);
    }
    state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(sealed_in_link)->Arg(16 * 1024)->Arg(64 * 1024)->Arg(256 * 1024)->Arg(1024 * 1024);

// What the ciphers alone would take for the same bytes: AES-256-GCM for Tier 1 and
// ChaCha20-Poly1305 for Noise, each sealed and opened.
void ciphers_alone(benchmark::State& state) {
    crypto::Aes256Gcm tier1(crypto::AeadKey(base::ByteArray<32>{1}));
    crypto::ChaCha20Poly1305 link(crypto::AeadKey(base::ByteArray<32>{2}));
    auto const size = static_cast<std::size_t>(state.range(0));
    base::Bytes const plaintext(size, 7);
    base::Bytes sealed(size + crypto::aead_tag_bytes);
    base::Bytes opened(size);
    std::uint8_t counter = 0;
    for (auto _ : state) {
        crypto::AeadNonce const nonce{++counter};
        for (crypto::Aead* cipher :
             {static_cast<crypto::Aead*>(&tier1), static_cast<crypto::Aead*>(&link)}) {
            if (!cipher->seal(nonce, {}, plaintext, sealed)) std::abort();
            if (!cipher->open(nonce, {}, sealed, opened)) std::abort();
        }
    }
    state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(ciphers_alone)->Arg(64 * 1024);

}  // namespace

int main(int count, char** words) {
    kith::base::keep_freed_memory();  // as kith does
    benchmark::Initialize(&count, words);
    benchmark::RunSpecifiedBenchmarks();
}
