// Qwen 3 with experts: the router's softmax is over the chosen ones.
#include "infer/arch/architecture.h"

namespace kith::infer {

constexpr ArchitectureTraits qwen3moe_traits{.architecture = Architecture::qwen3moe,
                                             .name = "qwen3moe",
                                             .has_head_norms = true,
                                             .has_experts = true};

}  // namespace kith::infer
