#include "feature/ask/confined_stage.h"

#include <algorithm>

namespace kith::ask {

using base::Code;
using base::fail;

base::Result<std::unique_ptr<ConfinedStage>> ConfinedStage::create(
    engine::WorkerProgram program, std::vector<infer::RegularFile> files,
    engine::StageProcessOptions options) {
    auto process = KITH_TRY(
        engine::StageProcess::create(std::move(program), std::move(files), std::move(options)));
    return std::unique_ptr<ConfinedStage>(new ConfinedStage(std::move(process)));
}

bool ConfinedStage::has_layers(infer::LayerRange range) const {
    return std::ranges::any_of(facts().layers, [range](auto const& held) {
        return range.begin < range.end && held.begin <= range.begin && range.end <= held.end;
    });
}

base::Result<ConfinedStage::Sequence> ConfinedStage::make_sequence(infer::LayerRange layers,
                                                                   std::size_t positions_max) {
    sweep();
    auto const id = KITH_TRY(process_.make_sequence(layers, positions_max));
    auto made = std::make_shared<engine::SequenceId const>(id);
    given_.push_back({made, id});
    return made;
}

void ConfinedStage::sweep() {
    std::erase_if(given_, [this](Given const& given) {
        if (!given.holder.expired()) return false;
        process_.drop(given.id);
        return true;
    });
}

base::Status ConfinedStage::run(engine::StageProcess::Run const& step,
                                std::atomic<bool> const& cancel) {
    auto const done = process_.run(step, &cancel);
    if (!done && done.error().code == Code::not_found)
        return fail(Code::unavailable,
                    "the process that computed this answer has ended; ask again");
    return done;
}

}  // namespace kith::ask
