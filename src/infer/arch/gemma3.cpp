// Gemma 3 (arXiv 2503.19786), text: five layers with a window for one without, each kind with a
// base of its own for rotation.
#include "infer/arch/architecture.h"

namespace kith::infer {
namespace {

constexpr std::size_t layers_of_27b = 62;
constexpr std::size_t period = 6;

base::Status read(HparamsReader const& reader, Hparams& out) {
    set_gemma_scales(out, layers_of_27b);
    if (reader.find("attention.sliding_window") != nullptr) {
        out.window = KITH_TRY(reader.size("attention.sliding_window", context_length_max));
        out.window_period = period;
        out.rope_base_windowed = KITH_TRY(reader.positive("rope.freq_base_swa", 10000.0));
    }
    auto const* const pattern = reader.find("attention.sliding_window_pattern");
    if (pattern != nullptr && pattern->as_unsigned() != period)
        return base::fail(base::Code::unsupported, "attention.sliding_window_pattern is not 6");
    if (reader.find("attn_logit_softcapping") != nullptr)
        return base::fail(base::Code::unsupported, "attn_logit_softcapping in gemma3");
    if (reader.find("final_logit_softcapping") != nullptr)
        out.logits_cap =
            static_cast<float>(KITH_TRY(reader.positive("final_logit_softcapping", 30.0)));
    return {};
}

}  // namespace

constexpr ArchitectureTraits gemma3_traits{.architecture = Architecture::gemma3,
                                           .name = "gemma3",
                                           .gate = Gate::gelu,
                                           .has_head_norms = true,
                                           .has_post_norms = true,
                                           .read = read};

}  // namespace kith::infer
