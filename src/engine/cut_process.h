// engine/cut_process.h: `kith models add` and `kith model shard`, with the model's file read by a
// confined process: it says which parts go where, this one copies them.
#pragma once

#include "engine/tool_request.h"
#include "engine/worker_program.h"

namespace kith::engine {

struct CutAnswer {
    infer::Manifest manifest;
    int landlock_abi = 0;  // as in ToolAnswer
};

// The errors of infer::plan_cut and carry_out, and those of ask_worker (tool_process.h).
base::Result<CutAnswer> cut_with_worker(WorkerProgram const& program, CutRequest const& request,
                                        std::string const& folder,
                                        infer::Progress const& progress = {});

}  // namespace kith::engine
