#include "infer/stage.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <new>
#include <vector>

#include "base/check.h"
#include "infer/packed/weights.h"
#include "infer/workers.h"

namespace kith::infer {
namespace {

using base::Code;
using base::fail;
using base::Result;
using base::Status;

// Rows of a matrix one task computes, and rows that pass over one tile of activations while they
// are in cache.
constexpr std::size_t task_rows_max = 64;
constexpr std::size_t task_rows_min = chunk_rows;
constexpr std::size_t cached_rows = 8;
constexpr std::size_t cached_tokens = 8;
// Queries that share a head's keys and values in one task of attention, about.
constexpr std::size_t task_queries = 64;
constexpr std::size_t tasks_per_thread =
    8;  // so that a thread that was held up does not hold up the others

bool all_finite(std::span<float const> values) {
    // x - x is 0 exactly for finite x, and the sum of zeros stays 0; NaN otherwise. Vectorises.
    float sum = 0;
    for (float const value : values) sum += value - value;
    return sum == 0;
}

// Memory on a 64-byte boundary, grown but never shrunk.
class AlignedBuffer {
public:
    std::byte* resize(std::size_t size) {
        if (storage_.size() * sizeof(Line) < size)
            storage_.resize((size + sizeof(Line) - 1) / sizeof(Line));
        return data();
    }
    [[nodiscard]] std::byte* data() { return reinterpret_cast<std::byte*>(storage_.data()); }
    [[nodiscard]] std::byte const* data() const {
        return reinterpret_cast<std::byte const*>(storage_.data());
    }

private:
    struct alignas(packed_alignment) Line {
        std::array<std::byte, packed_alignment> bytes;
    };
    std::vector<Line> storage_;
};

// What one worker's attention points at.
struct AttentionScratch {
    std::vector<float const*> queries;
    std::vector<float*> out;
    std::vector<std::size_t> ends;
    std::vector<AttendState> states;

    void grow(std::size_t count) {
        if (states.size() >= count) return;
        queries.resize(count);
        out.resize(count);
        ends.resize(count);
        states.resize(count);
    }
};

// One product of the current input with a matrix: out[token * stride + row].
struct Product {
    Matrix const* matrix = nullptr;
    float* out = nullptr;
    std::size_t stride = 0;
};

}  // namespace

struct Stage::State {
    std::shared_ptr<Model const> model;
    KernelTable const* kernels = nullptr;
    std::unique_ptr<Workers> workers;
    std::unique_ptr<PackedWeights> packed;  // nullptr: all is packed into scratch
    std::vector<AlignedBuffer> scratch;     // per worker: one chunk

    // The right-hand side of the next products, in each form that their weights need.
    std::array<AlignedBuffer, activation_kinds_count> input;
    std::size_t input_columns = 0;
    std::size_t input_rows = 0;

    std::vector<float> normed, query, key, value, mixed, gate, up, sum;
    std::vector<float> cosines, sines;        // [token][rope_size / 2]
    std::vector<AttentionScratch> attention;  // per worker

