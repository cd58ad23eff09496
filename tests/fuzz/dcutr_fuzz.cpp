// Fuzzes hole punching. First byte even: the parser, and that what it understood is framed and
// read again the same. Odd: an initiator and a responder to whom the input happens; checked after
// every step: never more attempts than attempts_max, only addresses that may be dialled, and
// nothing more once a machine has given up.
#include <cstdlib>

#include "proto/dcutr/responder.h"

namespace dcutr = kith::proto::dcutr;
using kith::base::ByteView;
using kith::base::Instant;
using kith::wire::Multiaddr;
using kith::wire::Reach;

namespace {

void parse(ByteView bytes) {
    auto const message = dcutr::parse(bytes);
    if (!message) return;
    auto const framed = dcutr::frame(*message);
    kith::wire::FrameReader reader(8 * dcutr::message_bytes_max);
    ByteView rest = framed;
    auto const again = reader.next(rest);
    if (!again || !*again) std::abort();
    auto const read = dcutr::parse(**again);
    // addresses_max addresses of 512 bytes may be more than a message; such are never ours.
    if ((*again)->size() > dcutr::message_bytes_max) return;
    if (!read || read->index() != message->index()) std::abort();
}

template <typename Machine>
struct Watched {
    Machine machine;
    std::size_t connects = 0, dials = 0;
    bool over = false;

    void drain() {
        while (auto const action = machine.poll_action()) {
            if (over) std::abort();
            if (std::holds_alternative<dcutr::OpenStream>(*action)) ++connects;
            if (std::holds_alternative<dcutr::GiveUp>(*action)) over = true;
            auto const* dial = std::get_if<dcutr::Dial>(&*action);
            if (dial == nullptr) continue;
            ++dials;
            if (dial->to.empty() || dial->to.size() > dcutr::addresses_max) std::abort();
            for (auto const& address : dial->to)
                if (!kith::wire::is_reachable(Reach::private_network, address)) std::abort();
        }
        if (connects > dcutr::attempts_max || dials > dcutr::attempts_max + 1) std::abort();
        if (over && machine.deadline()) std::abort();
    }
};

void run(ByteView input) {
    dcutr::Options const options{.own = {Multiaddr::tcp("192.0.2.1", 8810).value()},
                                 .reach = Reach::private_network};
    Instant now{};
    Watched<dcutr::Initiator> initiator{
        .machine = dcutr::Initiator(options, {Multiaddr::tcp("10.0.0.1", 1).value()}, now)};
    Watched<dcutr::Responder> responder{.machine = dcutr::Responder(options, now)};
    while (input.size() >= 2) {
        auto const verb = input[0];
        std::size_t const size = std::min<std::size_t>(input[1], input.size() - 2);
        auto const bytes = input.subspan(2, size);
        input = input.subspan(2 + size);
        bool const to_initiator = (verb & 0x80) != 0;
        auto const connect = dcutr::frame(dcutr::Connect{{Multiaddr::tcp("8.8.8.8", 9).value()}});
        auto const sync = dcutr::frame(dcutr::Sync{});
        auto const what = verb % 8;
        auto const said = what == 1 ? ByteView(connect) : what == 2 ? ByteView(sync) : bytes;
        if (what <= 2 && to_initiator) (void)initiator.machine.feed(said, now);
        if (what <= 2 && !to_initiator) (void)responder.machine.feed(said, now);
        if (what == 3) initiator.machine.on_opened(now);
        if (what == 4) initiator.machine.on_stream_gone(dcutr::Initiator::Gone::ended, now);
        if (what == 5 && to_initiator)
            initiator.machine.on_dials_failed(now);
        else if (what == 5)
            responder.machine.on_stream_gone();
        if (what >= 6) {
            now += std::chrono::milliseconds(100 * size);
            initiator.machine.on_deadline(now);
            responder.machine.on_deadline(now);
        }
        initiator.drain();
        responder.drain();
    }
    for (std::size_t i = 0; i < 4 * (dcutr::attempts_max + 1); ++i) {
        now += std::chrono::minutes(1);
        initiator.machine.on_deadline(now);
        responder.machine.on_deadline(now);
        initiator.drain();
        responder.drain();
    }
    if (!initiator.over || !responder.over) std::abort();
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
