#include "engine/cut_process.h"

#include "engine/tool_process.h"

namespace kith::engine {

base::Result<CutAnswer> cut_with_worker(WorkerProgram const& program, CutRequest const& request,
                                        std::string const& folder,
                                        infer::Progress const& progress) {
    auto const file = KITH_TRY(infer::open_regular(request.path));
    auto const answer = KITH_TRY(ask_worker_of(program, file, request));
    if (!answer.plan)
        return base::fail(base::Code::internal, "the model worker gave no plan to cut");
    return CutAnswer{KITH_TRY(infer::carry_out(*answer.plan, file, folder, progress)),
                     answer.landlock_abi};
}

}  // namespace kith::engine
