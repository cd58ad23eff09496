#include "engine/tool_worker.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <new>

#include "engine/planted_flaw.h"
#include "engine/stream.h"
#include "engine/tool_request.h"
#include "sandbox/child_process.h"

namespace kith::engine {
namespace {

using base::Code;
using base::fail;
using base::Result;

constexpr int socket_descriptor = sandbox::first_descriptor;
constexpr int file_descriptor = sandbox::first_descriptor + 1;

base::Status call(infer::MappedFile file, infer::InspectOptions const& options, ToolAnswer& out) {
    out.document = KITH_TRY(infer::model_inspect(std::move(file), options));
    return {};
}
base::Status call(infer::MappedFile file, infer::TokenizeOptions const& options, ToolAnswer& out) {
    out.document = KITH_TRY(infer::model_tokenize(std::move(file), options));
    return {};
}
base::Status call(infer::MappedFile file, infer::LogitsOptions const& options, ToolAnswer& out) {
    out.document = KITH_TRY(infer::model_logits(std::move(file), options));
    return {};
}
base::Status call(infer::MappedFile const file, CutRequest const& request, ToolAnswer& out) {
    out.plan = KITH_TRY(infer::plan_cut(file.bytes(), request.rule));
    if (has_flaw("flaw.lie_plan"))
        out.plan->shards.front().front().size = request.path.size() << 40U;
    return {};
}

// What an attacker might do who has got control.
Result<std::string> misbehave() {
    if (has_flaw("flaw.crash")) crash();
    if (has_flaw("flaw.exit")) return std::string();
    if (has_flaw("flaw.chatter")) return std::string("\x1b[2J not JSON");
    if (has_flaw("flaw.flood")) return std::string(tool_answer_bytes_max + 1, ' ');
    if (has_flaw("flaw.leak")) {
        int const file = ::open("/etc/passwd", O_RDONLY);
        std::array<char, 5> stolen{};
        if (file >= 0 && ::read(file, stolen.data(), 4) == 4)
            return "\"" + std::string(stolen.data()) + "\"";
        return fail(Code::forbidden, "nothing to steal");
    }
    return fail(Code::not_found, "no flaw");
}

Result<ToolAnswer> answer(ToolRequest const& request, sandbox::Confinement const& held) {
    auto file = KITH_TRY(infer::MappedFile::map(file_descriptor, request.file_size));
    ToolAnswer out{.landlock_abi = held.landlock_abi};
    auto misdeed = misbehave();
    if (misdeed || misdeed.error().code != Code::not_found) {
        out.document = KITH_TRY(std::move(misdeed));
        return out;
    }
    // The standard library's containers throw, and the address space has an end.
    try {
        KITH_TRY(
            std::visit([&](auto const& options) { return call(std::move(file), options, out); },
                       request.tool));
    } catch (std::bad_alloc const&) {
        return fail(Code::too_large, "the file wants more memory than it may have");
    }
    return out;
}

Result<ToolAnswer> work() {
    auto const bytes = KITH_TRY(
        read_to_end(socket_descriptor, tool_request_bytes_max, std::chrono::milliseconds(0)));
    auto const request = KITH_TRY(decode_tool_request(bytes));
    auto const held = KITH_TRY(sandbox::confine({.limits = request.limits}));
    return answer(request, held);
}

}  // namespace

int tool_worker() {
    sandbox::end_with_parent();
    auto const bytes = encode(work());
    if (!has_flaw("flaw.exit")) (void)write_all(Writer::worker, socket_descriptor, bytes);
    // No destructors: a leak check at exit would stop its threads with calls that are forbidden.
    ::_exit(0);
}

}  // namespace kith::engine
