// Fuzzes the yamux session: the first byte chooses the role and how the owner behaves, the rest is
// what the peer sends. Checked after every read: limits on streams and unread data, and that we
// never send beyond credit (the peer of this fuzzer counts).
#include <cstdlib>
#include <map>

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

void act(yamux::Session& session, yamux::Event const& event, Owner const& owner,
         std::size_t& unread) {
    if (auto const* opened = std::get_if<yamux::StreamOpened>(&event)) {
        if (owner.answers) session.write(opened->id, Bytes(70'000, 1));
        if (owner.closes) session.close_write(opened->id);
        if (owner.resets) session.reset(opened->id);
    }
    if (auto const* data = std::get_if<yamux::StreamData>(&event)) {
        if (!session.knows(data->id)) return;
        if (owner.consumes)
            session.consumed(data->id, data->bytes.size());
        else
            unread += data->bytes.size();
    }
}

// Frames we emit must parse, and control frames stay bounded.
void check_output(yamux::Session& session, Instant now) {
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
    std::size_t const step = 1 + std::size_t{how} / 32 * 37;
    while (!input.empty()) {
        auto const part = input.first(std::min(step, input.size()));
        input = input.subspan(part.size());
        now += std::chrono::milliseconds(part[0]);
        bool const good = session.feed(part, now).has_value();
        while (auto const event = session.poll_event()) act(session, *event, owner, unread);
        if ((how & 32) != 0) check_output(session, now);
        if (session.streams_count() > yamux::streams_inbound_max + yamux::streams_outbound_max)
            std::abort();
        if (unread > yamux::received_total_max) std::abort();
        if (!good) break;
        if (auto const due = session.deadline(); due && part[0] == 0xff) session.on_deadline(*due);
    }
    check_output(session, now);
    return 0;
}
