#include "infer/arch/architecture.h"

#include <array>
#include <cmath>

#include "base/check.h"

namespace kith::infer {

std::span<ArchitectureTraits const* const> all_architectures() {
    static constexpr std::array all{&llama_traits,  &qwen2_traits,  &qwen3_traits, &qwen3moe_traits,
                                    &gemma2_traits, &gemma3_traits, &phi3_traits};
    return all;
}

ArchitectureTraits const& architecture_traits(Architecture architecture) {
    for (auto const* const traits : all_architectures())
        if (traits->architecture == architecture) return *traits;
    KITH_ASSERT(false);
    return llama_traits;
}

void set_gemma_scales(Hparams& out, std::size_t largest_layers_count) {
    out.embedding_scale = std::sqrt(static_cast<float>(out.hidden_size));
    if (out.layers_count == largest_layers_count)
        out.attention_scale = 1.0F / std::sqrt(static_cast<float>(out.hidden_size) /
                                               static_cast<float>(out.heads_count));
}

}  // namespace kith::infer
