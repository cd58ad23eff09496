// Any bytes as a model file. Nothing may crash, and nothing may be allocated that the file's own
// size does not justify.
#include "model_file_checks.h"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    // Aligned like a mapping.
    kith::fuzz::check_model_file(kith::base::Bytes(data, data + size));
    return 0;
}
