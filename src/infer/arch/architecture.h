// infer/arch/architecture.h: what one architecture has that others have not, as data: one file of
// this folder for each. Loader, stage and synthesis read these traits and know no names.
//
// All of them are decoders with RMS norms, rotary positions, attention with shared key-value heads
// and a gated feed-forward part, so the differences are few. Source: llama.cpp's src/models/ and
// the papers and configurations of the models.
#pragma once

#include <span>
#include <string_view>

#include "infer/hparams.h"
#include "infer/hparams_reader.h"

namespace kith::infer {

enum class Biases { optional, required };  // of q, k and v
enum class Gate { silu, gelu };            // what gates the feed-forward part

struct ArchitectureTraits {
    Architecture architecture = Architecture::llama;
    std::string_view name;  // general.architecture; ends with a zero byte
    RopeStyle rope_style = RopeStyle::halves;
    Biases biases = Biases::optional;
    Gate gate = Gate::silu;
    bool has_head_norms = false;  // attn_q_norm, attn_k_norm: RMS norm of each head before rotation
    bool has_post_norms = false;  // post_attention_norm, post_ffw_norm: of what a part adds
    bool is_fused = false;        // attn_qkv is q, k, v; ffn_up is gate, up
    bool has_experts = false;     // ffn_gate_inp chooses among ffn_*_exps
    // What only this architecture's metadata says; nullptr: nothing. Called last.
    base::Status (*read)(HparamsReader const& reader, Hparams& out) = nullptr;
};

extern ArchitectureTraits const llama_traits;
extern ArchitectureTraits const qwen2_traits;
extern ArchitectureTraits const qwen3_traits;
extern ArchitectureTraits const qwen3moe_traits;
extern ArchitectureTraits const gemma2_traits;
extern ArchitectureTraits const gemma3_traits;
extern ArchitectureTraits const phi3_traits;

std::span<ArchitectureTraits const* const> all_architectures();
ArchitectureTraits const& architecture_traits(Architecture architecture);

// Both Gemmas: embeddings times the root of their size, and the scale of attention in the largest
// model of a family, which no metadata carries, told by its number of layers.
void set_gemma_scales(Hparams& out, std::size_t largest_layers_count);

}  // namespace kith::infer
