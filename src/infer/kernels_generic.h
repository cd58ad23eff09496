// infer/kernels_generic.h: the table of all kernels for one set of vector operations V (see
// kernels_order.h).
#pragma once

#include "infer/kernels_dot_floats.h"
#include "infer/kernels_rows.h"

namespace kith::infer {

template <class V>
constexpr KernelTable make_table(char const* name, PackedTable const& packed) {
    return {.name = name,
            .dot_f32 = FloatDots<V>::dot_f32,
            .dot_f16 = FloatDots<V>::dot_f16,
            .dot_bf16 = FloatDots<V>::dot_bf16,
            .packed = &packed,
            .round_f16 = RowKernels<V>::round_f16,
            .quantise_q8 = RowKernels<V>::quantise_q8,
            .quantise_q8_k = RowKernels<V>::quantise_q8_k,
            .to_f16 = RowKernels<V>::to_f16,
            .sum_of_squares = RowKernels<V>::sum_of_squares,
            .swiglu = RowKernels<V>::swiglu,
            .geglu = RowKernels<V>::geglu,
            .soft_cap = RowKernels<V>::soft_cap};
}

}  // namespace kith::infer
