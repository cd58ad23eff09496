// infer/kernels_rows.h: kernels over one row: activations to int8, sums, exp, tanh, gates.
#pragma once

#include "infer/kernels_order.h"
#include "infer/packed/activations.h"

namespace kith::infer {

template <class V>
struct RowKernels {
    using F = typename V::F;

    // ---- activations to int8 --------------------------------------------------------------------

    // Below this a block counts as zero: 127 / amax would overflow. NaN compares false and counts
    // as zero too.
    static constexpr float amax_min = 1e-30F;

    // `count` values (a multiple of 32) with one scale; returns it.
    KITH_INLINE float quantise_block(float const* in, std::byte* out, std::size_t count) {
        F largest = V::zero();
        for (std::size_t c = 0; c < count; c += lanes)
            largest = V::max(V::abs(V::load(in + c)), largest);
        float s[lanes];
        V::store(s, largest);
        float amax = 0;
        for (float const value : s) amax = value > amax ? value : amax;
        float const inverse = amax > amax_min ? 127.0F / amax : 0.0F;
        for (std::size_t c = 0; c < count; c += 32) V::store_rounded(in + c, inverse, out + c);
        return amax > amax_min ? amax / 127.0F : 0.0F;
    }

    KITH_INLINE std::int32_t sum_of(std::byte const* in, std::size_t count) {
        std::int32_t sum = 0;
        for (std::size_t i = 0; i < count; ++i) sum += static_cast<std::int8_t>(in[i]);
        return sum;
    }
    template <class T>
    KITH_INLINE void put(std::byte* out, std::size_t index, T value) {
        __builtin_memcpy(out + index * sizeof value, &value, sizeof value);
    }

    static void quantise_q8(float const* in, std::byte* out, std::size_t columns) {
        Q8Row const row{columns};
        for (std::size_t b = 0; b < columns / 32; ++b) {
            put(out + row.scales(), b, quantise_block(in + 32 * b, out + 32 * b, 32));
            auto const sum = sum_of(out + 32 * b, 32);
            put(out + row.minus_128_sums(), b, -128 * sum);
            put(out + row.minus_8_sums(), b, -8 * sum);
        }
    }

    static void quantise_q8_k(float const* in, std::byte* out, std::size_t columns) {
        Q8KRow const row{columns};
        for (std::size_t b = 0; b < columns / 256; ++b)
            put(out + row.scales(), b, quantise_block(in + 256 * b, out + 256 * b, 256));
        for (std::size_t k = 0; k < columns / 32; ++k) {
            auto const first = sum_of(out + 32 * k, 16);
            auto const second = sum_of(out + 32 * k + 16, 16);
            put(out + row.minus_32_sums(), 2 * k, -32 * first);
            put(out + row.minus_32_sums(), 2 * k + 1, -32 * second);
            put(out + row.sums_of_32(), k, static_cast<std::int16_t>(first + second));
        }
    }

    // ---- element-wise and reductions ------------------------------------------------------------

    static void round_f16(float const* in, float* out, std::size_t count) {
        constexpr float largest = 65504.0F;  // of float16
        std::size_t i = 0;
        for (; i + lanes <= count; i += lanes) {
            F const x = V::min(V::max(V::load(in + i), V::set(-largest)), V::set(largest));
            V::store(out + i, V::round_f16(x));
        }
        for (; i < count; ++i) {
            float const x = in[i] > -largest ? in[i] : -largest;
            out[i] = half_to_float(float_to_half(x < largest ? x : largest));
        }
    }

    static void to_f16(float const* in, std::uint16_t* out, std::size_t count) {
        std::size_t i = 0;
        for (; i + lanes <= count; i += lanes) V::store_f16(out + i, V::load(in + i));
        for (; i < count; ++i) out[i] = float_to_half(in[i]);
    }

