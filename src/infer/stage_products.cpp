#include <algorithm>
#include <new>

#include "base/check.h"
#include "infer/stage_state.h"

namespace kith::infer {

using base::Code;
using base::fail;
using base::Status;

namespace {

// Rows of a matrix one task computes, and rows that pass over one tile of activations while they
// are in cache.
constexpr std::size_t task_rows_max = 64;
constexpr std::size_t task_rows_min = chunk_rows;
constexpr std::size_t cached_rows = 8;
constexpr std::size_t cached_tokens = 8;
constexpr std::size_t tasks_per_thread =
    8;  // so that a thread that was held up does not hold up the others

}  // namespace

Status Stage::State::take_scratch() {
    std::size_t size = 0;
    for (auto const* const matrix : model->multiplied_matrices())
        if (can_pack(matrix->type)) size = std::max(size, chunk_bytes(*matrix));
    for (auto const* const matrix : model->expert_matrices())
        if (can_pack(matrix->type)) size = std::max(size, chunk_bytes(*matrix));
    try {
        for (auto& buffer : scratch) buffer.resize(size);
    } catch (std::bad_alloc const&) {
        return fail(Code::too_large, "not enough memory for the stage");
    }
    return {};
}

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
         .quants_offset = packed_quants_offset(matrix.type, matrix.columns),
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

}  // namespace kith::infer
