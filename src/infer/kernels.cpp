#include "infer/kernels.h"

#include <cstring>

#include "base/check.h"
#include "infer/packed/activations.h"

namespace kith::infer {
namespace {

constexpr std::size_t round_up_64(std::size_t size) {
    return (size + 63) / 64 * 64;
}

bool runs_avx2() {
#ifdef KITH_INFER_AVX2
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("f16c");
#else
    return false;
#endif
}

bool runs_avx512() {
#ifdef KITH_INFER_AVX2
    return runs_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
#else
    return false;
#endif
}

#ifdef KITH_INFER_AVX2
KernelTable const& avx512_kernels() {
    static KernelTable const table = [] {
        auto out = avx2_kernels;  // work on single rows waits for memory, not for wider registers
        out.name = "avx512";
        out.packed = &avx512_packed;
        return out;
    }();
    return table;
}
#endif

}  // namespace

ActivationKind activation_kind(TensorType type) {
    KITH_ASSERT(type_traits(type).has_kernels);
    if (can_pack(type))
        return packed_block(type).elements == 32 ? ActivationKind::q8 : ActivationKind::q8_k;
    if (type == TensorType::f16) return ActivationKind::f16;
    return ActivationKind::f32;
}

std::size_t activation_row_bytes(ActivationKind kind, std::size_t columns) {
    switch (kind) {
        case ActivationKind::f32:
        case ActivationKind::f16:
            return round_up_64(columns * sizeof(float));
        case ActivationKind::q8:
            return round_up_64(Q8Row{columns}.bytes());
        case ActivationKind::q8_k:
            return round_up_64(Q8KRow{columns}.bytes());
    }
    KITH_ASSERT(false);
    return 0;
}

void convert_activations(KernelTable const& kernels, ActivationKind kind, std::span<float const> in,
                         std::byte* out) {
    switch (kind) {
        case ActivationKind::f32:
            std::memcpy(out, in.data(), in.size_bytes());
            return;
        case ActivationKind::f16:
            return kernels.round_f16(in.data(), reinterpret_cast<float*>(out), in.size());
        case ActivationKind::q8:
            return kernels.quantise_q8(in.data(), out, in.size());
        case ActivationKind::q8_k:
            return kernels.quantise_q8_k(in.data(), out, in.size());
    }
}

DotFunction KernelTable::dot(TensorType type) const {
    if (type == TensorType::f32) return dot_f32;
    if (type == TensorType::f16) return dot_f16;
    KITH_ASSERT(type == TensorType::bf16);
    return dot_bf16;
}

PackedFunction KernelTable::packed_function(TensorType type) const {
    switch (packed_form(type)) {
        case PackedForm::bytes32:
            return packed->q8_0;
        case PackedForm::nibbles32:
            return packed->q4_0;
        case PackedForm::bytes32_min:
            return packed->q5_1;
        case PackedForm::nibbles32_min:
            return packed->q4_1;
        case PackedForm::nibbles256:
            return packed->q4_k;
        case PackedForm::six_bits256_min:
            return packed->q5_k;
        case PackedForm::two_bits256:
            return packed->q2_k;
        case PackedForm::six_bits256:
            break;
    }
    return packed->q6_k;
}

KernelTable const* find_kernels(Isa isa) {
    if (isa == Isa::portable) return &portable_kernels;
#ifdef KITH_INFER_AVX2
    if (isa != Isa::avx2 && runs_avx512()) return &avx512_kernels();
    if (isa != Isa::avx512 && runs_avx2()) return &avx2_kernels;
#endif
    return isa == Isa::detected ? &portable_kernels : nullptr;
}

}  // namespace kith::infer
