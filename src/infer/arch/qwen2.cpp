// Qwen 2 and 2.5.
#include "infer/arch/architecture.h"

namespace kith::infer {

constexpr ArchitectureTraits qwen2_traits{
    .architecture = Architecture::qwen2, .name = "qwen2", .biases = Biases::required};

}  // namespace kith::infer
