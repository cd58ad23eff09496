// Llama 1 to 3, Mistral and their relatives; biases only in some relatives.
#include "infer/arch/architecture.h"

namespace kith::infer {

constexpr ArchitectureTraits llama_traits{
    .architecture = Architecture::llama, .name = "llama", .rope_style = RopeStyle::interleaved};

}  // namespace kith::infer