    // Room for one chunk of the largest matrix per worker.
    Status take_scratch();
    // Memory for one forward of `tokens`: taken here, where a refusal can be caught, and never by a
    // worker.
    void reserve(std::size_t tokens);
    [[nodiscard]] std::size_t queries_per_head() const;  // of one token
    [[nodiscard]] std::size_t attention_tokens() const;  // of one task
    void prepare_rope(std::size_t position, std::size_t tokens);
    Status forward_batch(KvCache& cache, std::span<float> hidden, std::size_t position,
                         LayerRange range, std::atomic<bool> const* cancel);
    // The sequence's part of a layer.
    struct Place {
        KvCache& cache;
        std::size_t layer = 0;
        std::size_t position = 0;  // of the first token
    };
    void run_layer(LayerWeights const& layer, std::span<float> hidden, Place const& place);
    void normalise(std::span<float const> rows, std::span<float const> weight, float* out) const;
    void rotate(float* row, std::size_t heads, std::size_t token) const;
    void place_in_sequence(LayerWeights const& layer, std::size_t token, Place const& place);
    void store_keys(float const* row, std::size_t position, Place const& place) const;
    void attend(std::size_t first, std::size_t tokens, std::size_t kv_head, Place const& place,
                AttentionScratch& scratch_of_worker);
    void set_input(std::span<float const> rows, std::size_t columns,
                   std::initializer_list<Matrix const*> matrices);
    void multiply(std::initializer_list<Product> products);
    void multiply_rows(Product const& product, std::size_t begin, std::size_t end,
                       std::size_t worker);
    void multiply_chunk(Product const& product, std::size_t index, std::size_t worker);
    void multiply_float_rows(Product const& product, std::size_t begin, std::size_t end) const;
    void add_to(std::span<float> hidden) const;
};

// ---- products -----------------------------------------------------------------------------------

void Stage::State::set_input(std::span<float const> rows, std::size_t columns,
                             std::initializer_list<Matrix const*> matrices) {
    input_columns = columns;
    input_rows = rows.size() / columns;
    std::array<bool, activation_kinds_count> done{};
    for (auto const* const matrix : matrices) {
        auto const kind = activation_kind(matrix->type);
        auto const index = static_cast<std::size_t>(kind);
        if (std::exchange(done[index], true)) continue;
        auto const stride = activation_row_bytes(kind, columns);
        auto* const out = input[index].resize(stride * input_rows);
        workers->run(input_rows, [=, this](std::size_t i, std::size_t) {
            convert_activations(*kernels, kind, rows.subspan(i * columns, columns),
                                out + i * stride);
        });
    }
}

// All products of one input in one go: one barrier instead of one each.
void Stage::State::multiply(std::initializer_list<Product> products) {
    auto const threads = workers->threads_count();
    struct Task {
        Product const* product;
        std::size_t begin, end;
    };
    std::size_t rows_count = 0;
    for (auto const& product : products) rows_count += product.matrix->rows;
    auto const share = rows_count / (threads * tasks_per_thread) / chunk_rows * chunk_rows;
    auto const step = std::clamp(share, task_rows_min, task_rows_max);

    auto const tasks_of = [step](Product const& p) { return (p.matrix->rows + step - 1) / step; };
    std::size_t tasks_count = 0;
    for (auto const& product : products) tasks_count += tasks_of(product);
    KITH_ASSERT(tasks_count <= worker_tasks_max);
    workers->run(tasks_count, [&](std::size_t index, std::size_t worker) {
        auto const* product = products.begin();
        for (; index >= tasks_of(*product); ++product) index -= tasks_of(*product);
        auto const begin = index * step;
        multiply_rows(*product, begin, std::min(begin + step, product->matrix->rows), worker);
    });
}

// `begin` is a multiple of chunk_rows.
void Stage::State::multiply_rows(Product const& product, std::size_t begin, std::size_t end,
                                 std::size_t worker) {
    if (!can_pack(product.matrix->type)) return multiply_float_rows(product, begin, end);
    for (auto row = begin; row < end; row += chunk_rows)
        multiply_chunk(product, row / chunk_rows, worker);
}

void Stage::State::multiply_chunk(Product const& product, std::size_t index, std::size_t worker) {
    auto const& matrix = *product.matrix;
    std::byte const* groups = packed == nullptr ? nullptr : packed->chunk(matrix, index);
    if (groups == nullptr) {
        pack_chunk(matrix, index, scratch[worker].data());
        groups = scratch[worker].data();
    }
    auto const kind = activation_kind(matrix.type);
    auto const row = index * chunk_rows;
    kernels->packed_function(matrix.type)(
        {.groups = groups,
         .group_stride = packed_group_bytes(matrix.type, matrix.columns),
         .scales_offset = packed_scales_offset(matrix.type, matrix.columns),
         .rows_count = std::min(chunk_rows, matrix.rows - row),
         .columns = matrix.columns,
         .activations = input[static_cast<std::size_t>(kind)].data(),
         .activation_stride = activation_row_bytes(kind, matrix.columns),
         .tokens_count = input_rows,
         .out = product.out + row,
         .out_stride = product.stride});
}

void Stage::State::multiply_float_rows(Product const& product, std::size_t begin,
                                       std::size_t end) const {
    auto const& matrix = *product.matrix;
    auto const dot = kernels->dot(matrix.type);
    auto const kind = activation_kind(matrix.type);
    auto const stride = activation_row_bytes(kind, input_columns);
    auto const* const in = input[static_cast<std::size_t>(kind)].data();
    for (auto rows = begin; rows < end; rows += cached_rows) {
        auto const rows_end = std::min(rows + cached_rows, end);
        for (std::size_t token = 0; token < input_rows; token += cached_tokens) {
            auto const tokens = std::min(cached_tokens, input_rows - token);
            for (auto row = rows; row < rows_end; ++row)
                dot({.weights = matrix.data + row * matrix.row_stride,
                     .activations = in + token * stride,
                     .activation_stride = stride,
                     .rows_count = tokens,
                     .columns = input_columns,
                     .out = product.out + token * product.stride + row,
                     .out_stride = product.stride});
        }
    }
}

// ---- one layer ----------------------------------------------------------------------------------

// RMS norm: x * weight / sqrt(mean(x^2) + epsilon).
void Stage::State::normalise(std::span<float const> rows, std::span<float const> weight,
                             float* out) const {
    auto const columns = weight.size();
    auto const epsilon = model->hparams_.norm_epsilon;
    for (std::size_t at = 0; at < rows.size(); at += columns) {
        auto const mean = kernels->sum_of_squares(&rows[at], columns) / static_cast<float>(columns);
        float const scale = 1.0F / std::sqrt(mean + epsilon);
        for (std::size_t i = 0; i < columns; ++i) out[at + i] = rows[at + i] * scale * weight[i];
    }
}

void Stage::State::prepare_rope(std::size_t position, std::size_t tokens) {
    auto const& h = model->hparams_;
    auto const half = h.rope_size / 2;
    for (std::size_t i = 0; i < half; ++i) {
        auto const exponent = 2.0 * static_cast<double>(i) / static_cast<double>(h.rope_size);
        auto frequency = std::pow(h.rope_base, -exponent) / h.rope_scale;
        if (!model->rope_divisors_.empty())
            frequency /= static_cast<double>(model->rope_divisors_[i]);
        for (std::size_t token = 0; token < tokens; ++token) {
            auto const angle = static_cast<double>(position + token) * frequency;
            cosines[token * half + i] = static_cast<float>(std::cos(angle));
            sines[token * half + i] = static_cast<float>(std::sin(angle));
        }
    }
}

void Stage::State::rotate(float* row, std::size_t heads, std::size_t token) const {
    auto const& h = model->hparams_;
    auto const half = h.rope_size / 2;
    bool const interleaved = h.rope_style == RopeStyle::interleaved;
    for (std::size_t head = 0; head < heads; ++head) {
        float* const x = row + head * h.head_size;
        for (std::size_t i = 0; i < half; ++i) {
            float& a = x[interleaved ? 2 * i : i];
            float& b = x[interleaved ? 2 * i + 1 : i + half];
            float const cosine = cosines[token * half + i];
            float const sine = sines[token * half + i];
            float const rotated = a * cosine - b * sine;
            b = a * sine + b * cosine;
            a = rotated;
        }
    }
}

// Biases and rotation of one token's q, k and v; k and v go into the cache.
void Stage::State::place_in_sequence(LayerWeights const& layer, std::size_t token,
                                     Place const& place) {
    auto const& h = model->hparams_;
    auto const add_bias = [](float* row, std::span<float const> bias) {
        for (std::size_t i = 0; i < bias.size(); ++i) row[i] += bias[i];
    };
    float* const q = &query[token * h.query_size()];
    float* const k = &key[token * h.kv_size()];
    float* const v = &value[token * h.kv_size()];
    add_bias(q, layer.query_bias);
    add_bias(k, layer.key_bias);
    add_bias(v, layer.value_bias);
    rotate(q, h.heads_count, token);
    rotate(k, h.kv_heads_count, token);
    // Keys are float16, so queries are rounded to it too, as every product with float16 is.
    kernels->round_f16(q, q, h.query_size());
    auto const position = place.position + token;
    store_keys(k, position, place);
    for (std::size_t head = 0; head < h.kv_heads_count; ++head)
        kernels->to_f16(v + head * h.head_size,
                        place.cache.values(place.layer, head) + position * h.head_size,
                        h.head_size);
}

void Stage::State::store_keys(float const* row, std::size_t position, Place const& place) const {
    auto const& h = model->hparams_;
    std::array<std::uint16_t, head_size_max> halves;
    for (std::size_t head = 0; head < h.kv_heads_count; ++head) {
        kernels->to_f16(row + head * h.head_size, halves.data(), h.head_size);
        auto* const out = place.cache.keys(place.layer, head) + key_offset(position, h.head_size);
        for (std::size_t d = 0; d < h.head_size; ++d) out[d * kv_lanes] = halves[d];
    }
}

std::size_t Stage::State::queries_per_head() const {
    return model->hparams_.heads_count / model->hparams_.kv_heads_count;
}

std::size_t Stage::State::attention_tokens() const {
    return std::max<std::size_t>(task_queries / queries_per_head(), 1);
}

// The query heads that share one key-value head, for `tokens` tokens, each over all positions up to
// its own.
void Stage::State::attend(std::size_t first, std::size_t tokens, std::size_t kv_head,
                          Place const& place, AttentionScratch& to) {
    auto const& h = model->hparams_;
    auto const group = queries_per_head();
    std::size_t count = 0;
    for (auto token = first; token < first + tokens; ++token)
        for (std::size_t i = 0; i < group; ++i, ++count) {
            auto const at = token * h.query_size() + (kv_head * group + i) * h.head_size;
            to.queries[count] = &query[at];
            to.out[count] = &mixed[at];
            to.ends[count] = place.position + token + 1;
        }
    kernels->packed->attend({.keys = place.cache.keys(place.layer, kv_head),
                             .values = place.cache.values(place.layer, kv_head),
                             .head_size = h.head_size,
                             .queries_count = count,
                             .queries = to.queries.data(),
                             .ends = to.ends.data(),
                             .scale = 1.0F / std::sqrt(static_cast<float>(h.head_size)),
                             .states = to.states.data(),
                             .out = to.out.data()});
}

void Stage::State::add_to(std::span<float> hidden) const {
    for (std::size_t i = 0; i < hidden.size(); ++i) hidden[i] += sum[i];
}

void Stage::State::run_layer(LayerWeights const& layer, std::span<float> hidden,
                             Place const& place) {
    auto const& h = model->hparams_;
    auto const tokens = hidden.size() / h.hidden_size;

    normalise(hidden, layer.attention_norm, normed.data());
    set_input(std::span(normed).first(hidden.size()), h.hidden_size,
              {&layer.query, &layer.key, &layer.value});
    multiply({{&layer.query, query.data(), h.query_size()},
              {&layer.key, key.data(), h.kv_size()},
              {&layer.value, value.data(), h.kv_size()}});
    workers->run(tokens,
                 [&](std::size_t token, std::size_t) { place_in_sequence(layer, token, place); });
    auto const step = attention_tokens();
    auto const tiles = (tokens + step - 1) / step;
    workers->run(tiles * h.kv_heads_count, [&](std::size_t index, std::size_t worker) {
        auto const first = index / h.kv_heads_count * step;
        attend(first, std::min(step, tokens - first), index % h.kv_heads_count, place,
               attention[worker]);
    });
    set_input(std::span(mixed).first(tokens * h.query_size()), h.query_size(), {&layer.output});
    multiply({{&layer.output, sum.data(), h.hidden_size}});
    add_to(hidden);

    normalise(hidden, layer.feed_forward_norm, normed.data());
    set_input(std::span(normed).first(hidden.size()), h.hidden_size, {&layer.gate, &layer.up});
    multiply({{&layer.gate, gate.data(), h.feed_forward_size},
              {&layer.up, up.data(), h.feed_forward_size}});
    workers->run(tokens, [&](std::size_t token, std::size_t) {
        auto const at = token * h.feed_forward_size;
        kernels->swiglu(&gate[at], &up[at], h.feed_forward_size);
    });
    set_input(std::span(gate).first(tokens * h.feed_forward_size), h.feed_forward_size,
              {&layer.down});
    multiply({{&layer.down, sum.data(), h.hidden_size}});
    add_to(hidden);
}

Status Stage::State::take_scratch() {
    std::size_t size = 0;
    for (auto const* const matrix : model->multiplied_matrices())
        if (can_pack(matrix->type)) size = std::max(size, chunk_bytes(*matrix));
    try {
        for (auto& buffer : scratch) buffer.resize(size);
    } catch (std::bad_alloc const&) {
        return fail(Code::too_large, "not enough memory for the stage");
    }
    return {};
}

void Stage::State::reserve(std::size_t tokens) {
    auto const& h = model->hparams_;
    auto const grow = [](std::vector<float>& buffer, std::size_t size) {
        if (buffer.size() < size) buffer.resize(size);
    };
    grow(normed, tokens * h.hidden_size);
    grow(query, tokens * h.query_size());
    grow(key, tokens * h.kv_size());
    grow(value, tokens * h.kv_size());
    grow(mixed, tokens * h.query_size());
    grow(gate, tokens * h.feed_forward_size);
    grow(up, tokens * h.feed_forward_size);
    grow(sum, tokens * h.hidden_size);
    grow(cosines, tokens * h.rope_size / 2);
    grow(sines, tokens * h.rope_size / 2);
    for (auto& one : attention) one.grow(queries_per_head() * attention_tokens());
}

Status Stage::State::forward_batch(KvCache& cache, std::span<float> hidden, std::size_t position,
                                   LayerRange range, std::atomic<bool> const* cancel) {
    auto const tokens = hidden.size() / model->hparams_.hidden_size;
    reserve(tokens);
    prepare_rope(position, tokens);
    for (auto layer = range.begin; layer < range.end; ++layer) {
        if (cancel != nullptr && cancel->load(std::memory_order_relaxed))
            return fail(Code::cancelled, "cancelled between layers");
        run_layer(*model->layers_[layer], hidden,
                  {.cache = cache, .layer = layer, .position = position});
        cache.lengths_[layer - cache.layers_.begin] = position + tokens;
    }
    return {};
}

// ---- the public face ----------------------------------------------------------------------------

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
            return fail(Code::invalid, "embed: no such token");
    for (std::size_t i = 0; i < tokens.size(); ++i)
        dequantise_row(matrix.type,
                       matrix.data + static_cast<std::size_t>(tokens[i]) * matrix.row_stride,
                       out.subspan(i * matrix.columns, matrix.columns));
    return {};
}

