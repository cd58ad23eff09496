#include "proto/multistream/negotiation.h"

#include <doctest/doctest.h>

using namespace kith::proto::multistream;
using kith::base::as_bytes;
using kith::base::Bytes;
using kith::base::ByteView;
using kith::base::Code;

namespace {

Bytes message(std::string_view text) {
    Bytes out;
    kith::wire::append_frame(out, as_bytes(std::string(text) + "\n"));
    return out;
}

Bytes joined(std::initializer_list<std::string_view> texts) {
    Bytes out;
    for (auto const text : texts) kith::base::append(out, message(text));
    return out;
}

bool accepted(std::string_view protocol) {
    return protocol == "/a" || protocol == "/b";
}

}  // namespace

TEST_CASE("header and proposal leave in one write and the known bytes of na are sent") {
    Dialer dialer({"/noise"});
    Bytes out;
    CHECK(dialer.poll_transmit(out));
    CHECK(out == joined({header_text, "/noise"}));
    CHECK(out.size() == 28);  // as js-libp2p and rust-libp2p send it

    Listener listener;
    Bytes const request = joined({header_text, "/unknown"});
    ByteView in = request;
    CHECK(listener.feed(in, accepted).value() == Progress::more);
    Bytes reply;
    listener.poll_transmit(reply);
    CHECK(ByteView(reply).last(4)[0] == 0x03);
    CHECK(kith::base::to_text(ByteView(reply).last(3)) == "na\n");
}

TEST_CASE("two sides agree on the first protocol both know, byte by byte") {
    Dialer dialer({"/x", "/b", "/a"});
    Listener listener;
    bool dialer_done = false, listener_done = false;
    for (int round = 0; round < 10 && !(dialer_done && listener_done); ++round) {
        Bytes to_listener, to_dialer;
        dialer.poll_transmit(to_listener);
        for (auto const byte : to_listener) {
            ByteView in(&byte, 1);
            listener_done = listener.feed(in, accepted).value() == Progress::finished;
        }
        listener.poll_transmit(to_dialer);
        for (auto const byte : to_dialer) {
            ByteView in(&byte, 1);
            dialer_done = dialer.feed(in).value() == Progress::finished;
        }
    }
    CHECK(dialer_done);
    CHECK(listener_done);
    CHECK(dialer.protocol() == "/b");
    CHECK(listener.protocol() == "/b");
}

TEST_CASE("bytes of the next layer in the same read stay with the caller") {
    Listener listener;
    Bytes request = joined({header_text, "/a"});
    request.push_back(0xee);
    ByteView in = request;
    CHECK(listener.feed(in, accepted).value() == Progress::finished);
    REQUIRE(in.size() == 1);
    CHECK(in[0] == 0xee);
    CHECK(listener.feed(in, accepted).value() == Progress::finished);
    CHECK(in.size() == 1);

    Dialer dialer({"/a"});
    ByteView reply = request;
    CHECK(dialer.feed(reply).value() == Progress::finished);
    CHECK(reply.size() == 1);
}

TEST_CASE("the dialer fails cleanly when nothing it proposes is accepted") {
    Dialer dialer({"/x"});
    Bytes const reply = joined({header_text, "na"});
    ByteView in = reply;
    CHECK(dialer.feed(in).error().code == Code::unsupported);
}

TEST_CASE("a wrong header, a foreign echo, a missing newline and a long message are refused") {
    auto const listener_code = [](Bytes const& bytes) {
        Listener listener;
        ByteView in = bytes;
        return listener.feed(in, accepted).error().code;
    };
    CHECK(listener_code(message("/multistream/2.0.0")) == Code::invalid);
    CHECK(listener_code(Bytes{2, 'a', 'b'}) == Code::invalid);
    CHECK(listener_code(Bytes{0}) == Code::invalid);
    CHECK(listener_code(Bytes{0x81, 0x08}) == Code::too_large);  // 1025
    CHECK(listener_code(Bytes{0x80, 0x00}) == Code::invalid);    // not minimal

    Dialer dialer({"/a"});
    Bytes const reply = joined({header_text, "/b"});
    ByteView in = reply;
    CHECK(dialer.feed(in).error().code == Code::invalid);
}

TEST_CASE("eight refused proposals are answered, the ninth ends the negotiation") {
    Listener listener;
    Bytes const first = message(header_text);
    ByteView in = first;
    CHECK(listener.feed(in, accepted).has_value());
    for (std::size_t i = 0; i < proposals_max; ++i) {
        Bytes const proposal = message("/no");
        ByteView next = proposal;
        CHECK(listener.feed(next, accepted).has_value());
    }
    Bytes const last = message("ls");
    ByteView next = last;
    CHECK_FALSE(listener.feed(next, accepted).has_value());
}
