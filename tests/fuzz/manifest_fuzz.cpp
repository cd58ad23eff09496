// Any bytes as a manifest: what is accepted is complete, has safe file names, and survives being
// written again.
#include <cstdlib>

#include "infer/shard.h"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    using namespace kith::infer;
    auto const manifest = parse_manifest({data, size});
    if (!manifest) return 0;
    for (auto const& shard : manifest->shards)
        if (!sanitize_path_component(shard.file)) std::abort();
    auto const again = parse_manifest(kith::base::as_bytes(write_manifest(*manifest)));
    if (!again || *again != *manifest) std::abort();
    return 0;
}
