// bench/link_bench.cpp: what one connection costs, both ends in one process and no network:
// handshakes per second, memory while idle, and bytes per second through one stream of two Links
// (multistream, Noise and yamux on both sides).
#include <benchmark/benchmark.h>
#include <malloc.h>

#include <cstdlib>
#include <memory>
#include <vector>

#include "link_credentials.h"
#include "node/link/link.h"

namespace {

using namespace kith;
using node::Link;
namespace noise = proto::noise;
using bench::credentials_of;
using bench::key_of;

struct Ends {
    explicit Ends(node::EarlyMuxer early)
        : dialer(options(node::LinkRole::dialer, early), a, key_of(11), base::Instant{}),
          listener(options(node::LinkRole::listener, early), b, key_of(12), base::Instant{}) {}

    static node::LinkOptions options(node::LinkRole role, node::EarlyMuxer early) {
        node::LinkOptions options;
        options.role = role;
        options.early_muxer = early;
        options.accepted_protocols = {"/bulk"};
        return options;
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

    void forget_events() {
        while (dialer.poll_event()) {
        }
        while (listener.poll_event()) {
        }
    }
    // Through one stream, which stays open.
    void move(std::size_t total) {
        auto const id = *dialer.open_stream("/bulk", base::Instant{});
        base::Bytes const part(256 * 1024, 7);
        for (std::size_t received = 0; received < total;) {
            dialer.write(id, part);
            settle();
            while (auto event = listener.poll_event()) {
                auto const* data = std::get_if<node::StreamData>(&*event);
                if (!data) continue;
                received += data->bytes.size();
                listener.consumed(id, data->bytes.size());
            }
        }
        settle();
    }

    static noise::Credentials const a, b;
    base::Bytes wire;
    Link dialer, listener;
};
noise::Credentials const Ends::a = credentials_of(1);
noise::Credentials const Ends::b = credentials_of(2);

// Both sides' work: a machine that only dials or only listens does about half of it.
void handshake(benchmark::State& state) {
    auto const early = state.range(0) == 1 ? node::EarlyMuxer::announce : node::EarlyMuxer::off;
    for (auto _ : state) {
        Ends ends(early);
        ends.settle();
        if (!ends.dialer.is_up() || !ends.listener.is_up()) std::abort();
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(handshake)->ArgName("early_muxer")->Arg(1)->Arg(0);

void one_stream(benchmark::State& state) {
    Ends ends(node::EarlyMuxer::announce);
    ends.settle();
    auto const id = *ends.dialer.open_stream("/bulk", base::Instant{});
    base::Bytes const part(static_cast<std::size_t>(state.range(0)), 7);
    std::size_t received = 0;
    for (auto _ : state) {
        ends.dialer.write(id, part);
        ends.carry(ends.dialer, ends.listener);
        while (auto event = ends.listener.poll_event()) {
            auto const* data = std::get_if<node::StreamData>(&*event);
            if (!data) continue;
            received += data->bytes.size();
            ends.listener.consumed(id, data->bytes.size());
        }
        ends.carry(ends.listener, ends.dialer);
        while (ends.dialer.poll_event()) {
        }
    }
    state.SetBytesProcessed(static_cast<std::int64_t>(received));
}
BENCHMARK(one_stream)->ArgName("write_bytes")->Arg(1024)->Arg(64 * 1024)->Arg(256 * 1024);

// Memory of the heap for one end of a link that is up and idle, new or after `traffic` bytes
// through a stream that is still open. The socket's part is not in it.
void idle_memory(benchmark::State& state) {
    constexpr std::size_t pairs = 200;
    auto const traffic = static_cast<std::size_t>(state.range(0));
    for (auto _ : state) {
        auto const before = mallinfo2().uordblks + mallinfo2().hblkhd;
        std::vector<std::unique_ptr<Ends>> all;
        for (std::size_t i = 0; i < pairs; ++i) {
            all.push_back(std::make_unique<Ends>(node::EarlyMuxer::announce));
            all.back()->settle();
            if (traffic > 0) all.back()->move(traffic);
            all.back()->forget_events();
            all.back()->wire = base::Bytes();
        }
        auto const after = mallinfo2().uordblks + mallinfo2().hblkhd;
        state.counters["bytes_per_end"] =
            static_cast<double>(after - before) / static_cast<double>(2 * pairs);
    }
}
BENCHMARK(idle_memory)->ArgName("traffic")->Arg(0)->Arg(4 * 1024 * 1024)->Iterations(1);

}  // namespace

BENCHMARK_MAIN();