    static float sum_of_squares(float const* in, std::size_t count) {
        F sums = V::zero();
        std::size_t i = 0;
        for (; i + lanes <= count; i += lanes) {
            F const x = V::load(in + i);
            sums = V::fma(x, x, sums);
        }
        float sum = Ordered<V>::reduce(sums);
        for (; i < count; ++i) sum = __builtin_fmaf(in[i], in[i], sum);
        return sum;
    }

    // exp for x clamped to [-87, 88]: 2^n * exp(r), |r| <= ln(2)/2, with the Taylor polynomial of
    // degree 7 (its remainder, 5e-9, is below float precision). ln(2) in two parts so that n *
    // ln(2) loses nothing.
    KITH_INLINE F exp(F x) {
        x = V::min(V::max(x, V::set(-87.0F)), V::set(88.0F));
        F const n = V::round(V::mul(x, V::set(1.44269504F)));
        F r = V::fma(n, V::set(-0.693359375F), x);
        r = V::fma(n, V::set(2.12194440e-4F), r);
        F p = V::set(1.0F / 5040.0F);
        p = V::fma(p, r, V::set(1.0F / 720.0F));
        p = V::fma(p, r, V::set(1.0F / 120.0F));
        p = V::fma(p, r, V::set(1.0F / 24.0F));
        p = V::fma(p, r, V::set(1.0F / 6.0F));
        p = V::fma(p, r, V::set(0.5F));
        p = V::fma(p, r, V::set(1.0F));
        p = V::fma(p, r, V::set(1.0F));
        return V::times_power_of_2(p, n);
    }

    // 1 - 2 / (exp(2x) + 1); the clamp of exp keeps it finite.
    KITH_INLINE F tanh(F x) {
        F const t = exp(V::add(x, x));
        return V::div(V::add(t, V::set(-1.0F)), V::add(t, V::set(1.0F)));
    }

    // cap * tanh(x / cap)
    KITH_INLINE F capped(F x, float cap) {
        return V::mul(V::set(cap), tanh(V::mul(x, V::set(1.0F / cap))));
    }

    // gate / (1 + exp(-steepness of gate)) * up
    struct Silu {
        KITH_INLINE F gated(F gate, F up) {
            F const one_plus = V::add(V::set(1.0F), exp(V::sub(V::zero(), gate)));
            return V::mul(V::div(gate, one_plus), up);
        }
    };
    struct Gelu {
        KITH_INLINE F gated(F gate, F up) {
            F const slope =
                V::fma(V::mul(gate, gate), V::set(-0.0713548163F), V::set(-1.59576912F));
            F const one_plus = V::add(V::set(1.0F), exp(V::mul(gate, slope)));
            return V::mul(V::div(gate, one_plus), up);
        }
    };

    template <class Gate>
    KITH_INLINE void gate_all(float* gate, float const* up, std::size_t count) {
        std::size_t i = 0;
        for (; i + lanes <= count; i += lanes)
            V::store(gate + i, Gate::gated(V::load(gate + i), V::load(up + i)));
        float a[lanes] = {};
        float b[lanes] = {};
        for (std::size_t k = i; k < count; ++k) {
            a[k - i] = gate[k];
            b[k - i] = up[k];
        }
        V::store(a, Gate::gated(V::load(a), V::load(b)));
        for (std::size_t k = i; k < count; ++k) gate[k] = a[k - i];
    }

    static void swiglu(float* gate, float const* up, std::size_t count) {
        gate_all<Silu>(gate, up, count);
    }
    static void geglu(float* gate, float const* up, std::size_t count) {
        gate_all<Gelu>(gate, up, count);
    }

    static void soft_cap(float* values, std::size_t count, float cap) {
        std::size_t i = 0;
        for (; i + lanes <= count; i += lanes)
            V::store(values + i, capped(V::load(values + i), cap));
        float a[lanes] = {};
        for (std::size_t k = i; k < count; ++k) a[k - i] = values[k];
        V::store(a, capped(V::load(a), cap));
        for (std::size_t k = i; k < count; ++k) values[k] = a[k - i];
    }
};

}  // namespace kith::infer
