// What a member does to a whole machine below every protocol of ours: with frames that it did not
// seal, and with yamux frames that no honest muxer sends. Each case stands for the rows of
// docs/protocol/pitfalls.md that name it.
#include "wire_hall.h"

using namespace kith;
using namespace kith::adversary;
using namespace std::chrono_literals;

namespace {

namespace ping = proto::ping;
namespace yamux = proto::yamux;
using yamux::flag_ack;
using yamux::flag_fin;
using yamux::flag_rst;
using yamux::flag_syn;
using yamux::Type;

constexpr std::uint32_t protocol_error = 1;
constexpr std::uint32_t batch_frames = 4096;  // sent in one breath, about 48 KiB

base::Bytes body(std::size_t size) {
    return base::Bytes(size, 0x42);
}

base::Bytes repeated(base::Bytes const& one, std::size_t times) {
    base::Bytes all;
    for (std::size_t i = 0; i < times; ++i) base::append(all, one);
    return all;
}

// The machine ended the link, and said why.
void check_refused(WirePeer const& peer) {
    CHECK(peer.is_closed());
    CHECK(peer.go_away() == protocol_error);
}

}  // namespace

// ---- Noise

TEST_CASE("smoldot#2321: a Noise frame shorter than its tag ends its link and nothing else") {
    WireHall hall;
    for (std::uint8_t size = 0; size < proto::noise::tag_bytes; ++size) {
        auto& peer = hall.link();
        base::Bytes sealed{0, size};
        sealed.resize(2 + std::size_t{size}, 0x42);
        peer.send_as_is(sealed);
        CHECK(peer.is_closed());
    }
    hall.check_unharmed();
}

TEST_CASE("a Noise frame with a wrong tag ends its link, and what stood before it counts") {
    WireHall hall;
    auto& peer = hall.link();
    auto const stream = peer.open(ping::protocol, body(ping::payload_bytes));
    CHECK(peer.heard(stream).bytes.size() > ping::payload_bytes);
    auto sealed = peer.sealed(frame({.type = Type::ping, .flags = flag_syn, .length = 9}));
    sealed.back() ^= 1;
    peer.send_as_is(sealed);
    CHECK(peer.is_closed());
    // A length that is as long as can be, of a body that never comes whole.
    auto& slow = hall.link();
    slow.send_as_is(base::Bytes{0xff, 0xff});
    for (int i = 0; i < 60; ++i) {
        slow.send_as_is(body(1000));
        hall.bench.run_for(1s);
    }
    hall.check_unharmed();
}

// ---- yamux: lengths and credit

TEST_CASE("GHSA-vxx9: a first frame beyond the window ends its link, with its body or without") {
    WireHall hall;
    for (auto const length : {yamux::window_initial + 1, 0x80000000U, 0xffffffffU}) {
        auto& bare = hall.link();
        WireHall::send(bare, {Type::data, flag_syn, 1, length});
        check_refused(bare);
        auto& whole = hall.link();
        WireHall::send(whole, {Type::data, flag_syn, 1, length}, body(yamux::window_initial + 1));
        check_refused(whole);
    }
    hall.check_unharmed();
}

TEST_CASE("rust-yamux#90: a frame beyond what is left of the window ends its link") {
    WireHall hall;
    auto& peer = hall.link();
    // Gossip that names a message of 1 MiB: the machine has to wait for all of it.
    auto const stream = peer.open("/meshsub/1.1.0", base::Bytes{0x80, 0x80, 0x40});
    CHECK_FALSE(peer.is_closed());
    WireHall::send(peer, {Type::data, 0, stream, yamux::window_max + 1}, body(1000));
    check_refused(peer);
    auto& again = hall.link();
    auto const next = again.open(ping::protocol);
    WireHall::send(again, {Type::data, 0, next, yamux::window_initial + 1}, body(1000));
    check_refused(again);
    hall.check_unharmed();
}

TEST_CASE("GHSA-4w32: credit that adds up beyond 2^32 - 1 ends its link") {
    WireHall hall;
    auto& at_once = hall.link();
    auto const stream = at_once.open(ping::protocol);
    WireHall::send(at_once, {Type::window_update, 0, stream, 0xffffffffU});
    check_refused(at_once);
    auto& first = hall.link();
    WireHall::send(first, {Type::window_update, flag_syn, 1, 0xffffffffU});
    check_refused(first);
    auto& piece_by_piece = hall.link();
    auto const slowly = piece_by_piece.open(ping::protocol);
    for (int i = 0; i < 4; ++i)
        WireHall::send(piece_by_piece, {Type::window_update, 0, slowly, 0x40000000U});
    check_refused(piece_by_piece);
    hall.check_unharmed();
}

// ---- yamux: streams

