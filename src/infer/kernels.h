// infer/kernels.h: the inner loops, as a table of functions per instruction set.
//
// The order of floating-point operations is part of the contract: dot products of float weights
// keep 16 partial sums, lane i taking every element whose index is i modulo that, and add them as
// reduce() in kernels_order.h does; products of quantised weights add block after block
// (packed/kernels_tile.h). So every table gives the same bits, and any number of activation rows
// the same as one. An implementation that cannot keep the order must not be chosen silently.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "infer/kv_layout.h"
#include "infer/packed/layout.h"
#include "infer/tensor_type.h"

namespace kith::infer {

enum class Isa { detected, portable, avx2, avx512 };

// How the right-hand side of a product is stored, given by the type of the weights.
enum class ActivationKind {
    f32,   // float[columns]: for F32 and BF16
    f16,   // float[columns] rounded to float16, as llama.cpp does: for F16; above 65504 becomes
           // 65504
    q8,    // int8[columns], float scale per 32: for blocks of 32 (packed/activations.h)
    q8_k,  // int8[columns], float scale per 256: for blocks of 256
};
inline constexpr std::size_t activation_kinds_count = 4;
ActivationKind activation_kind(TensorType type);  // `type` has kernels
// Bytes of one row; a multiple of 64. columns is a multiple of 32 (q8) or 256 (q8_k).
std::size_t activation_row_bytes(ActivationKind kind, std::size_t columns);

// rows_count results of one weight row: out[i * out_stride] = dot(weights, activations + i *
// stride).
struct DotCall {
    std::uint8_t const* weights = nullptr;
    std::byte const* activations = nullptr;
    std::size_t activation_stride = 0;  // bytes
    std::size_t rows_count = 0;
    std::size_t columns = 0;
    float* out = nullptr;
    std::size_t out_stride = 0;  // floats
};
using DotFunction = void (*)(DotCall const& call);

// Products of groups of 16 rows (packed/layout.h) with rows of activations:
// out[token * out_stride + row].
struct PackedCall {
    std::byte const* groups = nullptr;  // aligned to packed_alignment
    std::size_t group_stride = 0;       // bytes
    std::size_t quants_offset = 0;      // packed_quants_offset()
    std::size_t rows_count = 0;         // of weights; nothing is written past them
    std::size_t columns = 0;
    std::byte const* activations = nullptr;
    std::size_t activation_stride = 0;  // bytes
    std::size_t tokens_count = 0;
    float* out = nullptr;
    std::size_t out_stride = 0;  // floats
};
using PackedFunction = void (*)(PackedCall const& call);

// Attention of queries over the keys and values of one head (kv_cache.h has their layout):
// out[i] = softmax(scale * queries[i] . keys) . values over the positions
// from begins[i] to below ends[i].
inline constexpr std::size_t attention_block = 64;  // positions of one step of the softmax
inline constexpr float lowest_score = -3.0e38F;     // of a position that is not seen
struct AttendState {
    float highest = 0;
    float total = 0;
};
struct AttendCall {
    std::uint16_t const* keys = nullptr;
    std::uint16_t const* values = nullptr;
    std::size_t head_size = 0;
    std::size_t queries_count = 0;
    float const* const* queries = nullptr;  // each [head_size]
    std::size_t const* ends = nullptr;      // ascending, at least 1
    std::size_t const* begins = nullptr;    // ascending, each below its end; nullptr: all 0
    float scale = 1;
    float cap = 0;                  // scores become cap * tanh(score / cap); 0: they stay
    AttendState* states = nullptr;  // scratch: one for each query
    float* const* out = nullptr;    // each [head_size]
};

struct PackedTable {
    PackedFunction q8_0, q4_0, q5_1, q4_1, q4_k, q5_k, q6_k, q2_k;
    void (*attend)(AttendCall const& call);
};

struct KernelTable {
    char const* name;
    DotFunction dot_f32, dot_f16, dot_bf16;
    PackedTable const* packed;
    void (*round_f16)(float const* in, float* out, std::size_t count);
    void (*quantise_q8)(float const* in, std::byte* out, std::size_t columns);
    void (*quantise_q8_k)(float const* in, std::byte* out, std::size_t columns);
    void (*to_f16)(float const* in, std::uint16_t* out, std::size_t count);
    float (*sum_of_squares)(float const* in, std::size_t count);
    // gate[i] = gate[i] / (1 + exp(-gate[i])) * up[i]
    void (*swiglu)(float* gate, float const* up, std::size_t count);
    // The same with gelu (its tanh form): x / (1 + exp(-2 * sqrt(2 / pi) * (x + 0.044715 * x^3)))
    void (*geglu)(float* gate, float const* up, std::size_t count);
    // values[i] = cap * tanh(values[i] / cap)
    void (*soft_cap)(float* values, std::size_t count, float cap);

    [[nodiscard]] DotFunction dot(TensorType type) const;                 // F32, F16, BF16
    [[nodiscard]] PackedFunction packed_function(TensorType type) const;  // can_pack(type)
};

extern KernelTable const portable_kernels;
extern KernelTable const avx2_kernels;  // only in builds for x86-64; needs avx2, fma and f16c
extern PackedTable const portable_packed;
extern PackedTable const avx2_packed;    // as avx2_kernels
extern PackedTable const avx512_packed;  // the same; needs avx512f, bw, vl and vnni as well

// One row of activations in the form that weights of `kind` want; `out` has activation_row_bytes().
void convert_activations(KernelTable const& kernels, ActivationKind kind, std::span<float const> in,
                         std::byte* out);

// The best table this processor runs, or the one asked for (tests); nullptr when it cannot run
// here.
KernelTable const* find_kernels(Isa isa);

// One row of any type with kernels to floats, exactly; columns is a multiple of the block.
void dequantise_row(TensorType type, std::uint8_t const* row, std::span<float> out);
// One row of floats to `type` (synthetic models, tests): nearest values under a simple choice of
// scales.
void quantise_row(TensorType type, std::span<float const> row, std::uint8_t* out);

}  // namespace kith::infer
