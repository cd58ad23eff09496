// tests/fuzz/ping_fuzz.cpp: the ping protocol, whatever a peer sends on its stream.
//
// Input: steps of one byte. Bits 0-1: 0 bytes for the answering side (count u8, bytes), 1 the
// stream takes some of its answers (count u8), 2 a round of the asking side begins (fill u8), 3
// bytes for the asking side: bit 2 set, the next of the true echo (count u8), else as they come.
// Checked: the answering side gives back what it got, in order and in whole payloads, and never
// keeps more than echo_backlog_max; a round ends well only when all of its bytes came back; after
// an error nothing more happens on a stream.
#include <vector>

#include "base/check.h"
#include "fuzz_input.h"
#include "proto/ping/ping.h"

using namespace kith;
namespace ping = proto::ping;

namespace {

struct Answering {
    ping::Responder machine;
    base::Bytes given, echoed;
    bool is_over = false;

    void feed(base::ByteView bytes) {
        if (is_over) return;
        if (machine.feed(bytes))
            base::append(given, bytes);
        else
            is_over = true;
    }
    void take(std::size_t size) {
        if (is_over) return;
        auto const pending = machine.pending();
        auto const taken = pending.first(std::min(size, pending.size()));
        base::append(echoed, taken);
        machine.sent(taken.size());
    }
    void check() const {
        KITH_ASSERT(given.size() - echoed.size() <= ping::echo_backlog_max);
        KITH_ASSERT(base::equal(echoed, base::ByteView(given).first(echoed.size())));
        if (is_over) return;
        auto const whole = given.size() - given.size() % ping::payload_bytes;
        KITH_ASSERT(echoed.size() + machine.pending().size() == whole);
    }
};

struct Asking {
    ping::Requester machine;
    ping::Payload payload{};
    std::size_t matched = 0;
    base::Instant now{};
    bool is_over = false;

    void start(std::uint8_t fill) {
        if (is_over || machine.is_waiting()) return;
        payload.fill(fill);
        matched = 0;
        KITH_ASSERT(machine.start(payload, now) == payload);
    }
    void feed(base::ByteView bytes) {
        if (is_over || bytes.empty()) return;
        bool const was_waiting = machine.is_waiting();
        auto const rest = base::ByteView(payload).subspan(matched);
        bool const fits = was_waiting && bytes.size() <= rest.size() &&
                          base::equal(bytes, rest.first(bytes.size()));
        now += std::chrono::milliseconds(1);
        auto const outcome = machine.feed(bytes, now);
        KITH_ASSERT(outcome.has_value() == fits);
        is_over = !outcome;
        if (is_over) return;
        matched += bytes.size();
        KITH_ASSERT(outcome->has_value() == (matched == payload.size()));
        KITH_ASSERT(machine.is_waiting() == !outcome->has_value());
        KITH_ASSERT(machine.deadline().has_value() == machine.is_waiting());
    }
    void echo(std::size_t size) {
        auto const rest = base::ByteView(payload).subspan(matched);
        feed(rest.first(std::min(size, rest.size())));
    }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    fuzz::FuzzInput input(data, size);
    Answering answering;
    Asking asking;
    while (!input.is_empty()) {
        auto const verb = input.byte();
        auto const count = input.byte();
        if (verb % 4 == 0) answering.feed(base::as_bytes(input.text(count)));
        if (verb % 4 == 1) answering.take(count);
        if (verb % 4 == 2) asking.start(count);
        if (verb % 4 == 3 && (verb & 4) != 0) asking.echo(count);
        if (verb % 4 == 3 && (verb & 4) == 0) asking.feed(base::as_bytes(input.text(count)));
        answering.check();
    }
    return 0;
}