TEST_CASE(
    "data behind the end of a stream ends its link, data for a stream that is gone does not") {
    WireHall hall;
    auto& late = hall.link();
    auto const stream = late.open(ping::protocol);
    WireHall::send(late, {Type::data, flag_rst, stream, 0});
    for (int i = 0; i < 100; ++i) WireHall::send(late, {Type::data, 0, stream, 1000}, body(1000));
    WireHall::send(late, {Type::data, 0, 9999, 1000}, body(1000));  // never opened
    WireHall::send(late, {Type::window_update, flag_fin, 9999, 1000});
    WireHall::send(late, {Type::data, flag_rst, 9998, 0});
    auto const other = late.open(ping::protocol, body(ping::payload_bytes));
    CHECK(late.is_agreed(other, ping::protocol));
    WireHall::send(late, {Type::data, flag_fin, other, 0});
    WireHall::send(late, {Type::data, 0, 9999, yamux::window_max + 1}, body(1000));
    check_refused(late);
    auto& ended = hall.link();
    auto const half = ended.open("/meshsub/1.1.0");
    auto two = frame({Type::data, flag_fin, half, 0});
    base::append(two, frame({Type::data, 0, half, 1000}, body(1000)));
    ended.send(two);
    check_refused(ended);
    hall.check_unharmed();
}

TEST_CASE("an id that is in use, or whose stream has just ended, cannot be opened again") {
    WireHall hall;
    auto& in_use = hall.link();
    auto const stream = in_use.open(ping::protocol);
    WireHall::send(in_use, {Type::window_update, flag_syn, stream, 0});
    check_refused(in_use);
    auto& at_once = hall.link();
    auto three = frame({Type::window_update, flag_syn, 1, 0});
    base::append(three, frame({Type::window_update, flag_rst, 1, 0}));
    base::append(three, frame({Type::window_update, flag_syn, 1, 0}));
    at_once.send(three);
    check_refused(at_once);
    // One that ended long ago is a new stream, and none of the old one's words are in it.
    auto& long_ago = hall.link();
    auto const first = long_ago.open(ping::protocol, body(ping::payload_bytes - 1));
    WireHall::send(long_ago, {Type::window_update, flag_rst, first, 0});
    auto fresh = proposal(ping::protocol);
    base::append(fresh, base::Bytes(1, 0x99));
    WireHall::send(long_ago,
                   {Type::data, flag_syn, first, static_cast<std::uint32_t>(fresh.size())}, fresh);
    CHECK_FALSE(long_ago.is_closed());
    auto const heard = long_ago.heard(first).bytes;
    CHECK(heard.size() == 2 * proposal(ping::protocol).size());  // agreed twice, nothing echoed
    hall.check_unharmed();
}

TEST_CASE("a stream of the machine's parity, of number 0 or of another version ends its link") {
    WireHall hall;
    for (auto const& header :
         {yamux::Header{Type::window_update, flag_syn, 2, 0},
          yamux::Header{Type::data, flag_syn, 0xfffffffeU, 0},
          yamux::Header{Type::data, flag_syn, 0, 0}, yamux::Header{Type::ping, flag_syn, 1, 0}}) {
        auto& peer = hall.link();
        WireHall::send(peer, header);
        check_refused(peer);
    }
    for (auto const& junk : {base::Bytes(12, 0xff), base::Bytes{1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0},
                             base::Bytes{0, 9, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0}}) {
        auto& peer = hall.link();
        peer.send(junk);
        check_refused(peer);
    }
    // The machine's own streams: the next it would open, and one it has.
    auto& peer = hall.link();
    WireHall::send(peer, {Type::window_update, flag_ack | flag_fin | flag_rst, 2, 0xffffffffU});
    WireHall::send(peer, {Type::window_update, flag_ack, 4, 0});
    WireHall::send(peer, {Type::window_update, flag_ack, 4, 0});
    WireHall::send(peer, {Type::data, flag_fin, 4, 0});
    CHECK_FALSE(peer.is_closed());
    hall.check_unharmed();
}

// ---- floods of a peer that does not read

TEST_CASE("CVE-2024-32984: pings of a member that never reads end its link, not the memory") {
    WireHall hall;
    auto& peer = hall.link();
    peer.stop_reading();
    auto const links = hall.bench.network.connections_count(hall.op.address);
    auto const pings = repeated(frame({Type::ping, flag_syn, 0, 7}), batch_frames);
    for (int i = 0; i < 100; ++i) peer.send(pings);
    CHECK(hall.bench.network.connections_count(hall.op.address) == links - 1);
    hall.check_unharmed();
}

