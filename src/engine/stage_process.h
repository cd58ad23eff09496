// engine/stage_process.h: infer::Stage in a confined process: a flaw that a model file finds in
// the engine is an error of one call, not the end of the node or the loss of its keys.
//
// Steps of sequences give the same bits as infer/stage.h. Caches live in the worker and have
// numbers. When the worker crashes, is ended by a limit, does not stop when it is told to, or says
// what cannot be, the running call fails with Code::unavailable and the worker is ended. Its caches
// are gone then: their numbers give Code::not_found. The next call that needs none starts another
// worker: at once after the first end, later each time when one end follows another
// (restart_pause).
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "engine/border.h"
#include "engine/stage_start.h"
#include "engine/worker_program.h"
#include "infer/regular_file.h"
#include "ports/clock.h"
#include "sandbox/child_starter.h"

namespace kith::engine {

inline constexpr std::size_t sequences_max = 4096;  // made and not dropped

// How long no other worker is started after the how manieth end in a row: 0, 1, 2, 4 ... seconds,
// at most restart_pause_max. A worker that still answered restart_calm after its start begins a new
// row with its end; one that hung for that long does not.
inline constexpr base::Duration restart_pause_max = std::chrono::seconds(60);
inline constexpr base::Duration restart_calm = std::chrono::seconds(60);
base::Duration restart_pause(std::uint32_t ends_in_a_row);

struct StageProcessOptions {
    infer::StageOptions stage = {};
    // Of all caches together; with the files and what is packed of them the worker's memory limit.
    std::uint64_t caches_bytes_max = infer::kv_cache_bytes_max;
    // After these the worker is ended. About: they are counted in waits, not by a clock. The second
    // is for one that is told to stop, and for calls that compute nothing.
    std::chrono::milliseconds answer_patience = std::chrono::minutes(10);
    std::chrono::milliseconds cancel_patience = std::chrono::seconds(20);
    // For the pauses between workers, asked on the thread of the call; nullptr: there are none.
    // Outlives the process.
    ports::Clock const* clock = nullptr;
    // Told of each end that was not asked for, on the thread of the call.
    std::function<void(std::string const& sentence)> on_loss = {};
};

struct SequenceId {
    std::uint32_t worker = 0;  // the how manieth
    std::uint32_t number = 0;
};

// Not thread-safe: one call at a time, of any thread; model() and kv_size() never change and may be
// read at any time. The worker ends with this object and with this process, also when that is
// killed.
class StageProcess {
public:
    // Starts the worker and waits until it has read the files: a whole model or shards of one, in
    // any order. Errors as infer::Model::load and Stage::create; Code::unavailable: the worker did
    // not get that far; Code::unsupported: this kernel cannot confine it.
    static base::Result<StageProcess> create(WorkerProgram program,
                                             std::vector<infer::RegularFile> files,
                                             StageProcessOptions options = {});

    [[nodiscard]] infer::ModelInfo const& model() const { return facts_.model; }
    [[nodiscard]] std::size_t kv_size() const { return facts_.kv_size; }  // Hparams::kv_size()
    // Of the worker's kernel, 0 for none: then seccomp alone holds it.
    [[nodiscard]] int landlock_abi() const { return facts_.landlock_abi; }
    // What the files say about text, as the first worker read it: a message for
    // decode_words(words_message.h). Once.
    [[nodiscard]] base::Bytes take_words() { return std::move(words_); }

    // One step of a sequence in one crossing: token ids or rows in, through `layers`, rows or
    // logits out. The same as embed(), forward() and logits() of infer::Stage one after the other.
    // After an error the sequence is of no use but to be dropped. `cancel` is looked at every few
    // milliseconds here, and between layers there.
    struct Run {
        SequenceId sequence = {};  // not looked at when `layers` is empty
        std::size_t position = 0;
        infer::LayerRange layers = {};
        std::span<infer::TokenId const> tokens = {};  // empty: the rows are there already
        std::span<float> hidden = {};                 // [n][hidden_size], 1 <= n <= border_rows_max
        // [vocabulary_size], of the last row; then `hidden` is as it was. Empty: not wanted.
        std::span<float> logits = {};
    };
    base::Status run(Run const& step, std::atomic<bool> const* cancel = nullptr);

    // Room for positions_max tokens, as infer::KvCache::create; Code::too_large past sequences_max.
    base::Result<SequenceId> make_sequence(infer::LayerRange layers, std::size_t positions_max);
    void drop(SequenceId sequence);  // one that is gone is fine

private:
    struct Worker {
        sandbox::ChildProcess process;
        base::FileDescriptor socket;
        Border border;
        std::uint32_t turn = 0;
    };
    StageProcess(WorkerProgram program, std::vector<infer::RegularFile> files,
                 StageProcessOptions options);
    base::Status start();
    base::Status ensure();                     // that there is a worker
    base::Status ensure(SequenceId sequence);  // that there is the one of the sequence
    void note_end(std::string const& sentence);
    [[nodiscard]] base::Instant now() const;
    base::Status exchange(std::atomic<bool> const* cancel = nullptr);
    base::Status exchange_soon();  // for what computes nothing
    base::Status wait(std::atomic<bool> const* cancel, std::chrono::milliseconds patience);
    base::Status reply();
    base::Status lose(std::string const& why);
    [[nodiscard]] base::Status check(SequenceId sequence) const;
    [[nodiscard]] base::Status check(Run const& step) const;
    base::Status take(std::size_t offset, std::span<float> out);
    BorderCommand& command() { return worker_->border.header().command; }

    WorkerProgram program_;
    std::vector<infer::RegularFile> files_;
    StageProcessOptions options_;
    StageFacts facts_;  // of the first worker; the others say the same
    base::Bytes words_;
    sandbox::ChildStarter starter_;  // outlives the worker
    std::optional<Worker> worker_;
    std::uint32_t workers_count_ = 0;
    std::uint32_t ends_in_a_row_ = 0;
    base::Instant started_at_{};
    base::Instant answered_at_{};
    base::Instant next_start_{};
    std::uint32_t next_number_ = 0;
    std::size_t sequences_count_ = 0;  // of the present worker
};

}  // namespace kith::engine
