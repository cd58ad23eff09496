// infer/stage_state.h: what a Stage is made of. For stage*.cpp only.
//
// stage_products.cpp multiplies activations with weights, stage_attention.cpp and
// stage_feed_forward.cpp are the parts of one layer of one batch, stage_layer.cpp runs layers,
// stage.cpp checks what comes from outside.
#pragma once

#include <array>
#include <initializer_list>
#include <vector>

#include "infer/arch/architecture.h"
#include "infer/packed/weights.h"
#include "infer/stage.h"
#include "infer/workers.h"

namespace kith::infer {

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
    std::vector<std::size_t> begins, ends;
    std::vector<AttendState> states;

    void grow(std::size_t count) {
        if (states.size() >= count) return;
        queries.resize(count);
        out.resize(count);
        begins.resize(count);
        ends.resize(count);
        states.resize(count);
    }
};

// Where a row of a batch belongs.
struct TokenPlace {
    KvCache* cache = nullptr;
    std::size_t position = 0;
};

// Rows of a batch that are attended to together: neighbours in one sequence.
struct TokenRun {
    std::size_t first = 0;
    std::size_t count = 0;
};

// How the rows of a batch rotate.
struct Rotations {
    std::vector<float> cosines, sines;  // [token][rope_size / 2]
};

// An expert that a token of the batch chose.
struct Choice {
    std::size_t expert = 0;
    std::size_t slot = 0;  // token * experts_used + its rank for the token
    float weight = 0;
};

// One product of the current input with a matrix: out[token * stride + row].
struct Product {
    Matrix const* matrix = nullptr;
    float* out = nullptr;
    std::size_t stride = 0;
};

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
    std::array<Rotations, 2> rotations;       // of layers without and with a window
    std::vector<float> scores;                // of the router: [token][expert]
    std::vector<Choice> choices;              // by expert
    std::vector<float> chosen, answers;       // rows of one expert; of all slots
    std::vector<AttentionScratch> attention;  // per worker
    std::vector<TokenPlace> places;           // of the present batch's rows
    std::vector<TokenRun> runs;               // of the same
    std::vector<float> gathered;              // rows of several sequences

    // Room for one chunk of the largest matrix per worker.
    base::Status take_scratch();
    // Memory for one forward of `tokens`: taken here, where a refusal can be caught, and never by a
    // worker.
    void reserve(std::size_t tokens);
    [[nodiscard]] std::size_t queries_per_head() const;  // of one token
    [[nodiscard]] std::size_t attention_tokens() const;  // of one task
    void prepare_rope();
    void prepare_rotations(Rotations& out, bool windowed);
    void prepare_runs();
    // Rows `hidden` belong to `places`.
    base::Status forward_batch(std::span<float> hidden, LayerRange range,
                               std::atomic<bool> const* cancel);
    [[nodiscard]] base::Status check(KvCache const& cache, std::span<float const> hidden,
                                     std::size_t position, LayerRange range) const;
    void gather(std::span<Step const> steps, LayerRange range, std::vector<base::Status>& results);
    [[nodiscard]] ArchitectureTraits const& traits() const;
    void run_layer(LayerWeights const& layer, std::size_t index, std::span<float> hidden);
    // Both leave in `sum` what they add to `hidden`.
    void run_attention(LayerWeights const& layer, std::size_t index, std::span<float const> hidden);
    void run_feed_forward(LayerWeights const& layer, std::span<float const> hidden);
    void run_experts(LayerWeights const& layer, std::span<float const> hidden);
    void choose_experts(std::size_t tokens);
    void run_expert(ExpertWeights const& expert, std::span<Choice const> chosen_by);
    void run_gated(Matrix const& gate_matrix, Matrix const& up_matrix, Matrix const& down_matrix,
                   std::span<float const> in, float* out);
    void normalise(std::span<float const> rows, std::span<float const> weight, float* out) const;
    void rotate(float* row, std::size_t heads, std::size_t token, Rotations const& by) const;
    void place_in_sequence(LayerWeights const& layer, std::size_t index, std::size_t token);
    void store_keys(float const* row, std::size_t layer, TokenPlace const& place) const;
    void attend(std::size_t layer, TokenRun run, std::size_t kv_head, AttentionScratch& to);
    void set_input(std::span<float const> rows, std::size_t columns,
                   std::initializer_list<Matrix const*> matrices);
    void multiply(std::initializer_list<Product> products);
    void multiply_rows(Product const& product, std::size_t begin, std::size_t end,
                       std::size_t worker);
    void multiply_chunk(Product const& product, std::size_t index, std::size_t worker);
    void multiply_float_rows(Product const& product, std::size_t begin, std::size_t end) const;
    void add_to(std::span<float> hidden) const;
};

}  // namespace kith::infer
