// engine/tool_request.h: what the command line asks a worker about one model file, and its answer,
// as bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "base/bytes.h"
#include "base/result.h"
#include "infer/cut_plan.h"
#include "infer/model_tool.h"
#include "sandbox/confinement.h"

namespace kith::engine {

inline constexpr std::size_t tool_request_bytes_max = std::size_t{4} << 20U;
inline constexpr std::size_t tool_answer_bytes_max = std::size_t{64} << 20U;

struct CutRequest {
    std::string path = {};
    infer::CutRule rule = {};
};

struct ToolRequest {
    std::variant<infer::InspectOptions, infer::TokenizeOptions, infer::LogitsOptions, CutRequest>
        tool;
    std::uint64_t file_size = 0;
    sandbox::Limits limits = {};
};

struct ToolAnswer {
    std::string document = {};                // JSON; empty where there is
    std::optional<infer::CutPlan> plan = {};  // that was asked for
    int landlock_abi = 0;                     // what the worker's kernel has; the worker says so
};

// Code::too_large when texts and tokens do not fit.
base::Result<base::Bytes> encode(ToolRequest const& request);
base::Result<ToolRequest> decode_tool_request(base::ByteView bytes);

base::Bytes encode(base::Result<ToolAnswer> const& answer);
// The worker's answer or its error. Code::internal: neither; nothing that it says is trusted.
base::Result<ToolAnswer> decode_tool_answer(base::ByteView bytes);

}  // namespace kith::engine