TEST_CASE("CVE-2024-32984: resets for a member that never reads, and its own, queue up nowhere") {
    WireHall hall;
    auto& peer = hall.link();
    peer.stop_reading();
    for (std::uint32_t batch = 0; batch < 20; ++batch) {
        base::Bytes frames;
        for (std::uint32_t i = 0; i < batch_frames / 2; ++i) {
            auto const id = 2 * (batch * batch_frames / 2 + i) + 1;
            base::append(frames, frame({Type::window_update, flag_syn, id, 0}));
            base::append(frames, frame({Type::window_update, flag_rst, id, 0}));
        }
        peer.send(frames);
    }
    hall.check_unharmed();
    // The other way round: the machine has to reset, as nobody may open such a stream.
    auto& refused = hall.link();
    refused.stop_reading();
    for (std::uint32_t i = 0; i < 3 * yamux::streams_inbound_max; ++i)
        refused.open("/no/such/protocol", body(1000));
    hall.check_unharmed();
}

TEST_CASE(
    "CVE-2022-23486: a member's many streams and small frames stay within its link's limits") {
    WireHall hall;
    auto& peer = hall.link();
    auto const half = base::to_bytes(base::ByteView(proposal(ping::protocol)).first(5));
    for (std::uint32_t i = 0; i < 4 * yamux::streams_inbound_max; ++i)
        WireHall::send(peer, {Type::data, flag_syn, 2 * i + 1, 5}, half);
    CHECK_FALSE(peer.is_closed());  // one too many is refused, and the others are waited for
    CHECK(peer.heard(2 * yamux::streams_inbound_max + 1).is_reset);
    auto& dribble = hall.link();
    auto const stream = dribble.open("/meshsub/1.1.0", base::Bytes{0x80, 0x80, 0x40});
    auto const bytes = repeated(frame({Type::data, 0, stream, 1}, body(1)), batch_frames);
    for (int i = 0; i < 40; ++i) dribble.send(bytes);
    hall.check_unharmed();
    hall.bench.run_for(15s);  // what was not agreed is reset
    CHECK(peer.heard(1).is_reset);
    hall.check_unharmed();
}

TEST_CASE("rust-libp2p#5410: bulk both ways with a member that never reads stops and ends") {
    WireHall hall;
    auto& closed = hall.link();  // reads, but opens no window
    closed.gives_credit = false;
    auto& deaf = hall.link();  // reads nothing at all
    std::vector<std::pair<WirePeer*, std::uint32_t>> bulk;
    for (auto* peer : {&closed, &deaf})
        for (std::size_t i = 0; i < ping::inbound_streams_max; ++i)
            bulk.emplace_back(peer, peer->open(ping::protocol));
    deaf.stop_reading();
    auto const links = hall.bench.network.connections_count(hall.op.address);
    for (int i = 0; i < 400; ++i)  // 400 KiB on each, in pieces that are echoed
        for (auto const& [peer, stream] : bulk) peer->write(stream, body(1024));
    CHECK(closed.heard(bulk.front().second).bytes.size() > yamux::window_initial / 2);
    for (int i = 0; i < 40; ++i) {
        hall.bench.run_for(1s);
        CHECK(hall.op.node->is_ready(hall.ada.identity.node_id()));
    }
    hall.bench.run_for(180s);  // a line on which nothing gets through is given up
    CHECK(hall.bench.network.connections_count(hall.op.address) < links);
    hall.check_unharmed();
}

TEST_CASE("junk on any protocol of members, as much as fits, harms its own link at most") {
    WireHall hall;
    auto protocols = node::member_protocols({});
    protocols.emplace_back(node::protocol_join);
    for (auto const& protocol : protocols) {
        for (auto const fill : {0x00, 0x42, 0xff}) {
            auto& peer = hall.link();
            base::Bytes const junk(16 * 1024, static_cast<std::uint8_t>(fill));
            auto const stream = peer.open(protocol);
            // A circuit that no relay of ours announces is reset in the same breath.
            CHECK((peer.is_agreed(stream, protocol) || peer.heard(stream).is_reset));
            for (int i = 0; i < 40; ++i) peer.write(stream, junk);
            peer.close();
        }
        hall.check_unharmed();
    }
}

// ---- the end at any moment

TEST_CASE("cpp-libp2p#301: a member may hang up in the middle of any word of its link") {
    WireHall hall;
    auto words = frame({Type::ping, flag_syn, 0, 7});
    auto const said = proposal(ping::protocol);
    base::append(words,
                 frame({Type::data, flag_syn, 1, static_cast<std::uint32_t>(said.size())}, said));
    base::append(words, frame({Type::data, 0, 1, ping::payload_bytes}, body(ping::payload_bytes)));
    base::append(words, frame({Type::data, flag_fin, 1, 0}));
    for (std::size_t end = 0; end <= words.size(); ++end)
        hall.link().close_behind(base::ByteView(words).first(end));
    // Nor do Noise frames come whole.
    for (std::size_t end = 1; end < 40; end += 3) {
        auto& peer = hall.link();
        peer.send_as_is(base::ByteView(peer.sealed(words)).first(end));
        peer.close();
    }
    hall.bench.run_for(1s);
    hall.check_unharmed();
}
