#include "wire_hostile.h"

#include <doctest/doctest.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
// sanitizer/allocator_interface.h, which GCC of Debian does not ship.
extern "C" std::size_t
__sanitizer_get_current_allocated_bytes();  // NOLINT(bugprone-reserved-identifier)
#else
#include <malloc.h>
#endif

#include <algorithm>

#include "proto/yamux/session.h"
#include "wire/frame.h"

namespace kith::adversary {

namespace noise = proto::noise;
namespace yamux = proto::yamux;

namespace {

constexpr std::size_t heard_bytes_max = 1024 * 1024;  // of a stream; the rest is not kept
constexpr std::size_t transmit_bytes_max = 64 * 1024;
constexpr std::size_t proposal_bytes_max = 1024;

noise::PrivateKey draw_key(SeededRng& rng) {
    noise::PrivateKey key;
    REQUIRE(rng.fill(key.mutable_view()).has_value());
    return key;
}

noise::Credentials make_credentials(identity::Identity const& identity, SeededRng& rng) {
    auto static_key = draw_key(rng);
    auto const to_sign = noise::Credentials::to_sign(crypto::x25519_public_key(static_key));
    return {std::move(static_key), identity.peer_id(), identity.sign_operational(to_sign)};
}

}  // namespace

std::size_t heap_bytes() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return __sanitizer_get_current_allocated_bytes();
#else
    auto const info = ::mallinfo2();
    return info.uordblks + info.hblkhd;
#endif
}

base::Bytes frame(yamux::Header const& header, base::ByteView body) {
    base::Bytes bytes;
    yamux::append_header(bytes, header);
    base::append(bytes, body);
    return bytes;
}

base::Bytes proposal(std::string_view protocol) {
    base::Bytes bytes;
    auto const line = [&bytes](std::string_view text) {
        wire::append_frame(bytes, base::as_bytes(std::string(text) + "\n"));
    };
    line(proto::multistream::header_text);
    line(protocol);
    return bytes;
}

WirePeer::WirePeer(SwarmBench& bench, identity::Identity const& identity, std::uint64_t seed)
    : address(bench.next_address()),
      bench_(bench),
      rng_(seed),
      credentials_(make_credentials(identity, rng_)),
      handshake_({.role = noise::Role::initiator,
                  .muxers = {std::string(yamux::protocol)},
                  .expected_peer = std::nullopt},
                 credentials_, draw_key(rng_)),
      security_({std::string(noise::libp2p_protocol)}) {
    bench_.network.attach(address, *this,
                          [this] { heap_peak = std::max(heap_peak, heap_bytes()); });
}

WirePeer::~WirePeer() {
    bench_.network.detach(address, bench_.clock.now());
}

void WirePeer::connect(Machine& to) {
    to_ = to.address;
    outputs_.emplace_back(ports::Dial{.id = id_, .to = to_});
    move();
}

void WirePeer::move() {
    bench_.network.touch(address);
    bench_.settle();
}

void WirePeer::queue(base::ByteView plaintext) {
    if (!is_up()) return;
    REQUIRE(noise::seal_frames(channel_->send, plaintext, out_).has_value());
    outputs_.emplace_back(ports::Transmit{id_});
}

void WirePeer::send(base::ByteView plaintext) {
    queue(plaintext);
    move();
}

base::Bytes WirePeer::sealed(base::ByteView plaintext) {
    base::Bytes bytes;
    REQUIRE(channel_.has_value());
    REQUIRE(noise::seal_frames(channel_->send, plaintext, bytes).has_value());
    return bytes;
}

void WirePeer::send_as_is(base::ByteView bytes) {
    if (is_closed_) return;
    base::append(out_, bytes);
    outputs_.emplace_back(ports::Transmit{id_});
    move();
}

void WirePeer::close() {
    close_behind({});
}

void WirePeer::close_behind(base::ByteView plaintext) {
    if (is_closed_) return;
    if (!plaintext.empty()) queue(plaintext);
    outputs_.emplace_back(ports::Close{id_});
    is_closed_ = true;
    move();
}

void WirePeer::stop_reading() {
    bench_.network.cut(to_, address);
}

std::uint32_t WirePeer::open(std::string_view protocol, base::ByteView bytes) {
    auto const stream = next_stream_;
    next_stream_ += 2;
    streams_[stream].credit = yamux::window_initial;
    auto first = proposal(protocol);
    base::append(first, bytes.first(std::min(bytes.size(), yamux::window_initial - first.size())));
    streams_[stream].credit -= static_cast<std::uint32_t>(first.size());
    send(frame({.type = yamux::Type::data,
                .flags = yamux::flag_syn,
                .stream = stream,
                .length = static_cast<std::uint32_t>(first.size())},
               first));
    return stream;
}

void WirePeer::write(std::uint32_t stream, base::ByteView bytes) {
    auto& credit = streams_[stream].credit;
    auto const size = static_cast<std::uint32_t>(std::min<std::size_t>(bytes.size(), credit));
    credit -= size;
    send(frame({.type = yamux::Type::data, .flags = 0, .stream = stream, .length = size},
               bytes.first(size)));
}

