// feature/ask/confined_stage.h: the layers of one model in a worker process
// (engine/stage_process.h) and the sequences there that still belong to somebody.
//
// A crash, a limit or nonsense of the worker is the error of the requests that have a sequence in
// it; the next request gets a new worker.
#pragma once

#include <memory>
#include <vector>

#include "engine/stage_process.h"

namespace kith::ask {

// Sequences are made and run on the compute thread; what is const, of any.
class ConfinedStage {
public:
    // Files thread: the worker reads the files, whose bytes were hashed by the caller.
    static base::Result<std::unique_ptr<ConfinedStage>> create(
        engine::WorkerProgram program, std::vector<infer::RegularFile> files,
        engine::StageProcessOptions options);

    // Of the file as the worker reads it, so not to be trusted further than that.
    [[nodiscard]] infer::ModelInfo const& facts() const { return process_.model(); }
    [[nodiscard]] std::size_t kv_size() const { return process_.kv_size(); }
    [[nodiscard]] int landlock_abi() const { return process_.landlock_abi(); }
    // As engine::StageProcess; before the compute thread has the stage.
    [[nodiscard]] base::Bytes take_words() { return process_.take_words(); }
    [[nodiscard]] bool has_layers(infer::LayerRange range) const;

    // Lives in the worker until nobody holds it and sweep() is called, or another is made. Let go
    // of by any thread.
    using Sequence = std::shared_ptr<engine::SequenceId const>;
    base::Result<Sequence> make_sequence(infer::LayerRange layers, std::size_t positions_max);
    // Frees (and wipes) the caches of sequences that nobody holds any more.
    void sweep();

    // Code::unavailable where the worker ended, also when it ended before this step.
    base::Status run(engine::StageProcess::Run const& step, std::atomic<bool> const& cancel);

private:
    explicit ConfinedStage(engine::StageProcess process) : process_(std::move(process)) {}
    struct Given {
        std::weak_ptr<engine::SequenceId const> holder;
        engine::SequenceId id;
    };
    engine::StageProcess process_;
    std::vector<Given> given_;  // at most engine::sequences_max
};

}  // namespace kith::ask
