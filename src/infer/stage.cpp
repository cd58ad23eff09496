#include "infer/stage.h"

#include <algorithm>
#include <new>

#include "base/check.h"
#include "infer/finite.h"
#include "infer/stage_state.h"

namespace kith::infer {

using base::Code;
using base::fail;
using base::Result;
using base::Status;

// May these rows be the next of the sequence?
Status Stage::State::check(KvCache const& cache, std::span<float const> hidden,
                           std::size_t position, LayerRange range) const {
    auto const& h = model->hparams_;
    if (!model->has_layers(range))
        return fail(Code::invalid, "forward: these layers are not on this machine");
    if (range.begin < cache.layers_.begin || range.end > cache.layers_.end ||
        cache.heads_count_ != h.kv_heads_count || cache.head_size_ != h.head_size)
        return fail(Code::invalid, "forward: the cache is for other layers");
    auto const tokens = hidden.size() / h.hidden_size;
    if (tokens == 0 || hidden.size() % h.hidden_size != 0 || tokens > forward_tokens_max)
        return fail(Code::invalid, "forward: sizes do not fit");
    if (position > cache.positions_max_ || tokens > cache.positions_max_ - position)
        return fail(Code::too_large, "forward: more positions than the cache has");
    for (auto layer = range.begin; layer < range.end; ++layer)
        if (cache.lengths_[layer - cache.layers_.begin] != position)
            return fail(Code::conflict, "forward: not the next position of this sequence");
    if (!are_finite(hidden)) return fail(Code::invalid, "forward: an input is not a finite number");
    return {};
}

// Takes the steps that may go into the batch; the results of the others are set.
void Stage::State::gather(std::span<Step const> steps, LayerRange range,
                          std::vector<Status>& results) {
    auto const width = model->hparams_.hidden_size;
    places.clear();
    gathered.clear();
    for (std::size_t i = 0; i < steps.size(); ++i) {
        auto const& step = steps[i];
        bool const twice = std::ranges::any_of(
            places, [&step](TokenPlace const& place) { return place.cache == step.cache; });
        auto const tokens = step.hidden.size() / width;
        if (twice) {
            results[i] = fail(Code::conflict, "forward: this sequence is in the batch already");
        } else {
            results[i] = check(*step.cache, step.hidden, step.position, range);
        }
        if (results[i] && tokens > micro_batch_tokens - places.size())
            results[i] = fail(Code::too_large, "forward: more rows than a batch has room for");
        if (!results[i]) continue;
        for (std::size_t t = 0; t < tokens; ++t)
            places.push_back({.cache = step.cache, .position = step.position + t});
        gathered.insert(gathered.end(), step.hidden.begin(), step.hidden.end());
    }
}

Result<Stage> Stage::create(std::shared_ptr<Model const> model, StageOptions options) {
    KITH_ASSERT(model != nullptr);
    if (options.threads == 0 || options.threads > threads_count_max)
        return fail(Code::invalid, "threads: 1 to " + std::to_string(threads_count_max));
    auto state = std::make_unique<State>();
    state->kernels = find_kernels(options.isa);
    if (state->kernels == nullptr)
        return fail(Code::unsupported, "this processor lacks the instructions asked for");
    state->model = std::move(model);
    state->workers = KITH_TRY(Workers::create(options.threads));
    state->attention.resize(options.threads);
    state->scratch.resize(options.threads);
    KITH_TRY(state->take_scratch());
    if (options.repack == Repack::on) state->packed = PackedWeights::create(state->model);
    return Stage(std::move(state));
}

Stage::Stage(std::unique_ptr<State> state) : state_(std::move(state)) {}
Stage::Stage(Stage&&) noexcept = default;
Stage& Stage::operator=(Stage&&) noexcept = default;
Stage::~Stage() = default;

Model const& Stage::model() const {
    return *state_->model;
}

bool Stage::packing() const {
    return state_->packed != nullptr && !state_->packed->complete();
}

Status Stage::embed(std::span<TokenId const> tokens, std::span<float> out) {
    auto const& model = *state_->model;
    if (!model.embedding_) return fail(Code::unsupported, "no embedding on this machine");
    auto const& matrix = *model.embedding_;
    if (tokens.empty() || tokens.size() > forward_tokens_max ||
        out.size() != tokens.size() * matrix.columns)
        return fail(Code::invalid, "embed: sizes do not fit");
    for (auto const token : tokens)
        if (token < 0 || static_cast<std::size_t>(token) >= matrix.rows)
            return fail(Code::invalid, "token " + std::to_string(token) +
                                           " is not in the vocabulary (0 to " +
                                           std::to_string(matrix.rows - 1) + ")");
    for (std::size_t i = 0; i < tokens.size(); ++i)
        dequantise_row(matrix.type,
                       matrix.data + static_cast<std::size_t>(tokens[i]) * matrix.row_stride,
                       out.subspan(i * matrix.columns, matrix.columns));
    if (auto const scale = model.hparams_.embedding_scale; scale != 1.0F)
        for (auto& value : out) value *= scale;
    return {};
}

Status Stage::forward(KvCache& cache, std::span<float> hidden, std::size_t position,
                      LayerRange range, std::atomic<bool> const* cancel) {
    auto& state = *state_;
    KITH_TRY(state.check(cache, hidden, position, range));
    auto const width = state.model->hparams_.hidden_size;
    auto const tokens = hidden.size() / width;
    try {
        for (std::size_t at = 0; at < tokens; at += micro_batch_tokens) {
            auto const count = std::min(micro_batch_tokens, tokens - at);
            state.places.clear();
            for (std::size_t i = 0; i < count; ++i)
                state.places.push_back({.cache = &cache, .position = position + at + i});
            KITH_TRY(state.forward_batch(hidden.subspan(at * width, count * width), range, cancel));
        }
    } catch (std::bad_alloc const&) {
        return fail(Code::too_large, "forward: not enough memory");
    }
    if (!are_finite(hidden)) return fail(Code::invalid, "forward: a result is not a finite number");
    return {};
}

std::vector<Status> Stage::forward_many(std::span<Step const> steps, LayerRange range,
                                        std::atomic<bool> const* cancel) {
    auto& state = *state_;
    std::vector<Status> out(steps.size());
    Status done;
    try {
        state.gather(steps, range, out);
        if (!state.places.empty()) done = state.forward_batch(state.gathered, range, cancel);
    } catch (std::bad_alloc const&) {
        done = fail(Code::too_large, "forward: not enough memory");
    }
    std::span<float const> rest = state.gathered;
    for (std::size_t i = 0; i < steps.size(); ++i) {
        if (out[i]) out[i] = done;
        if (!out[i]) continue;
        auto const rows = rest.first(steps[i].hidden.size());
        rest = rest.subspan(rows.size());
        std::ranges::copy(rows, steps[i].hidden.begin());
        if (!are_finite(rows))
            out[i] = fail(Code::invalid, "forward: a result is not a finite number");
    }
    return out;
}

Status Stage::logits(std::span<float const> hidden_rows, std::span<float> out) {
    auto& state = *state_;
    auto const& model = *state.model;
    if (!model.head_) return fail(Code::unsupported, "no output head on this machine");
    auto const& head = *model.head_;
    auto const rows = hidden_rows.size() / head.columns;
    if (rows == 0 || rows > micro_batch_tokens || hidden_rows.size() != rows * head.columns ||
        out.size() != rows * head.rows)
        return fail(Code::invalid, "logits: sizes do not fit");
    if (!are_finite(hidden_rows))
        return fail(Code::invalid, "logits: an input is not a finite number");
    try {
        state.reserve(rows);
    } catch (std::bad_alloc const&) {
        return fail(Code::too_large, "logits: not enough memory");
    }
    state.normalise(hidden_rows, model.output_norm_, state.normed.data());
    state.set_input(std::span(state.normed).first(hidden_rows.size()), head.columns, {&head});
    state.multiply({{&head, out.data(), head.rows}});
    if (auto const cap = model.hparams_.logits_cap; cap != 0)
        state.kernels->soft_cap(out.data(), out.size(), cap);
    if (!are_finite(out)) return fail(Code::invalid, "logits: a result is not a finite number");
    return {};
}

}  // namespace kith::infer
