// Fuzzes both negotiators. The input is cut into reads by its own bytes; whatever comes, a machine
// either waits, finishes without swallowing what follows, or fails for good.
#include <cstdlib>

#include "proto/multistream/negotiation.h"

namespace multistream = kith::proto::multistream;
using kith::base::Bytes;
using kith::base::ByteView;

namespace {

constexpr std::size_t answers_bytes_max = 64 * 1024;  // nine answers are far below it

template <class Feed>
void run(ByteView input, Feed const& feed, auto& machine) {
    Bytes out;
    while (!input.empty()) {
        std::size_t const step = 1 + input[0] % 7;
        ByteView part = input.first(std::min(step, input.size()));
        auto const offered = part.size();
        auto const progress = feed(part);
        machine.poll_transmit(out);
        if (out.size() > answers_bytes_max) std::abort();
        if (!progress) return;
        bool const finished = *progress == multistream::Progress::finished;
        if (!finished && !part.empty()) std::abort();
        input = input.subspan(offered - part.size());
        if (finished) return;
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    multistream::Listener listener;
    run(
        {data, size},
        [&](ByteView& in) {
            return listener.feed(in, [](std::string_view id) { return id == "/noise"; });
        },
        listener);
    multistream::Dialer dialer({"/noise", "/other"});
    run(
        {data, size}, [&](ByteView& in) { return dialer.feed(in); }, dialer);
    return 0;
}
