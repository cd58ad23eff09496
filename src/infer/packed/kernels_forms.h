// infer/packed/kernels_forms.h: a product of any size from tiles, and the table of all packed forms
// for one V.
#pragma once

#include "infer/packed/kernels_attention.h"
#include "infer/packed/kernels_blocks256.h"
#include "infer/packed/kernels_blocks32.h"
#include "infer/packed/kernels_q2_k.h"

namespace kith::infer {

template <class V>
struct PackedForms {
    using B32 = Blocks32<V>;
    using B256 = Blocks256<V>;
    using Mins = typename B32::Mins;
    template <class Weights, Mins mins>
    using Form32 = typename B32::template Form<Weights, mins>;
    template <class Quants>
    using WithMins = typename B256::template WithMins<Quants>;

    template <class Form, std::size_t groups>
    KITH_INLINE void all_tokens(PackedCall const& call, std::size_t group) {
        constexpr auto tokens = V::tile_tokens;
        std::size_t t = 0;
        for (; t + tokens <= call.tokens_count; t += tokens)
            Form::template tile<groups, tokens>(call, group, t);
        if constexpr (tokens > 2)
            for (; t + 2 <= call.tokens_count; t += 2)
                Form::template tile<groups, 2>(call, group, t);
        for (; t < call.tokens_count; ++t) Form::template tile<groups, 1>(call, group, t);
    }

    template <class Form>
    static void run(PackedCall const& call) {
        auto const count = (call.rows_count + packed_rows - 1) / packed_rows;
        std::size_t group = 0;
        for (; group + V::tile_groups <= count; group += V::tile_groups)
            all_tokens<Form, V::tile_groups>(call, group);
        if constexpr (V::tile_groups > 1)
            for (; group < count; ++group) all_tokens<Form, 1>(call, group);
    }

    static constexpr PackedTable table() {
        return {.q8_0 = run<Form32<typename B32::Q8_0, Mins::none>>,
                .q4_0 = run<Form32<typename B32::Q4_0, Mins::none>>,
                .q5_1 = run<Form32<typename B32::Q8_0, Mins::one>>,
                .q4_1 = run<Form32<typename B32::Q4_1, Mins::one>>,
                .q4_k = run<WithMins<typename B256::Nibbles>>,
                .q5_k = run<WithMins<typename B256::SixBits>>,
                .q6_k = run<typename B256::Q6K>,
                .q2_k = run<Q2K<V>>,
                .attend = Attention<V>::attend};
    }
};

}  // namespace kith::infer