Status Stage::forward(KvCache& cache, std::span<float> hidden, std::size_t position,
                      LayerRange range, std::atomic<bool> const* cancel) {
    auto const& h = state_->model->hparams_;
    if (!state_->model->has_layers(range))
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
    if (!all_finite(hidden)) return fail(Code::invalid, "forward: an input is not a finite number");
    try {
        for (std::size_t at = 0; at < tokens; at += micro_batch_tokens) {
            auto const count = std::min(micro_batch_tokens, tokens - at);
            auto const rows = hidden.subspan(at * h.hidden_size, count * h.hidden_size);
            KITH_TRY(state_->forward_batch(cache, rows, position + at, range, cancel));
        }
    } catch (std::bad_alloc const&) {
        return fail(Code::too_large, "forward: not enough memory");
    }
    if (!all_finite(hidden)) return fail(Code::invalid, "forward: a result is not a finite number");
    return {};
}

Status Stage::logits(std::span<float const> hidden_row, std::span<float> out) {
    auto& state = *state_;
    auto const& model = *state.model;
    if (!model.head_) return fail(Code::unsupported, "no output head on this machine");
    auto const& head = *model.head_;
    if (hidden_row.size() != head.columns || out.size() != head.rows)
        return fail(Code::invalid, "logits: sizes do not fit");
    if (!all_finite(hidden_row))
        return fail(Code::invalid, "logits: an input is not a finite number");
    state.reserve(1);
    state.normalise(hidden_row, model.output_norm_, state.normed.data());
    state.set_input(std::span(state.normed).first(head.columns), head.columns, {&head});
    state.multiply({{&head, out.data(), head.rows}});
    if (!all_finite(out)) return fail(Code::invalid, "logits: a result is not a finite number");
    return {};
}

}  // namespace kith::infer
