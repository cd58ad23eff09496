// Qwen 3, dense.
#include "infer/arch/architecture.h"

namespace kith::infer {

constexpr ArchitectureTraits qwen3_traits{
    .architecture = Architecture::qwen3, .name = "qwen3", .has_head_norms = true};

}  // namespace kith::infer
