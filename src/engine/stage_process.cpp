#include "engine/stage_process.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/sabotage.h"
#include "engine/stage_worker.h"
#include "engine/stream.h"
#include "engine/worker_error.h"
#include "engine/worker_memory.h"
#include "infer/finite.h"

namespace kith::engine {
namespace {

using base::Code;
using base::fail;
using base::Result;
using base::Status;
using infer::LayerRange;

constexpr std::chrono::milliseconds tick{2};  // how long a wait is without looking around
constexpr std::chrono::minutes start_patience{2};

std::uint64_t files_bytes(std::vector<infer::RegularFile> const& files) {
    std::uint64_t sum = 0;
    for (auto const& file : files) sum += file.size;
    return sum;
}

// Whether another worker read the same model: the caller relies on what the first one said.
bool are_same(StageFacts const& one, StageFacts const& other) {
    return encode(Result<StageFacts>(one)) == encode(Result<StageFacts>(other));
}

Status wrong_sizes() {
    return fail(Code::invalid, "rows and their sizes do not fit together");
}

}  // namespace

base::Duration restart_pause(std::uint32_t ends_in_a_row) {
    constexpr std::uint32_t doublings_max = 6;
    if (ends_in_a_row <= 1) return base::Duration(0);
    auto const pause = std::chrono::seconds(1U << std::min(ends_in_a_row - 2, doublings_max));
    return std::min<base::Duration>(pause, restart_pause_max);
}

StageProcess::StageProcess(WorkerProgram program, std::vector<infer::RegularFile> files,
                           StageProcessOptions options)
    : program_(std::move(program)), files_(std::move(files)), options_(std::move(options)) {}

Result<StageProcess> StageProcess::create(WorkerProgram program,
                                          std::vector<infer::RegularFile> files,
                                          StageProcessOptions options) {
    if (files.empty() || files.size() > infer::model_files_max)
        return fail(Code::invalid, "a model has 1 to 1024 files");
    StageProcess made(std::move(program), std::move(files), std::move(options));
    KITH_TRY(made.start());
    return made;
}

Status StageProcess::start() {
    auto pair = KITH_TRY(SocketPair::create());
    auto const memory = KITH_TRY(Border::create());
    StageStart message{.stage = options_.stage, .wants_words = workers_count_ == 0};
    message.limits.address_space_bytes_max =
        memory_to_compute(files_bytes(files_), options_.caches_bytes_max);
    sandbox::Launch launch{.program = program_.path,
                           .arguments = {worker_word, stage_word},
                           .environment = program_.environment,
                           .descriptors = {pair.theirs.get(), memory.get()}};
    for (auto const& file : files_) {
        launch.descriptors.push_back(file.file.get());
        message.file_sizes.push_back(file.size);
    }
    message.limits.descriptors_max = sandbox::first_descriptor + launch.descriptors.size();
    auto child = KITH_TRY(starter_.start(launch));
    pair.theirs = {};
    (void)write_message(Writer::node, pair.ours.get(), encode(message));
    auto const answer = read_message(pair.ours.get(), stage_message_bytes_max, start_patience);
    if (!answer) {
        child.kill();
        return fail(Code::unavailable, "the model worker " + sandbox::describe(child.wait()) +
                                           " while it read the model");
    }
    auto facts = KITH_TRY(decode_stage_facts(*answer));
    if (facts.model.weight_bytes > files_bytes(files_))
        return fail(Code::corrupt, "the model worker speaks of more weights than the files have");
    if (auto const size = std::exchange(facts.words_bytes, 0); message.wants_words) {
        auto const left = KITH_TRY(Border::map(memory.get(), size));
        words_ = base::to_bytes(left.bytes());  // out of the worker's reach before it is read
    }
    if (workers_count_ > 0 && !KITH_GUARD("S87.worker_same", are_same(facts, facts_)))
        return fail(Code::corrupt, "the model's files have changed, or its worker says so");
    auto border =
        KITH_TRY(Border::map(memory.get(), Border::data_bytes_for(facts.model.hidden_size,
                                                                  facts.model.vocabulary_size)));
    if (workers_count_ == 0) facts_ = std::move(facts);
    started_at_ = answered_at_ = now();
    worker_.emplace(Worker{std::move(child), std::move(pair.ours), std::move(border)});
    ++workers_count_;
    sequences_count_ = 0;
    return {};
}

Status StageProcess::ensure() {
    if (worker_ && is_closed(worker_->socket.get())) (void)lose("ended between calls");
    if (worker_) return {};
    bool const may_start = now() >= next_start_;
    if (!KITH_GUARD("S87.restart_pause", may_start))
        return fail(Code::unavailable,
                    "the model worker ended " + std::to_string(ends_in_a_row_) +
                        " times in a row; try again in " +
                        std::to_string(
                            std::chrono::ceil<std::chrono::seconds>(next_start_ - now()).count()) +
                        " s, when another one may start (kith serve's log says why it ended)");
    auto const started = start();
    if (!started) note_end("a model worker could not be started: " + started.error().message);
    return started;
}

Status StageProcess::ensure(SequenceId sequence) {
    if (worker_ && is_closed(worker_->socket.get())) (void)lose("ended between calls");
    return check(sequence);
}

base::Instant StageProcess::now() const {
    return options_.clock == nullptr ? base::Instant{} : options_.clock->now();
}

void StageProcess::note_end(std::string const& sentence) {
    // What hung was not calm, and what did not start at all cannot use the calm of the one before.
    bool const is_calm = std::exchange(answered_at_, started_at_) - started_at_ >= restart_calm;
    ends_in_a_row_ = KITH_GUARD("S87.restart_row", is_calm) ? 1 : ends_in_a_row_ + 1;
    if (options_.clock != nullptr) next_start_ = now() + restart_pause(ends_in_a_row_);
    if (options_.on_loss) options_.on_loss(sentence);
}

// Ends the worker; the sentence says what it did.
Status StageProcess::lose(std::string const& why) {
    worker_->process.kill();
    auto const ending = worker_->process.wait();
    worker_.reset();
    auto const sentence =
        "the model worker " + why + " (" + sandbox::describe(ending) + "); its sequences are gone";
    note_end(sentence);
    return fail(Code::unavailable, sentence);
}

// One turn: the command is in the header, the reply is there afterwards.
Status StageProcess::exchange(std::atomic<bool> const* cancel) {
    return wait(cancel, options_.answer_patience);
}

Status StageProcess::exchange_soon() {
    return wait(nullptr, std::min(options_.answer_patience, options_.cancel_patience));
}

Status StageProcess::wait(std::atomic<bool> const* cancel, std::chrono::milliseconds patience) {
    auto& header = worker_->border.header();
    header.cancel.store(cancel != nullptr && cancel->load());
    header.asked.store(++worker_->turn, std::memory_order_release);
    wake(header.asked);
    // A worker that wakes us without an answer makes these pass faster, not slower.
    auto const ticks_max = patience / tick;
    auto const cancel_ticks_max = options_.cancel_patience / tick;
    std::int64_t cancel_ticks = 0;
    for (std::int64_t ticks = 0; ticks < ticks_max; ++ticks) {
        auto const seen = header.answered.load(std::memory_order_acquire);
        if (seen == worker_->turn) {
            answered_at_ = now();
            return {};
        }
        sleep_while(header.answered, seen, tick);
        if (header.answered.load(std::memory_order_acquire) == worker_->turn) continue;
        if (is_closed(worker_->socket.get())) return lose("crashed");
        if (cancel == nullptr || !cancel->load()) continue;
        header.cancel.store(true);
        if (++cancel_ticks > cancel_ticks_max) return lose("did not stop when it was told to");
    }
    return lose("gave no answer in time");
}

Status StageProcess::reply() {
    BorderReply copy;
    std::memcpy(&copy, &worker_->border.header().reply, sizeof(copy));
    if (copy.code == 0) return {};
    if (!KITH_GUARD("S87.worker_code", copy.code <= 1 + static_cast<std::uint32_t>(Code::internal)))
        return lose("spoke of an unknown error");
    std::string_view const message(copy.message, ::strnlen(copy.message, border_message_bytes));
    return fail(static_cast<Code>(copy.code - 1), plain_text(message, border_message_bytes));
}

// Copies rows out, once, and looks at the copy.
Status StageProcess::take(std::size_t offset, std::span<float> out) {
    auto const rows = worker_->border.floats(offset, out.size());
    std::memcpy(out.data(), rows.data(), rows.size_bytes());
    if (!KITH_GUARD("S87.worker_finite", infer::are_finite(out)))
        return lose("gave what is no number");
    return {};
}

Status StageProcess::check(SequenceId sequence) const {
    if (!worker_ || sequence.worker != workers_count_)
        return fail(Code::not_found, "the sequence ended with its model worker");
    return {};
}

Status StageProcess::check(Run const& step) const {
    auto const width = facts_.model.hidden_size;
    auto const rows = step.hidden.size() / width;
    if (step.hidden.size() % width != 0 || rows == 0 ||
        (!step.tokens.empty() && step.tokens.size() != rows) ||
        (!step.logits.empty() && step.logits.size() != facts_.model.vocabulary_size))
        return wrong_sizes();
    if (rows > border_rows_max) return fail(Code::too_large, "run: too many rows at once");
    // A member's rows: the worker would refuse them too, but where there are only logits to make.
    if (step.tokens.empty() && !infer::are_finite(step.hidden))
        return fail(Code::invalid, "rows that are not finite");
    return {};
}

Status StageProcess::run(Run const& step, std::atomic<bool> const* cancel) {
    KITH_TRY(check(step));
    bool const has_layers = step.layers.begin != step.layers.end;
    KITH_TRY(has_layers ? ensure(step.sequence) : ensure());
    auto const rows = step.hidden.size() / facts_.model.hidden_size;
    auto const& border = worker_->border;
    if (step.tokens.empty())
        std::ranges::copy(step.hidden, border.floats(0, step.hidden.size()).begin());
    else
        std::ranges::copy(step.tokens, border.ids(step.hidden.size(), rows).begin());
    command().operation = Operation::run;
    command().parts =
        (step.tokens.empty() ? 0 : part_embed) | (step.logits.empty() ? 0 : part_logits);
    command().layers_begin = step.layers.begin;
    command().layers_end = step.layers.end;
    command().step = {.position = step.position,
                      .cache = step.sequence.number,
                      .rows = static_cast<std::uint32_t>(rows)};
    KITH_TRY(exchange(cancel));
    KITH_TRY(reply());
    if (step.logits.empty()) return take(0, step.hidden);
    return take(step.hidden.size() + rows, step.logits);
}

Result<SequenceId> StageProcess::make_sequence(LayerRange layers, std::size_t positions_max) {
    KITH_TRY(ensure());
    if (sequences_count_ == sequences_max) return fail(Code::too_large, "too many sequences");
    SequenceId const made{.worker = workers_count_, .number = ++next_number_};
    command().operation = Operation::make_cache;
    command().size = positions_max;
    command().layers_begin = layers.begin;
    command().layers_end = layers.end;
    command().step = {.cache = made.number};
    KITH_TRY(exchange_soon());
    KITH_TRY(reply());
    ++sequences_count_;
    return made;
}

void StageProcess::drop(SequenceId sequence) {
    if (!worker_ || !check(sequence)) return;
    command().operation = Operation::drop;
    command().step = {.cache = sequence.number};
    if (exchange_soon() && worker_ && sequences_count_ > 0) --sequences_count_;
}

}  // namespace kith::engine
