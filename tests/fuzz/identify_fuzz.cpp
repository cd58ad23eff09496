// Fuzzes the identify reader, and that what it understood can be built and read again unchanged in
// its limits.
#include <cstdlib>

#include "proto/identify/identify.h"

namespace identify = kith::proto::identify;
using kith::base::ByteView;

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    kith::base::ByteArray<32> key;
    key.fill(5);
    identify::Reader reader{kith::identity::PeerId(key)};
    ByteView input(data, size);
    while (!input.empty()) {
        auto const part = input.first(std::min<std::size_t>(1 + input[0], input.size()));
        input = input.subspan(part.size());
        if (!reader.feed(part)) return 0;
    }
    auto const info = reader.finish();
    if (!info) return 0;
    if (info->protocols.size() > identify::protocols_max ||
        info->listen_addresses.size() > identify::addresses_max ||
        info->agent_version.size() > identify::version_chars_max)
        std::abort();
    identify::Reader again{kith::identity::PeerId(key)};
    if (!again.feed(identify::build(*info, key)) || !again.finish()) std::abort();
    return 0;
}
