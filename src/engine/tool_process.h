// engine/tool_process.h: `kith model inspect` and its like, with the file read by a confined
// process: a flaw in a parser is an error of this one call.
#pragma once

#include "engine/tool_request.h"
#include "engine/worker_program.h"
#include "infer/regular_file.h"

namespace kith::engine {

// As infer::model_inspect, model_tokenize and model_logits (infer/model_tool.h), with their errors.
// Further: Code::internal when the worker crashed, was ended by a limit or said nonsense;
// Code::timeout when it was silent for two minutes (not for logits); Code::unsupported when the
// kernel cannot confine it.
base::Result<ToolAnswer> ask_worker(WorkerProgram const& program,
                                    decltype(ToolRequest::tool) const& tool);
// The same of a file that is open already, whose path in the request is its name for people.
base::Result<ToolAnswer> ask_worker_of(WorkerProgram const& program, infer::RegularFile const& file,
                                       decltype(ToolRequest::tool) const& tool);

}  // namespace kith::engine
