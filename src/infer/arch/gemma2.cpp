// Gemma 2 (arXiv 2408.00118): windows on every other layer, capped scores and logits.
#include "infer/arch/architecture.h"

namespace kith::infer {
namespace {

constexpr std::size_t layers_of_27b = 46;

base::Status read(HparamsReader const& reader, Hparams& out) {
    set_gemma_scales(out, layers_of_27b);
    out.window = KITH_TRY(reader.size("attention.sliding_window", context_length_max, 4096));
    out.window_period = 2;
    out.attention_cap =
        static_cast<float>(KITH_TRY(reader.positive("attn_logit_softcapping", 50.0)));
    out.logits_cap = static_cast<float>(KITH_TRY(reader.positive("final_logit_softcapping", 30.0)));
    return {};
}

}  // namespace

constexpr ArchitectureTraits gemma2_traits{.architecture = Architecture::gemma2,
                                           .name = "gemma2",
                                           .gate = Gate::gelu,
                                           .has_post_norms = true,
                                           .read = read};

}  // namespace kith::infer
