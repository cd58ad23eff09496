// proto/yamux/session_test_bench.h: for tests: frames by hand, what a session says, and two
// sessions back to back.
#pragma once

#include <doctest/doctest.h>

#include <vector>

#include "proto/yamux/session.h"

namespace kith::proto::yamux::test {

using base::Bytes;
using base::ByteView;
using base::Code;
using base::Instant;

inline constexpr Instant start{};

inline Bytes frame(Header const& header, std::size_t body = 0) {
    Bytes out;
    append_header(out, header);
    out.resize(out.size() + body, 0x42);
    return out;
}

inline std::vector<Header> headers_of(ByteView bytes) {
    std::vector<Header> headers;
    while (bytes.size() >= header_bytes) {
        base::ByteArray<header_bytes> raw;
        std::copy_n(bytes.begin(), header_bytes, raw.begin());
        headers.push_back(parse_header(raw).value());
        std::size_t const body = headers.back().type == Type::data ? headers.back().length : 0;
        bytes = bytes.subspan(std::min(bytes.size(), header_bytes + body));
    }
    return headers;
}

inline std::vector<Header> sent_by(Session& session, Instant now = start) {
    Bytes out;
    while (session.poll_transmit(out, now)) {
    }
    return headers_of(out);
}

template <class T>
std::vector<T> events_of(Session& session) {
    std::vector<T> found;
    while (auto event = session.poll_event())
        if (auto* const one = std::get_if<T>(&*event)) found.push_back(std::move(*one));
    return found;
}

// Two sessions joined back to back.
struct Pair {
    Session dialer{Role::dialer, start};
    Session listener{Role::listener, start};

    bool step(Instant now) {
        Bytes forward, backward;
        dialer.poll_transmit(forward, now);
        listener.poll_transmit(backward, now);
        CHECK(listener.feed(forward, now).has_value());
        CHECK(dialer.feed(backward, now).has_value());
        return !forward.empty() || !backward.empty();
    }
    void settle(Instant now = start) {
        while (step(now)) {
        }
    }
};

inline Code refusal(std::initializer_list<Bytes> frames) {
    Session session(Role::listener, start);
    Bytes all;
    for (auto const& one : frames) base::append(all, one);
    auto const status = session.feed(all, start);
    REQUIRE_FALSE(status.has_value());
    auto const sent = sent_by(session);
    CHECK(sent.back().type == Type::go_away);
    CHECK(sent.back().length == static_cast<std::uint32_t>(GoAwayCode::protocol_error));
    CHECK(session.feed(all, start).error().code == Code::conflict);
    return status.error().code;
}

inline Header data(std::uint32_t stream, std::uint16_t flags, std::uint32_t length) {
    return {.type = Type::data, .flags = flags, .stream = stream, .length = length};
}
inline Header update(std::uint32_t stream, std::uint16_t flags, std::uint32_t length) {
    return {.type = Type::window_update, .flags = flags, .stream = stream, .length = length};
}

}  // namespace kith::proto::yamux::test
