#include "node/link/link.h"

#include <algorithm>
#include <deque>
#include <map>
#include <set>

#include "base/check.h"
#include "base/sabotage.h"
#include "proto/multistream/negotiation.h"

namespace kith::node {

namespace multistream = proto::multistream;
namespace noise = proto::noise;
namespace yamux = proto::yamux;

using base::Bytes;
using base::ByteView;
using base::Code;
using base::fail;
using base::Instant;
using base::Result;
using base::Status;

namespace {

using Negotiator = std::variant<multistream::Dialer, multistream::Listener>;

Negotiator negotiator(LinkRole role, std::string_view protocol) {
    if (role == LinkRole::dialer) return multistream::Dialer({std::string(protocol)});
    return multistream::Listener();
}

Result<multistream::Progress> feed_negotiator(Negotiator& side, ByteView& in,
                                              multistream::Accepts const& accepts) {
    if (auto* const dialer = std::get_if<multistream::Dialer>(&side)) return dialer->feed(in);
    return std::get<multistream::Listener>(side).feed(in, accepts);
}

bool transmit_negotiator(Negotiator& side, Bytes& out) {
    return std::visit([&out](auto& one) { return one.poll_transmit(out); }, side);
}

// There is no plaintext mode: on the way up one protocol is accepted, and it is Noise.
bool accepts_security(std::string_view protocol) {
    return KITH_GUARD("P31.noise_only", protocol == noise::libp2p_protocol);
}

bool accepts_muxer(std::string_view protocol) {
    return protocol == yamux::protocol;
}

void release(Bytes& idle) {
    if (idle.capacity() > idle_buffer_max) idle = Bytes();  // not {}: that keeps the capacity
}

noise::HandshakeOptions handshake_options(LinkOptions const& options) {
    bool const announces = options.early_muxer == EarlyMuxer::announce;
    return {
        .role = options.role == LinkRole::dialer ? noise::Role::initiator : noise::Role::responder,
        .muxers =
            announces ? std::vector{std::string(yamux::protocol)} : std::vector<std::string>{},
        .expected_peer = options.expected_peer};
}

}  // namespace

struct Link::Impl {
    enum class Phase { securing, handshake, muxing, up, failed };

    // A stream whose protocol is not agreed yet; once it is, the entry is gone.
    struct Negotiation {
        Negotiator side;
        Direction direction;
        Instant deadline;
    };
    using Negotiations = std::map<StreamId, Negotiation>;

    Impl(LinkOptions options_in, noise::Credentials const& credentials,
         noise::PrivateKey const& ephemeral_key, Instant now)
        : options(std::move(options_in)),
          up_deadline(now + options.handshake_timeout),
          negotiating(negotiator(options.role, noise::libp2p_protocol)),
          handshake(handshake_options(options), credentials, ephemeral_key) {
        KITH_ASSERT(options.accepted_protocols.size() <= accepted_protocols_max);
    }

    Status feed(ByteView in, Instant now);
    Status feed_clear(ByteView& in, Instant now);
    Status feed_sealed(ByteView in, Instant now);
    void finish_handshake(Instant now);
    void start_session(Instant now);
    void drain_session(Instant now);
    void on_event(yamux::StreamOpened const& event, Instant now);
    void on_event(yamux::StreamData&& event, Instant now);
    void on_event(yamux::StreamEnded const& event, Instant now);
    void on_event(yamux::StreamReset&& event, Instant now);
    void on_event(yamux::StreamWritable const& event, Instant now);
    void negotiate(Negotiations::iterator stream, Bytes&& bytes);
    void abandon(Negotiations::iterator stream, base::Error reason);
    void add_negotiation(StreamId id, Negotiation negotiation);
    void erase_negotiation(Negotiations::iterator stream);
    void flush(StreamId id, Negotiator& side);