WirePeer::Heard WirePeer::heard(std::uint32_t stream) const {
    auto const found = streams_.find(stream);
    return found == streams_.end() ? Heard{} : found->second;
}

bool WirePeer::is_agreed(std::uint32_t stream, std::string_view protocol) const {
    auto const echo = proposal(protocol);
    return std::ranges::equal(base::ByteView(heard(stream).bytes)
                                  .first(std::min(echo.size(), heard(stream).bytes.size())),
                              echo);
}

// ---- what the network says

void WirePeer::on_connected(ports::ConnectionId, base::Instant) {
    security_.poll_transmit(out_);
    handshake_.poll_transmit(out_);
    outputs_.emplace_back(ports::Transmit{id_});
}

void WirePeer::on_closed(ports::ConnectionId, base::Error, base::Instant) {
    is_closed_ = true;
}

void WirePeer::on_bytes(ports::ConnectionId, base::ByteView bytes, base::Instant) {
    if (channel_) return hear(bytes);
    shake_hands(bytes);
}

void WirePeer::shake_hands(base::ByteView bytes) {
    if (!is_secured_) {
        auto const progress = security_.feed(bytes);
        REQUIRE(progress.has_value());
        if (*progress == proto::multistream::Progress::more) return;
        is_secured_ = true;
    }
    REQUIRE(handshake_.feed(bytes).has_value());
    if (handshake_.poll_transmit(out_)) outputs_.emplace_back(ports::Transmit{id_});
    if (!handshake_.is_finished()) return;
    auto outcome = handshake_.take_outcome();
    REQUIRE(outcome.muxer == yamux::protocol);
    channel_.emplace(std::move(outcome.channel));
    if (!bytes.empty()) hear(bytes);
}

void WirePeer::hear(base::ByteView sealed) {
    REQUIRE(opener_.feed(channel_->receive, sealed, plaintext_).has_value());
    base::ByteView rest = plaintext_;
    while (rest.size() >= yamux::header_bytes && !is_closed_) {
        base::ByteArray<yamux::header_bytes> head;
        std::ranges::copy(rest.first(head.size()), head.begin());
        auto const header = yamux::parse_header(head);
        REQUIRE(header.has_value());
        auto const body = header->type == yamux::Type::data ? header->length : 0;
        if (rest.size() < head.size() + body) break;
        on_frame(*header, rest.subspan(head.size(), body));
        rest = rest.subspan(head.size() + body);
    }
    plaintext_ = base::to_bytes(rest);
}

void WirePeer::on_frame(yamux::Header const& header, base::ByteView body) {
    if (header.type == yamux::Type::go_away) go_away_ = header.length;
    if (header.type == yamux::Type::ping && header.has(yamux::flag_syn))
        queue(
            frame({.type = yamux::Type::ping, .flags = yamux::flag_ack, .length = header.length}));
    if (header.stream == 0) return;
    auto& stream = streams_[header.stream];
    if (header.has(yamux::flag_rst)) stream.is_reset = true;
    if (header.has(yamux::flag_fin)) stream.is_ended = true;
    if (header.type == yamux::Type::window_update) {
        if (!header.has(yamux::flag_rst)) stream.credit += header.length;
        return;
    }
    if (stream.bytes.size() + body.size() <= heard_bytes_max) base::append(stream.bytes, body);
    bool const is_theirs = header.stream % 2 == 0;
    if (is_theirs && answer) answer_stream(header.stream);
    if (!body.empty() && gives_credit)
        queue(frame({.type = yamux::Type::window_update,
                     .flags = 0,
                     .stream = header.stream,
                     .length = header.length}));
}

// Once its proposal is here: it is echoed, and what the test wants stands behind it.
void WirePeer::answer_stream(std::uint32_t stream) {
    wire::FrameReader reader(proposal_bytes_max);
    base::ByteView rest = streams_[stream].bytes;
    auto const head = reader.next(rest);
    auto const line = head && *head ? reader.next(rest) : head;
    if (!line || !*line || rest.size() == streams_[stream].bytes.size()) return;
    asked_of_us.push_back(base::to_text(base::ByteView(**line).first((*line)->size() - 1)));
    if (hangs_up_at && asked_of_us.size() > *hangs_up_at) {
        is_closed_ = true;
        outputs_.emplace_back(ports::Close{id_});
        return;
    }
    auto said = proposal(asked_of_us.back());
    base::append(said, *answer);
    streams_[stream].bytes.clear();
    queue(frame({.type = yamux::Type::data,
                 .flags = yamux::flag_ack,
                 .stream = stream,
                 .length = static_cast<std::uint32_t>(said.size())},
                said));
}

bool WirePeer::poll_transmit(ports::ConnectionId, base::Bytes& out, base::Instant) {
    auto const size = std::min(out_.size(), transmit_bytes_max);
    base::append(out, base::ByteView(out_).first(size));
    out_.erase(out_.begin(), out_.begin() + static_cast<std::ptrdiff_t>(size));
    return size > 0;
}

std::optional<ports::NetworkOutput> WirePeer::poll_output() {
    if (outputs_.empty()) return std::nullopt;
    auto output = std::move(outputs_.front());
    outputs_.pop_front();
    return output;
}

}  // namespace kith::adversary
