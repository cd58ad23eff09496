// Fuzzes the yamux session: the first byte chooses the role and how the owner behaves, the rest is
// what the peer sends. The peer of this fuzzer keeps its own books. Checked after every read:
// limits on streams and unread data; on each stream we are never given more than we granted, and
// never send more than we were granted.
#include <cstdlib>
#include <map>
#include <optional>

#include "proto/yamux/session.h"

namespace yamux = kith::proto::yamux;
using kith::base::Bytes;
using kith::base::ByteView;
using kith::base::Instant;

namespace {

// What the owner does with an event; bits of the first byte.
struct Owner {
    bool consumes, answers, closes, resets;
};

// What the peer knows of each stream. Of an id that comes back, both counts of bytes begin again;
// the credit does not, which only makes the check of that stream weaker.
class Books {
public:
    // The peer's bytes, before the session gets them.
    void sent_to_us(ByteView in) {
        while (!in.empty()) {
            auto const skipped = std::min<std::size_t>(body_left_, in.size());
            in = in.subspan(skipped);
            body_left_ -= skipped;
            if (in.empty()) return;
            header_.push_back(in[0]);
            in = in.subspan(1);
            if (header_.size() < yamux::header_bytes) continue;
            auto const header = take_header();
            if (!header) return;  // the session ends here as well
            if (header->type == yamux::Type::data) body_left_ = header->length;
            if (header->type == yamux::Type::window_update)
                streams_[header->stream].credit_for_us += header->length;
        }
    }
    void opened(yamux::StreamId id) {
        auto& stream = streams_[static_cast<std::uint32_t>(id)];
        stream = {.credit_for_us = stream.credit_for_us};
    }
    void delivered(yamux::StreamId id, std::size_t size) {
        auto& stream = streams_[static_cast<std::uint32_t>(id)];
        stream.delivered += size;
        if (stream.delivered > yamux::window_initial + stream.credit_for_peer) std::abort();
        if (stream.delivered - stream.consumed > yamux::window_max) std::abort();
    }
    void consumed(yamux::StreamId id, std::size_t size) {
        streams_[static_cast<std::uint32_t>(id)].consumed += size;
    }
    void sent_by_us(yamux::Header const& header) {
        auto& stream = streams_[header.stream];
        if (header.type == yamux::Type::data) stream.sent += header.length;
        if (stream.sent > yamux::window_initial + stream.credit_for_us) std::abort();
        if (header.type != yamux::Type::window_update || header.has(yamux::flag_rst)) return;
        stream.credit_for_peer += header.length;
        auto const granted = yamux::window_initial + stream.credit_for_peer;
        if (granted - stream.consumed > yamux::window_max) std::abort();
    }

private:
    struct Stream {
        std::uint64_t credit_for_us = 0, credit_for_peer = 0;  // beyond the first window
        std::uint64_t sent = 0, delivered = 0, consumed = 0;
    };

    std::optional<yamux::Header> take_header() {
        kith::base::ByteArray<yamux::header_bytes> raw;
        std::copy_n(header_.begin(), raw.size(), raw.begin());
        header_.clear();
        auto const header = yamux::parse_header(raw);
        return header ? std::optional(*header) : std::nullopt;
    }

    std::map<std::uint32_t, Stream> streams_;
    Bytes header_;
    std::size_t body_left_ = 0;
};

void act(yamux::Session& session, yamux::Event const& event, Owner const& owner, Books& books,
         std::size_t& unread) {
    if (auto const* opened = std::get_if<yamux::StreamOpened>(&event)) {
        books.opened(opened->id);
        if (owner.answers) session.write(opened->id, Bytes(70'000, 1));
        if (owner.closes) session.close_write(opened->id);
        if (owner.resets) session.reset(opened->id);
    }
    if (auto const* data = std::get_if<yamux::StreamData>(&event)) {
        books.delivered(data->id, data->bytes.size());
        if (!session.knows(data->id)) return;
        if (owner.consumes) {
            session.consumed(data->id, data->bytes.size());
            books.consumed(data->id, data->bytes.size());
        } else {
            unread += data->bytes.size();
        }
    }
}

// Frames we emit must parse, and control frames stay bounded.
void check_output(yamux::Session& session, Books& books, Instant now) {
    Bytes out;
    while (session.poll_transmit(out, now)) {
        if (out.size() > 512 * (yamux::window_initial + 4096)) std::abort();
    }
    ByteView rest = out;
    while (!rest.empty()) {
        if (rest.size() < yamux::header_bytes) std::abort();
        kith::base::ByteArray<yamux::header_bytes> raw;
        std::copy_n(rest.begin(), raw.size(), raw.begin());
        auto const header = yamux::parse_header(raw);
        if (!header) std::abort();
        std::size_t const body = header->type == yamux::Type::data ? header->length : 0;
        if (rest.size() < raw.size() + body || body > yamux::data_body_max) std::abort();
        rest = rest.subspan(raw.size() + body);
        if (header->stream != 0) books.sent_by_us(*header);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    if (size == 0) return 0;
    std::uint8_t const how = data[0];
    Owner const owner{.consumes = (how & 1) != 0,
                      .answers = (how & 2) != 0,
                      .closes = (how & 4) != 0,
                      .resets = (how & 8) != 0};
    Instant now{};
    yamux::Session session((how & 16) != 0 ? yamux::Role::dialer : yamux::Role::listener, now);
    if ((how & 16) != 0)
        for (int i = 0; i < 3; ++i)
            if (auto const id = session.open()) session.write(*id, Bytes(1000, 2));
    ByteView input(data + 1, size - 1);
    std::size_t unread = 0;
    Books books;
    std::size_t const step = 1 + std::size_t{how} / 32 * 37;
    while (!input.empty()) {
        auto const part = input.first(std::min(step, input.size()));
        input = input.subspan(part.size());
        now += std::chrono::milliseconds(part[0]);
        books.sent_to_us(part);
        bool const good = session.feed(part, now).has_value();
        while (auto const event = session.poll_event()) act(session, *event, owner, books, unread);
        if ((how & 32) != 0) check_output(session, books, now);
        if (session.streams_count() > yamux::streams_inbound_max + yamux::streams_outbound_max)
            std::abort();
        if (unread > yamux::received_total_max) std::abort();
        if (!good) break;
        if (auto const due = session.deadline(); due && part[0] == 0xff) session.on_deadline(*due);
    }
    check_output(session, books, now);
    return 0;
}
