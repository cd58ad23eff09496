#include "proto/yamux/session.h"

#include <algorithm>
#include <limits>

#include "base/check.h"

namespace kith::proto::yamux {

using base::ByteView;
using base::Code;
using base::fail;
using base::Instant;
using base::Result;
using base::Status;

namespace {

constexpr std::uint32_t credit_max = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint32_t stream_id_max = std::numeric_limits<std::uint32_t>::max() - 2;
constexpr std::size_t data_event_bytes_max = 256 * 1024;  // adjacent parts are joined up to here

}  // namespace

Session::Session(Role role, Instant now)
    : role_(role), next_id_(role == Role::dialer ? 1 : 2), heard_at_(now) {
    send_ping(now);  // the first round trip time, which window tuning needs
}

bool Session::Stream::has_frame() const {
    bool const sendable = unsent() > 0 ? send_credit > 0 : send_half == Half::closing;
    return flags_pending != 0 || update_pending || sendable;
}

bool Session::is_ours(StreamId id) const {
    bool const odd = (static_cast<std::uint32_t>(id) & 1) != 0;
    return odd == (role_ == Role::dialer);
}

std::size_t& Session::count_of(StreamId id) {
    return is_ours(id) ? outbound_count_ : inbound_count_;
}

Status Session::feed(ByteView in, Instant now) {
    if (failed_) return fail(Code::conflict, "the session has failed before");
    heard_at_ = now;
    while (!in.empty()) {
        if (body_left_ > 0) {
            auto const part = in.first(std::min<std::size_t>(body_left_, in.size()));
            in = in.subspan(part.size());
            KITH_TRY(on_body(part));
            body_left_ -= static_cast<std::uint32_t>(part.size());
            if (body_left_ == 0) finish_body();
            continue;
        }
        std::size_t const wanted = std::min(header_bytes - header_size_, in.size());
        std::copy_n(in.begin(), wanted,
                    header_.begin() + static_cast<std::ptrdiff_t>(header_size_));
        in = in.subspan(wanted);
        header_size_ += wanted;
        if (header_size_ < header_bytes) return {};
        header_size_ = 0;
        auto const header = parse_header(header_);
        if (!header) return refuse(header.error().message);
        KITH_TRY(on_header(*header, now));
    }
    return {};
}

Status Session::on_header(Header const& header, Instant now) {
    switch (header.type) {
        case Type::ping:
            return on_ping(header, now);
        case Type::go_away:
            // js and go end the whole session on any code, so nobody uses it as a graceful drain.
            failed_ = true;
            return fail(Code::unavailable, "the peer ended the session");
        case Type::data:
        case Type::window_update:
            return on_stream_header(header);
    }
    return refuse("yamux frame of unknown type");
}

Status Session::on_ping(Header const& header, Instant now) {
    if (header.stream != 0) return refuse("ping on a stream");
    if (header.has(flag_syn)) {
        if (++pongs_count_ > pongs_max) return refuse("too many pings");
        return queue_control({.type = Type::ping, .flags = flag_ack, .length = header.length});
    }
    if (ping_sent_at_ && header.length == ping_value_) {
        round_trip_ = now - *ping_sent_at_;
        ping_sent_at_.reset();
    }
    return {};
}

Status Session::on_stream_header(Header const& header) {
    if (header.stream == 0) return refuse("stream frame for stream 0");
    if (header.has(flag_syn)) KITH_TRY(on_syn(header));
    auto const stream = streams_.find(StreamId{header.stream});
    if (stream != streams_.end()) {
        if (header.has(flag_ack) && !stream->second.acknowledged) {
            stream->second.acknowledged = true;
            --unacknowledged_count_;
        }
        if (header.has(flag_rst)) {
            // Any length is an error code now (new go-yamux), never credit.
            events_.push_back(StreamReset{
                stream->first, {.code = Code::cancelled, .message = "reset by the peer"}});
            remove(stream);
        } else if (header.type == Type::window_update) {
            KITH_TRY(on_credit(stream, header.length));
        }
    }
    if (header.type == Type::data) return begin_body(header);
    body_header_ = header;
    finish_body();
    return {};
}

Status Session::on_syn(Header const& header) {
    StreamId const id{header.stream};
    if (is_ours(id)) return refuse("peer opened a stream with our parity");
    if (streams_.contains(id)) return refuse("peer opened a stream twice");
    // The owner would take what is left of the old stream for the new one's.
    if (ended_unseen_.contains(id) || resets_.contains(id))
        return refuse("peer opened a stream with the id of another");
    // Before anything is created: the first body must already fit (GHSA-vxx9-2994-q338).
    if (header.type == Type::data && header.length > window_initial)
        return refuse("data beyond the window");
    if (inbound_count_ == streams_inbound_max)
        return queue_control(
            {.type = Type::window_update, .flags = flag_rst, .stream = header.stream});
    ++inbound_count_;
    windows_total_ += window_initial;
    auto const stream = streams_.try_emplace(id).first;
    stream->second.acknowledged = true;
    stream->second.flags_pending = flag_ack;
    events_.push_back(StreamOpened{id});
    schedule(stream);
    return {};
}

Status Session::on_credit(Streams::iterator stream, std::uint32_t credit) {
    auto& state = stream->second;
    if (credit > credit_max - state.send_credit) return refuse("window overflow");
    state.send_credit += credit;
    schedule(stream);
    return {};
}

Status Session::begin_body(Header const& header) {
    auto const stream = streams_.find(StreamId{header.stream});
    if (stream == streams_.end()) {
        // A stream that we reset may have a window full of data under way; it is drained and
        // ignored.
        if (header.length > window_max) return refuse("data beyond the window");
    } else {
        auto const& state = stream->second;
        if (header.length > state.receive_credit) return refuse("data beyond the window");
        if (header.length > 0 && state.receive_half == Stream::Half::closed)
            return refuse("data behind the end of a stream");
    }
    body_header_ = header;
    body_left_ = header.length;
    if (body_left_ == 0) finish_body();
    return {};
}

Status Session::on_body(ByteView part) {
    StreamId const id{body_header_.stream};
    auto const stream = streams_.find(id);
    if (stream == streams_.end()) return {};
    if (received_total_ + part.size() > received_total_max) {
        events_.push_back(StreamReset{
            id, {.code = Code::too_large, .message = "the connection holds too much unread data"}});
        reset(id);
        return {};
    }
    // Credit goes as the bytes come: what is still under way has not been read by anybody, and
    // must not look like room.
    if (part.size() > stream->second.receive_credit) return refuse("data beyond the window");
    received_total_ += part.size();
    stream->second.receive_credit -= static_cast<std::uint32_t>(part.size());
    stream->second.unconsumed += static_cast<std::uint32_t>(part.size());
    if (!events_.empty()) {
        auto* const last = std::get_if<StreamData>(&events_.back());
        if (last && last->id == id && last->bytes.size() + part.size() <= data_event_bytes_max) {
            base::append(last->bytes, part);
            return {};
        }
    }
    events_.push_back(StreamData{id, base::to_bytes(part)});
    return {};
}

void Session::finish_body() {
    if (!body_header_.has(flag_fin)) return;
    auto const stream = streams_.find(StreamId{body_header_.stream});
    if (stream == streams_.end() || stream->second.receive_half == Stream::Half::closed) return;
    stream->second.receive_half = Stream::Half::closed;
    events_.push_back(StreamEnded{stream->first});
    forget_if_closed(stream);
}

Status Session::queue_control(Header const& header) {
    if (control_.size() >= control_frames_max)
        return refuse("peer makes us queue too many answers");
    control_.push_back(header);
    return {};
}

Status Session::refuse(std::string sentence) {
    failed_ = true;
    control_.push_back({.type = Type::go_away,
                        .flags = 0,
                        .stream = 0,
                        .length = static_cast<std::uint32_t>(GoAwayCode::protocol_error)});
    return fail(Code::invalid, "yamux: " + std::move(sentence));
}

void Session::send_ping(Instant now) {
    ping_sent_at_ = now;
    control_.push_back(
        {.type = Type::ping, .flags = flag_syn, .stream = 0, .length = ++ping_value_});
}

std::optional<Instant> Session::deadline() const {
    if (failed_) return std::nullopt;
    if (!ping_sent_at_) return heard_at_ + ping_interval;
    return std::max(heard_at_, *ping_sent_at_) + ping_timeout;
}

void Session::on_deadline(Instant now) {
    auto const due = deadline();
    if (!due || now < *due) return;
    if (!ping_sent_at_) return send_ping(now);
    failed_ = true;
    silent_ = true;
}

std::optional<Event> Session::poll_event() {
    if (events_.empty()) return std::nullopt;
    auto event = std::move(events_.front());
    events_.pop_front();
    if (events_.empty()) ended_unseen_.clear();
    return event;
}

bool Session::poll_transmit(base::Bytes& out, Instant now) {
    std::size_t const start = out.size();
    for (auto const& header : control_) append_header(out, header);
    control_.clear();
    pongs_count_ = 0;
    for (auto const id : resets_) {
        append_header(out, {.type = Type::window_update,
                            .flags = flag_rst,
                            .stream = static_cast<std::uint32_t>(id),
                            .length = 0});
        --count_of(id);
    }
    resets_.clear();
    while (!failed_ && !ready_.empty() && out.size() - start < transmit_bytes_max) {
        auto const stream = streams_.find(ready_.front());
        ready_.pop_front();
        KITH_ASSERT(stream != streams_.end() && stream->second.queued);
        stream->second.queued = false;
        transmit_frame(stream, out, now);
    }
    return out.size() > start;
}

// One frame (two when credit goes back as well), then the stream stands at the end of the queue
// again: streams share the connection evenly however much each has to say.
void Session::transmit_frame(Streams::iterator stream, base::Bytes& out, Instant now) {
    auto& state = stream->second;
    auto const id = static_cast<std::uint32_t>(stream->first);
    if (state.update_pending) append_update(stream, out, now);
    auto const size = static_cast<std::uint32_t>(
        std::min({state.unsent(), std::size_t{state.send_credit}, std::size_t{data_body_max}}));
    // FIN travels alone: js-libp2p 3.3.11 acts on the flags of a frame before its body and would
    // drop the body.
    bool const is_last = state.send_half == Stream::Half::closing && state.unsent() == 0;
    if (size > 0 || is_last) {
        auto const fin = is_last ? flag_fin : std::uint16_t{0};
        append_header(
            out, {.type = Type::data,
                  .flags = static_cast<std::uint16_t>(std::exchange(state.flags_pending, 0) | fin),
                  .stream = id,
                  .length = size});
        base::append(out, ByteView(state.send_buffer).subspan(state.send_offset, size));
        state.send_offset += size;
        state.send_credit -= size;
        if (state.unsent() == 0) {
            state.send_buffer = base::Bytes();  // an idle stream holds no memory
            state.send_offset = 0;
        }
    } else if (state.flags_pending != 0) {
        append_header(out, {.type = Type::window_update,
                            .flags = std::exchange(state.flags_pending, std::uint16_t{0}),
                            .stream = id,
                            .length = 0});
    }
    if (state.wants_writable && state.unsent() <= send_buffer_max / 2) {
        state.wants_writable = false;
        events_.push_back(StreamWritable{stream->first});
    }
    if (is_last) state.send_half = Stream::Half::closed;
    schedule(stream);
    forget_if_closed(stream);
}

void Session::append_update(Streams::iterator stream, base::Bytes& out, Instant now) {
    auto& state = stream->second;
    state.update_pending = false;
    grow_window(state, now);
    // The delta over what the peer still has, not the absolute window.
    std::uint32_t const credit = state.receive_window - state.unconsumed - state.receive_credit;
    state.receive_credit += credit;
    state.updated_at = now;
    append_header(out, {.type = Type::window_update,
                        .flags = std::exchange(state.flags_pending, std::uint16_t{0}),
                        .stream = static_cast<std::uint32_t>(stream->first),
                        .length = credit});
}

// The window was used up within a few round trips: it, and not the network or the reader, is the
// limit. Same rule as go-yamux and js.
void Session::grow_window(Stream& stream, Instant now) {
    if (!round_trip_ || !stream.updated_at || now - *stream.updated_at > 4 * *round_trip_) return;
    std::uint32_t const more = std::min(stream.receive_window, window_max - stream.receive_window);
    if (windows_total_ + more > windows_total_max) return;
    stream.receive_window += more;
    windows_total_ += more;
}

void Session::schedule(Streams::iterator stream) {
    if (stream->second.queued || !stream->second.has_frame()) return;
    stream->second.queued = true;
    ready_.push_back(stream->first);
}

void Session::forget_if_closed(Streams::iterator stream) {
    auto const& state = stream->second;
    if (state.send_half == Stream::Half::closed && state.receive_half == Stream::Half::closed &&
        state.flags_pending == 0)
        remove(stream);
}

void Session::remove(Streams::iterator stream) {
    auto const& state = stream->second;
    received_total_ -= state.unconsumed;
    windows_total_ -= state.receive_window;
    --count_of(stream->first);
    if (!state.acknowledged) --unacknowledged_count_;
    // At once: a peer that opens, resets and never reads must not make this queue grow.
    if (state.queued) std::erase(ready_, stream->first);
    if (!is_ours(stream->first) && !events_.empty()) ended_unseen_.insert(stream->first);
    streams_.erase(stream);
}

Result<StreamId> Session::open() {
    if (failed_) return fail(Code::unavailable, "the connection has failed");
    if (outbound_count_ == streams_outbound_max ||
        unacknowledged_count_ == streams_unacknowledged_max)
        return fail(Code::too_large, "too many streams to this peer");
    if (next_id_ > stream_id_max)
        return fail(Code::too_large, "stream ids of this connection are used up");
    StreamId const id{next_id_};
    next_id_ += 2;
    ++outbound_count_;
    ++unacknowledged_count_;
    windows_total_ += window_initial;
    auto const stream = streams_.try_emplace(id).first;
    stream->second.flags_pending = flag_syn;
    schedule(stream);
    return id;
}

std::size_t Session::write(StreamId id, ByteView bytes) {
    auto const stream = streams_.find(id);
    if (stream == streams_.end() || stream->second.send_half != Stream::Half::open) return 0;
    auto& state = stream->second;
    auto const taken = bytes.first(std::min(bytes.size(), send_buffer_max - state.unsent()));
    if (taken.size() < bytes.size()) state.wants_writable = true;
    if (state.send_offset >= send_buffer_max / 2) {  // what was sent gives its room back
        auto const sent_end =
            state.send_buffer.begin() + static_cast<std::ptrdiff_t>(state.send_offset);
        state.send_buffer.erase(state.send_buffer.begin(), sent_end);
        state.send_offset = 0;
    }
    base::append(state.send_buffer, taken);
    schedule(stream);
    return taken.size();
}

void Session::close_write(StreamId id) {
    auto const stream = streams_.find(id);
    if (stream == streams_.end() || stream->second.send_half != Stream::Half::open) return;
    stream->second.send_half = Stream::Half::closing;
    schedule(stream);
}

void Session::reset(StreamId id) {
    auto const stream = streams_.find(id);
    if (stream == streams_.end()) return;
    bool const never_sent = (stream->second.flags_pending & flag_syn) != 0;
    remove(stream);
    if (never_sent) return;
    resets_.insert(id);
    ++count_of(id);
}

void Session::consumed(StreamId id, std::size_t size) {
    auto const stream = streams_.find(id);
    if (stream == streams_.end()) return;
    auto& state = stream->second;
    // No more than is owed: a peer may have ended a stream and opened it again under the same id.
    auto const credit = std::min(static_cast<std::uint32_t>(size), state.unconsumed);
    state.unconsumed -= credit;
    received_total_ -= credit;
    if (state.receive_half == Stream::Half::closed) return;
    if (state.receive_window - state.unconsumed - state.receive_credit < state.receive_window / 2)
        return;
    state.update_pending = true;
    schedule(stream);
}

std::size_t Session::buffer_bytes() const {
    std::size_t sum = 0;
    for (auto const& [id, stream] : streams_) sum += stream.send_buffer.capacity();
    return sum;
}

bool Session::knows(StreamId id) const {
    return streams_.contains(id);
}

}  // namespace kith::proto::yamux
