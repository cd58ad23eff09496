#include "engine/tool_process.h"

#include <sys/socket.h>

#include "engine/stream.h"
#include "engine/tool_worker.h"
#include "engine/worker_memory.h"
#include "infer/kv_cache.h"
#include "sandbox/child_process.h"

namespace kith::engine {
namespace {

using base::Code;
using base::fail;
using base::Result;

constexpr std::uint64_t parser_cpu_seconds = 120;
constexpr std::chrono::minutes parser_patience{2};

bool computes(ToolRequest const& request) {
    return std::holds_alternative<infer::LogitsOptions>(request.tool);
}

sandbox::Limits limits_of(ToolRequest const& request) {
    auto const size = request.file_size;
    if (!computes(request))
        return {.address_space_bytes_max = memory_to_parse(size),
                .cpu_seconds_max = parser_cpu_seconds};
    return {.address_space_bytes_max = memory_to_compute(size, infer::kv_cache_bytes_max)};
}

std::string const& path_of(ToolRequest const& request) {
    return *std::visit([](auto const& options) { return &options.path; }, request.tool);
}

}  // namespace

Result<ToolAnswer> ask_worker(WorkerProgram const& program,
                              decltype(ToolRequest::tool) const& tool) {
    auto const& path = *std::visit([](auto const& options) { return &options.path; }, tool);
    return ask_worker_of(program, KITH_TRY(infer::open_regular(path)), tool);
}

Result<ToolAnswer> ask_worker_of(WorkerProgram const& program, infer::RegularFile const& file,
                                 decltype(ToolRequest::tool) const& tool) {
    ToolRequest request{.tool = tool};
    request.file_size = file.size;
    request.limits = limits_of(request);
    auto const bytes = KITH_TRY(encode(request));
    auto pair = KITH_TRY(SocketPair::create());
    auto child = KITH_TRY(
        sandbox::ChildProcess::start({.program = program.path,
                                      .arguments = {worker_word, tool_word},
                                      .environment = program.environment,
                                      .descriptors = {pair.theirs.get(), file.file.get()}}));
    pair.theirs = {};
    // A worker that is gone already is found out below.
    (void)write_all(Writer::node, pair.ours.get(), bytes);
    ::shutdown(pair.ours.get(), SHUT_WR);
    auto const answered =
        read_to_end(pair.ours.get(), tool_answer_bytes_max,
                    computes(request) ? std::chrono::milliseconds(0)
                                      : std::chrono::milliseconds(parser_patience));
    // A worker that ended before it read the request breaks the connection, one that read it
    // closes.
    bool const has_ended =
        answered ? answered->empty() : answered.error().code == Code::unavailable;
    if (!answered && !has_ended)
        return fail(answered.error().code, "model worker: " + answered.error().message);
    if (has_ended) {
        auto const ending = child.wait();
        return fail(Code::internal, "the model worker " + sandbox::describe(ending) +
                                        " without an answer: the file may be damaged or hostile");
    }
    auto answer = decode_tool_answer(*answered);
    if (!answer) return fail(answer.error().code, path_of(request) + ": " + answer.error().message);
    return answer;
}

}  // namespace kith::engine
