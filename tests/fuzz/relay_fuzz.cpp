// Fuzzes circuit relay v2. First byte even: the parsers, and that what they understood is framed
// and read again the same. Odd: a relay with two peers who say what the input wants on their
// streams; ids of streams come back, also of such that are still known; checked after every step:
// counts within limits, bytes only behind a yes, and both ends together.
#include <cstdlib>
#include <set>

#include "proto/relay/client.h"
#include "proto/relay/server.h"

namespace relay = kith::proto::relay;
using kith::base::Bytes;
using kith::base::ByteView;
using kith::base::Instant;
using kith::base::UnixTime;
using kith::identity::Identity;
using kith::identity::PeerId;

namespace {

constexpr UnixTime unix_now{1'800'000'000};

Identity const& relay_identity() {
    static Identity const identity = [] {
        kith::base::ByteArray<kith::identity::identity_random_bytes> random;
        random.fill(1);
        return Identity::create(kith::crypto::Secret<kith::identity::identity_random_bytes>(random),
                                unix_now)
            .value();
    }();
    return identity;
}

PeerId peer_of(std::uint8_t fill) {
    kith::base::ByteArray<32> key;
    key.fill(fill);
    return PeerId(key);
}

void parse(ByteView bytes) {
    if (auto const hop = relay::parse_hop(bytes)) {
        auto const framed = relay::frame_hop(*hop);
        kith::wire::FrameReader reader(2 * relay::message_bytes_max);
        ByteView rest = framed;
        auto const again = reader.next(rest);
        if (!again || !*again) std::abort();
        if ((*again)->size() <= relay::message_bytes_max && !relay::parse_hop(**again))
            std::abort();
    }
    (void)relay::parse_stop(bytes);
    (void)relay::open_voucher(bytes);
    relay::HopRequest request(Instant{});
    relay::StopAnswer answer(Instant{});
    ByteView in = bytes;
    (void)request.feed(in);
    in = bytes;
    (void)answer.feed(in);
}

struct Bench {
    relay::ServerLimits limits{.reservations_max = 2,
                               .reservations_per_ip_max = 2,
                               .circuits_max = 3,
                               .circuits_per_peer_max = 2,
                               .unanswered_per_connection_max = 2,
                               .limited = {.duration_s = 5, .data_bytes = 64}};
    relay::Server server{limits, relay_identity()};
    std::vector<relay::StreamRef> streams;
    std::set<relay::StreamRef> gone;
    std::uint32_t next = 1;
    Instant now{};

    void drive(std::size_t room) {
        while (auto const action = server.poll_action()) {
            if (auto const* one = std::get_if<relay::Transmit>(&*action)) {
                auto const size = std::min(room, server.pending(one->to).size());
                if (size > 0 && gone.contains(one->to)) std::abort();
                if (size > 0) server.sent(one->to, size);
            }
            if (auto const* one = std::get_if<relay::OpenStop>(&*action)) {
                if (room == 3) {
                    server.stop_failed(one->circuit);
                    continue;
                }
                streams.push_back({one->connection, next++});
                server.stop_opened(one->circuit, streams.back());
            }
            if (auto const* one = std::get_if<relay::Reset>(&*action)) {
                gone.insert(one->stream);
                if (server.knows(one->stream)) std::abort();
            }
        }
        if (server.circuits_count() > limits.circuits_max ||
            server.reservations_count() > limits.reservations_max)
            std::abort();
    }
};

void run(ByteView input) {
    Bench bench;
    while (input.size() >= 3) {
        auto const verb = input[0] % 9;
        std::uint8_t const which = input[1];
        std::size_t const size = std::min<std::size_t>(input[2], input.size() - 3);
        auto const bytes = input.subspan(3, size);
        input = input.subspan(3 + size);
        auto const peer = static_cast<std::uint8_t>(2 + which % 3);
        auto const stream = bench.streams.empty() ? relay::StreamRef{}
                                                  : bench.streams[which % bench.streams.size()];
        if (verb == 0) {
            bool const comes_back = (which & 0x20) != 0 && stream.connection >= 2;
            if (!comes_back) bench.streams.push_back({peer, bench.next++});
            auto const opened = comes_back ? stream : bench.streams.back();
            auto const from = static_cast<std::uint8_t>(opened.connection);
            bench.gone.erase(opened);
            bench.server.on_hop_opened(
                opened,
                {.peer = peer_of(from),
                 .ip = "10.0.0.1",
                 .path = relay::Path::direct,
                 .grant = from == 4 ? relay::Grant::limited : relay::Grant::unlimited},
                bench.now);
        }
        if (verb == 1)
            bench.server.on_data(stream, relay::HopRequest::reserve(), bench.now, unix_now);
        if (verb == 2)
            bench.server.on_data(stream, relay::HopRequest::connect(peer_of(peer)), bench.now,
                                 unix_now);
        if (verb == 3)
            bench.server.on_data(stream, relay::StopAnswer::accept(), bench.now, unix_now);
        if (verb == 4) bench.server.on_data(stream, bytes, bench.now, unix_now);
        if (verb == 5) bench.server.on_ended(stream);
        if (verb == 6) bench.server.on_reset(stream);
        if (verb == 7) bench.server.on_connection_down(peer);
        if (verb == 8) {
            bench.now += std::chrono::seconds(size);
            bench.server.on_deadline(bench.now);
        }
        if ((which & 0x80) != 0) bench.server.on_writable(stream);
        bench.drive((which & 0x40) != 0 ? 3 : 1000);
    }
    bench.now += std::chrono::hours(2);
    bench.server.on_deadline(bench.now);
    bench.drive(1000);
    if (bench.server.reservations_count() != 0) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    if (size == 0) return 0;
    ByteView const input(data + 1, size - 1);
    if (data[0] % 2 == 0)
        parse(input);
    else
        run(input);
    return 0;
}