    LinkOptions options;
    Phase phase = Phase::securing;
    Instant up_deadline;
    Negotiator negotiating;  // of the connection: security first, then the muxer
    noise::Libp2pHandshake handshake;
    std::optional<identity::PeerId> peer;
    noise::PublicKey peer_static{};  // with `peer`
    std::optional<noise::Channel> channel;
    noise::FrameOpener opener;
    Bytes clear_out;  // the end of the handshake, sent before anything sealed
    std::optional<yamux::Session> session;
    Negotiations streams;
    std::set<std::pair<Instant, StreamId>> stream_deadlines;  // of `streams`
    std::optional<base::Error> failure;  // found where no Status could say it; on_deadline does
    std::deque<LinkEvent> events;
    Bytes plaintext_in, plaintext_out;  // scratch, kept while there is more to come
};

Status Link::Impl::feed(ByteView in, Instant now) {
    if (phase != Phase::up && phase != Phase::muxing) KITH_TRY(feed_clear(in, now));
    if (in.empty()) return {};
    return feed_sealed(in, now);
}

// Bytes up to the end of the Noise handshake; what follows is left in `in`.
Status Link::Impl::feed_clear(ByteView& in, Instant now) {
    if (phase == Phase::securing) {
        auto const progress = KITH_TRY(feed_negotiator(negotiating, in, accepts_security));
        if (progress == multistream::Progress::more) return {};
        phase = Phase::handshake;
    }
    KITH_TRY(handshake.feed(in));
    if (handshake.is_finished()) finish_handshake(now);
    return {};
}

Status Link::Impl::feed_sealed(ByteView in, Instant now) {
    plaintext_in.clear();
    plaintext_in.reserve(in.size());
    auto opened = opener.feed(channel->receive, in, plaintext_in);
    ByteView rest = plaintext_in;
    if (phase == Phase::muxing) {
        auto const progress = KITH_TRY(feed_negotiator(negotiating, rest, accepts_muxer));
        if (progress == multistream::Progress::finished) start_session(now);
    }
    if (phase == Phase::up) {
        auto const fed = session->feed(rest, now);
        drain_session(now);
        KITH_TRY(fed);
    }
    release(plaintext_in);
    return opened;  // what came before a bad frame was genuine and has been handled
}

void Link::Impl::finish_handshake(Instant now) {
    transmit_negotiator(negotiating, clear_out);
    handshake.poll_transmit(clear_out);
    auto outcome = handshake.take_outcome();
    peer = outcome.peer;
    peer_static = outcome.peer_static;
    channel.emplace(std::move(outcome.channel));
    if (outcome.muxer) return start_session(now);
    phase = Phase::muxing;
    negotiating = negotiator(options.role, yamux::protocol);
}

void Link::Impl::start_session(Instant now) {
    phase = Phase::up;
    session.emplace(options.role == LinkRole::dialer ? yamux::Role::dialer : yamux::Role::listener,
                    now);
    events.push_back(LinkUp{AuthenticatedPeer(*peer, channel->handshake_hash, peer_static)});
}

void Link::Impl::drain_session(Instant now) {
    while (auto event = session->poll_event())
        std::visit([this, now](auto&& one) { on_event(std::forward<decltype(one)>(one), now); },
                   std::move(*event));
}

void Link::Impl::on_event(yamux::StreamOpened const& event, Instant now) {
    add_negotiation(event.id, {.side = multistream::Listener(),
                               .direction = Direction::inbound,
                               .deadline = now + options.stream_timeout});
}

void Link::Impl::on_event(yamux::StreamData&& event, Instant) {
    auto const stream = streams.find(event.id);
    if (stream != streams.end()) return negotiate(stream, std::move(event.bytes));
    events.push_back(StreamData{event.id, std::move(event.bytes)});
}

void Link::Impl::on_event(yamux::StreamEnded const& event, Instant) {
    auto const stream = streams.find(event.id);
    if (stream == streams.end()) return events.push_back(StreamEnded{event.id});
    abandon(stream, {.code = Code::unavailable,
                     .message = "the peer closed the stream before agreeing on it"});
}

void Link::Impl::on_event(yamux::StreamReset&& event, Instant) {
    auto const stream = streams.find(event.id);
    if (stream != streams.end()) return abandon(stream, std::move(event.reason));
    events.push_back(StreamReset{event.id, std::move(event.reason)});
}

void Link::Impl::on_event(yamux::StreamWritable const& event, Instant) {
    events.push_back(StreamWritable{event.id});
}

void Link::Impl::add_negotiation(StreamId id, Negotiation negotiation) {
    KITH_ASSERT(!streams.contains(id));  // an id comes back only behind the reset that erased it
    stream_deadlines.emplace(negotiation.deadline, id);
    auto const stream = streams.insert_or_assign(id, std::move(negotiation)).first;
    flush(id, stream->second.side);
}

void Link::Impl::erase_negotiation(Negotiations::iterator stream) {
    stream_deadlines.erase({stream->second.deadline, stream->first});
    streams.erase(stream);
}

void Link::Impl::flush(StreamId id, Negotiator& side) {
    Bytes out;
    if (transmit_negotiator(side, out)) session->write(id, out);
}

void Link::Impl::negotiate(Negotiations::iterator stream, Bytes&& bytes) {
    auto const id = stream->first;
    auto& negotiation = stream->second;
    ByteView rest = bytes;
    auto const progress =
        feed_negotiator(negotiation.side, rest, [this](std::string_view protocol) {
            bool const is_accepted = std::ranges::find(options.accepted_protocols, protocol) !=
                                     options.accepted_protocols.end();
            return KITH_GUARD("P31.accepted_protocols", is_accepted);
        });
    if (!progress) return abandon(stream, progress.error());
    session->consumed(id, bytes.size() - rest.size());
    flush(id, negotiation.side);
    if (*progress == multistream::Progress::more) return;
    auto protocol = std::visit([](auto const& side) { return side.protocol(); }, negotiation.side);
    events.push_back(StreamOpened{id, std::move(protocol), negotiation.direction});
    erase_negotiation(stream);
    if (!rest.empty()) events.push_back(StreamData{id, base::to_bytes(rest)});
}

// Only the opener of a stream hears that it came to nothing.
void Link::Impl::abandon(Negotiations::iterator stream, base::Error reason) {
    auto const id = stream->first;
    if (stream->second.direction == Direction::outbound)
        events.push_back(StreamReset{id, std::move(reason)});
    erase_negotiation(stream);
    session->reset(id);
}

Link::Link(LinkOptions options, noise::Credentials const& credentials,
           noise::PrivateKey const& ephemeral_key, Instant now)
    : impl_(std::make_unique<Impl>(std::move(options), credentials, ephemeral_key, now)) {}
Link::~Link() = default;
Link::Link(Link&&) noexcept = default;
Link& Link::operator=(Link&&) noexcept = default;

Link::Impl& Link::changing() {
    deadline_is_known_ = false;
    return *impl_;
}

Status Link::feed(ByteView bytes, Instant now) {
    auto& self = changing();
    if (self.phase == Impl::Phase::failed)
        return fail(Code::conflict, "the link has failed before");
    auto status = self.feed(bytes, now);
    if (!status) self.phase = Impl::Phase::failed;
    return status;
}

Status Link::on_deadline(Instant now) {
    auto& self = changing();
    if (self.phase == Impl::Phase::failed)
        return fail(Code::conflict, "the link has failed before");
    auto const give_up = [&self](Code code, std::string sentence) {
        self.phase = Impl::Phase::failed;
        return fail(code, std::move(sentence));
    };
    if (self.failure) return give_up(self.failure->code, self.failure->message);
    if (self.phase != Impl::Phase::up) {
        if (KITH_GUARD("M16.budget", now < self.up_deadline)) return {};
        return give_up(Code::timeout, "the handshake took too long");
    }
    while (!self.stream_deadlines.empty() && self.stream_deadlines.begin()->first <= now)
        self.abandon(
            self.streams.find(self.stream_deadlines.begin()->second),
            {.code = Code::timeout, .message = "the peer did not agree on a protocol in time"});
    self.session->on_deadline(now);
    if (self.session->is_silent())
        return give_up(Code::timeout, "the peer does not answer any more");
    return {};
}

std::optional<Instant> Link::deadline() const {
    if (!deadline_is_known_) deadline_ = compute_deadline();
    deadline_is_known_ = true;
    return deadline_;
}

std::optional<Instant> Link::compute_deadline() const {
    auto const& self = *impl_;
    if (self.phase == Impl::Phase::failed) return std::nullopt;
    if (self.failure) return Instant::min();
    if (self.phase != Impl::Phase::up) return self.up_deadline;
    auto due = self.session->deadline();
    if (!self.stream_deadlines.empty()) {
        auto const first = self.stream_deadlines.begin()->first;
        due = due ? std::min(*due, first) : first;
    }
    return due;
}

bool Link::poll_transmit(Bytes& out, Instant now) {
    auto& self = changing();
    auto const start = out.size();
    if (!self.channel) {
        transmit_negotiator(self.negotiating, out);
        // The dialer's first Noise message travels behind its proposal, without waiting for the
        // echo.
        if (self.phase == Impl::Phase::handshake || self.options.role == LinkRole::dialer)
            self.handshake.poll_transmit(out);
        return out.size() > start;
    }
    base::append(out, std::exchange(self.clear_out, {}));
    self.plaintext_out.clear();
    transmit_negotiator(self.negotiating, self.plaintext_out);
    if (self.session) {
        self.session->poll_transmit(self.plaintext_out, now);
        self.drain_session(now);
    }
    auto const sealed = noise::seal_frames(self.channel->send, self.plaintext_out, out);
    if (!sealed) self.failure = sealed.error();
    if (out.size() == start) release(self.plaintext_out);
    return out.size() > start;
}

std::optional<LinkEvent> Link::poll_event() {
    if (impl_->events.empty()) return std::nullopt;
    auto event = std::move(impl_->events.front());
    impl_->events.pop_front();
    return event;
}

std::size_t Link::buffer_bytes() const {
    auto const& self = *impl_;
    return self.plaintext_in.capacity() + self.plaintext_out.capacity() +
           self.clear_out.capacity() + self.opener.buffer_bytes() +
           (self.session ? self.session->buffer_bytes() : 0);
}

bool Link::is_up() const {
    return impl_->phase == Impl::Phase::up;
}

std::optional<base::Duration> Link::round_trip() const {
    return impl_->session ? impl_->session->round_trip() : std::nullopt;
}

void Link::set_accepted_protocols(std::vector<std::string> protocols) {
    KITH_ASSERT(protocols.size() <= accepted_protocols_max);
    changing().options.accepted_protocols = std::move(protocols);
}

Result<StreamId> Link::open_stream(std::string protocol, Instant now) {
    if (!is_up()) return fail(Code::conflict, "the link is not up");
    auto& self = changing();
    auto const id = KITH_TRY(self.session->open());
    self.add_negotiation(id, {.side = multistream::Dialer({std::move(protocol)}),
                              .direction = Direction::outbound,
                              .deadline = now + self.options.stream_timeout});
    return id;
}

std::size_t Link::write(StreamId id, ByteView bytes) {
    if (!is_up()) return 0;
    auto& self = changing();
    auto const stream = self.streams.find(id);
    if (stream != self.streams.end() && stream->second.direction == Direction::inbound) return 0;
    return self.session->write(id, bytes);
}

void Link::close_write(StreamId id) {
    if (is_up()) changing().session->close_write(id);
}

void Link::reset(StreamId id) {
    if (!is_up()) return;
    auto& self = changing();
    auto const stream = self.streams.find(id);
    if (stream != self.streams.end()) self.erase_negotiation(stream);
    self.session->reset(id);
}

void Link::consumed(StreamId id, std::size_t size) {
    if (is_up()) changing().session->consumed(id, size);
}

}  // namespace kith::node
