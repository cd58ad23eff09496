#include "engine/tool_request.h"

#include <algorithm>
#include <boost/json.hpp>
#include <utility>

#include "base/sabotage.h"
#include "engine/cut_message.h"
#include "engine/worker_error.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace kith::engine {
namespace {

using base::Code;
using base::fail;
using base::Result;

constexpr std::uint8_t answer_is_document = 0;
constexpr std::uint8_t answer_is_error = 1;
constexpr std::uint8_t answer_is_plan = 2;

// Values of an enum without gaps, from 0.
template <class Enum>
Result<Enum> enum_of(std::uint8_t value, Enum last) {
    if (value > static_cast<std::uint8_t>(last)) return fail(Code::invalid, "unknown value");
    return static_cast<Enum>(value);
}

void write(wire::Writer& out, infer::InspectOptions const& options) {
    out.prefixed_u32(base::as_bytes(options.path)).u64(options.items_max);
}

void write(wire::Writer& out, infer::TokenizeOptions const& options) {
    out.prefixed_u32(base::as_bytes(options.path))
        .prefixed_u32(base::as_bytes(options.text))
        .u8(static_cast<std::uint8_t>(options.begin))
        .u8(static_cast<std::uint8_t>(options.specials));
}

void write(wire::Writer& out, infer::LogitsOptions const& options) {
    out.prefixed_u32(base::as_bytes(options.path))
        .u64(options.top_k)
        .u64(options.threads)
        .u8(static_cast<std::uint8_t>(options.isa))
        .u64(options.positions_max);
    out.u32(static_cast<std::uint32_t>(options.tokens.size()));
    for (auto const token : options.tokens) out.u32(static_cast<std::uint32_t>(token));
}

void write(wire::Writer& out, CutRequest const& request) {
    out.prefixed_u32(base::as_bytes(request.path))
        .prefixed_u32(base::as_bytes(request.rule.cuts))
        .u64(request.rule.parts)
        .u64(request.rule.layers_per_part);
}

Result<std::string> read_text(wire::Reader& in) {
    return base::to_text(KITH_TRY(in.prefixed_u32(tool_request_bytes_max)));
}

Result<infer::InspectOptions> read_inspect(wire::Reader& in) {
    infer::InspectOptions options;
    options.path = KITH_TRY(read_text(in));
    options.items_max = KITH_TRY(in.u64());
    return options;
}

Result<infer::TokenizeOptions> read_tokenize(wire::Reader& in) {
    infer::TokenizeOptions options;
    options.path = KITH_TRY(read_text(in));
    options.text = KITH_TRY(read_text(in));
    options.begin = KITH_TRY(enum_of(KITH_TRY(in.u8()), infer::Begin::as_model_says));
    options.specials = KITH_TRY(enum_of(KITH_TRY(in.u8()), infer::Specials::parse));
    return options;
}

Result<infer::LogitsOptions> read_logits(wire::Reader& in) {
    infer::LogitsOptions options;
    options.path = KITH_TRY(read_text(in));
    options.top_k = KITH_TRY(in.u64());
    options.threads = KITH_TRY(in.u64());
    options.isa = KITH_TRY(enum_of(KITH_TRY(in.u8()), infer::Isa::avx512));
    options.positions_max = KITH_TRY(in.u64());
    auto const count = KITH_TRY(in.u32());
    for (std::uint32_t i = 0; i < count; ++i)
        options.tokens.push_back(static_cast<infer::TokenId>(KITH_TRY(in.u32())));
    return options;
}

Result<CutRequest> read_cut(wire::Reader& in) {
    CutRequest request;
    request.path = KITH_TRY(read_text(in));
    request.rule.cuts = KITH_TRY(read_text(in));
    request.rule.parts = KITH_TRY(in.u64());
    request.rule.layers_per_part = KITH_TRY(in.u64());
    return request;
}

bool is_json(std::string_view text) {
    boost::system::error_code error;
    (void)boost::json::parse({text.data(), text.size()}, error);
    return !error;
}

}  // namespace

Result<base::Bytes> encode(ToolRequest const& request) {
    wire::Writer out;
    out.u64(request.file_size)
        .u64(request.limits.address_space_bytes_max)
        .u64(request.limits.descriptors_max)
        .u64(request.limits.cpu_seconds_max)
        .u8(static_cast<std::uint8_t>(request.tool.index()));
    std::visit([&out](auto const& options) { write(out, options); }, request.tool);
    auto bytes = out.take();
    if (bytes.size() > tool_request_bytes_max)
        return fail(Code::too_large, "more text or tokens than one call takes (4 MiB)");
    return bytes;
}

Result<ToolRequest> decode_tool_request(base::ByteView bytes) {
    wire::Reader in(bytes);
    ToolRequest request;
    request.file_size = KITH_TRY(in.u64());
    request.limits.address_space_bytes_max = KITH_TRY(in.u64());
    request.limits.descriptors_max = KITH_TRY(in.u64());
    request.limits.cpu_seconds_max = KITH_TRY(in.u64());
    auto const tool = KITH_TRY(in.u8());
    if (tool == 0) request.tool = KITH_TRY(read_inspect(in));
    if (tool == 1) request.tool = KITH_TRY(read_tokenize(in));
    if (tool == 2) request.tool = KITH_TRY(read_logits(in));
    if (tool == 3) request.tool = KITH_TRY(read_cut(in));
    if (tool > 3) return fail(Code::invalid, "no such tool");
    KITH_TRY(in.expect_end());
    return request;
}

base::Bytes encode(Result<ToolAnswer> const& answer) {
    wire::Writer out;
    if (answer && answer->plan) {
        out.u8(answer_is_plan).u8(static_cast<std::uint8_t>(answer->landlock_abi));
        write_plan(out, *answer->plan);
        return out.take();
    }
    if (answer) {
        out.u8(answer_is_document).u8(static_cast<std::uint8_t>(answer->landlock_abi));
        return out.bytes(base::as_bytes(answer->document)).take();
    }
    out.u8(answer_is_error);
    write_error(out, answer.error());
    return out.take();
}

Result<ToolAnswer> decode_tool_answer(base::ByteView bytes) {
    wire::Reader in(bytes);
    auto const kind = in.u8();
    if (kind && *kind == answer_is_error) return std::unexpected(read_error(in));
    auto const landlock_abi = in.u8();
    if (!kind || !landlock_abi) return fail(Code::internal, "no answer");
    if (*kind == answer_is_plan) {
        auto plan = read_plan(in);
        if (!plan || !in.rest().empty()) return fail(Code::internal, "a plan that is none");
        return ToolAnswer{.plan = *std::move(plan), .landlock_abi = *landlock_abi};
    }
    auto const text = base::as_text(in.rest());
    if (*kind != answer_is_document || !KITH_GUARD("S87.worker_answer", is_json(text)))
        return fail(Code::internal, "an answer that is no JSON document");
    return ToolAnswer{.document = std::string(text), .landlock_abi = *landlock_abi};
}

}  // namespace kith::engine
