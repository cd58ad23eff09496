// The second half of a layer: gated feed-forward parts, one for all tokens or chosen experts.
#include <algorithm>
#include <cmath>

#include "infer/stage_state.h"

namespace kith::infer {

// out = down(activation(gate(in)) * up(in)), all rows.
void Stage::State::run_gated(Matrix const& gate_matrix, Matrix const& up_matrix,
                             Matrix const& down_matrix, std::span<float const> in, float* out) {
    auto const size = gate_matrix.rows;
    auto const tokens = in.size() / gate_matrix.columns;
    auto const activate = traits().gate == Gate::silu ? kernels->swiglu : kernels->geglu;
    set_input(in, gate_matrix.columns, {&gate_matrix, &up_matrix});
    multiply({{&gate_matrix, gate.data(), size}, {&up_matrix, up.data(), size}});
    workers->run(tokens, [&](std::size_t token, std::size_t) {
        activate(&gate[token * size], &up[token * size], size);
    });
    set_input(std::span(gate).first(tokens * size), size, {&down_matrix});
    multiply({{&down_matrix, out, down_matrix.rows}});
}

void Stage::State::run_feed_forward(LayerWeights const& layer, std::span<float const> hidden) {
    normalise(hidden, layer.feed_forward_norm, normed.data());
    if (!layer.experts.empty()) return run_experts(layer, hidden);
    run_gated(layer.gate, layer.up, layer.down, std::span(normed).first(hidden.size()), sum.data());
}

// Every token is computed by its own experts and their answers are added in the order of its
// choice, so that nothing depends on what else is in the batch.
void Stage::State::run_experts(LayerWeights const& layer, std::span<float const> hidden) {
    auto const& h = model->hparams_;
    auto const tokens = hidden.size() / h.hidden_size;
    set_input(std::span(normed).first(hidden.size()), h.hidden_size, {&layer.router});
    multiply({{&layer.router, scores.data(), h.experts_count}});
    choose_experts(tokens);
    for (std::size_t begin = 0; begin < choices.size();) {
        auto const expert = choices[begin].expert;
        auto end = begin + 1;
        while (end < choices.size() && choices[end].expert == expert) ++end;
        run_expert(layer.experts[expert], std::span(choices).subspan(begin, end - begin));
        begin = end;
    }
    std::fill_n(sum.begin(), hidden.size(), 0.0F);
    for (std::size_t slot = 0; slot < tokens * h.experts_used; ++slot) {
        float* const to = &sum[slot / h.experts_used * h.hidden_size];
        for (std::size_t i = 0; i < h.hidden_size; ++i) to[i] += answers[slot * h.hidden_size + i];
    }
}

// The highest scores of each token; their weights are the softmax among themselves. Scores that are
// no numbers come last, whatever their sign, so that every order is a strict one.
void Stage::State::choose_experts(std::size_t tokens) {
    auto const& h = model->hparams_;
    std::array<std::size_t, experts_count_max> order{};
    choices.clear();
    for (std::size_t token = 0; token < tokens; ++token) {
        float* const score = &scores[token * h.experts_count];
        for (std::size_t i = 0; i < h.experts_count; ++i) {
            order[i] = i;
            if (std::isnan(score[i])) score[i] = lowest_score;
        }
        auto const last = order.begin() + static_cast<std::ptrdiff_t>(h.experts_used);
        std::partial_sort(order.begin(), last,
                          order.begin() + static_cast<std::ptrdiff_t>(h.experts_count),
                          [score](std::size_t a, std::size_t b) {
                              return score[a] != score[b] ? score[a] > score[b] : a < b;
                          });
        double total = 0;
        auto const weight = [&](std::size_t rank) {
            return std::exp(static_cast<double>(score[order[rank]]) -
                            static_cast<double>(score[order[0]]));
        };
        for (std::size_t rank = 0; rank < h.experts_used; ++rank) total += weight(rank);
        for (std::size_t rank = 0; rank < h.experts_used; ++rank)
            choices.push_back({.expert = order[rank],
                               .slot = token * h.experts_used + rank,
                               .weight = static_cast<float>(weight(rank) / total)});
    }
    std::ranges::sort(choices, {},
                      [](Choice const& choice) { return std::pair(choice.expert, choice.slot); });
}

void Stage::State::run_expert(ExpertWeights const& expert, std::span<Choice const> chosen_by) {
    auto const& h = model->hparams_;
    auto const width = h.hidden_size;
    for (std::size_t i = 0; i < chosen_by.size(); ++i)
        std::copy_n(&normed[chosen_by[i].slot / h.experts_used * width], width, &chosen[i * width]);
    run_gated(expert.gate, expert.up, expert.down,
              std::span(chosen).first(chosen_by.size() * width), sum.data());
    for (std::size_t i = 0; i < chosen_by.size(); ++i)
        for (std::size_t k = 0; k < width; ++k)
            answers[chosen_by[i].slot * width + k] = chosen_by[i].weight * sum[i * width + k];
}

}  // namespace kith::infer
