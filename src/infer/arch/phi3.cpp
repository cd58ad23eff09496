// Phi 3 and 3.5 mini, Phi 4: matrices that are one in the file, a window on all layers where the
// file says so, and longrope.
#include "infer/arch/architecture.h"

namespace kith::infer {
namespace {

base::Status read(HparamsReader const& reader, Hparams& out) {
    if (reader.find("attention.sliding_window") == nullptr) return {};
    out.window = KITH_TRY(reader.size("attention.sliding_window", context_length_max));
    return {};
}

}  // namespace

constexpr ArchitectureTraits phi3_traits{
    .architecture = Architecture::phi3, .name = "phi3", .is_fused = true, .read = read};

}  // namespace kith::infer
