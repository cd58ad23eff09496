// infer/synth.h: random-weight models of a given shape with a small working vocabulary; for tests,
// benchmarks and comparison with other engines, never for answers.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/result.h"
#include "infer/gguf_writer.h"
#include "infer/hparams.h"

namespace kith::infer {

enum class SynthTokenizer {
    byte_bpe,
    qwen2_bpe,
    llama3_bpe,
    tekken_bpe,
    spm,
    gemma_spm,
    phi3_spm,
};
enum class SynthHead { own, tied };
// How positions are scaled: `divisors` as Llama 3.1, by a tensor.
enum class SynthRope { plain, linear, yarn, divisors, longrope };

struct SynthShape {
    Architecture architecture = Architecture::llama;
    TensorType type = TensorType::q8_0;  // of the matrices; norms and biases are F32
    SynthTokenizer tokenizer = SynthTokenizer::byte_bpe;
    SynthHead head = SynthHead::own;
    std::size_t layers_count = 2;
    std::size_t hidden_size = 256;
    std::size_t feed_forward_size = 512;
    std::size_t heads_count = 4;
    std::size_t kv_heads_count = 2;
    std::size_t head_size = 0;      // 0: hidden_size / heads_count
    std::size_t window = 32;        // where the architecture has windows
    std::size_t experts_count = 8;  // the next three where it has experts
    std::size_t experts_used = 2;
    std::size_t expert_size = 256;
    SynthRope rope = SynthRope::plain;
    std::size_t vocabulary_size =
        512;  // at least synth_vocabulary_min; the rest are tokens no text makes
    std::size_t context_length = 512;
    std::uint64_t seed = 1;
};
inline constexpr std::size_t synth_vocabulary_min = 512;

// The same shape and seed give the same bytes. Code::invalid for a shape that read_hparams would
// refuse or whose rows do not fit the blocks of the type.
base::Status synthesise(SynthShape const& shape, ByteSink const& sink);
base::Result<base::Bytes> synthesise(SynthShape const& shape);  // into memory

}  // namespace kith::infer
