#include "engine/stage_start.h"

#include "base/sabotage.h"
#include "engine/read_flag.h"
#include "engine/words_message.h"
#include "engine/worker_error.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace kith::engine {
namespace {

using base::Code;
using base::fail;
using base::Result;

constexpr std::size_t name_bytes_max = 256;
constexpr std::uint8_t is_facts = 0;
constexpr std::uint8_t is_error = 1;

bool within(std::size_t value, std::size_t largest) {
    return value >= 1 && value <= largest;
}

bool are_possible(StageFacts const& facts) {
    auto const& model = facts.model;
    std::size_t end = 0;
    for (auto const& range : model.layers) {
        if (range.begin < end || range.end <= range.begin) return false;
        end = range.end;
    }
    return within(model.layers_count, infer::layers_count_max) && end <= model.layers_count &&
           within(model.hidden_size, infer::hidden_size_max) &&
           within(model.vocabulary_size, infer::vocabulary_size_max) &&
           within(model.context_length, infer::context_length_max) &&
           within(facts.kv_size, infer::heads_count_max * infer::head_size_max) &&
           facts.words_bytes <= words_message_bytes_max;
}

std::string_view cut(std::string_view text) {
    return text.substr(0, name_bytes_max);
}

Result<StageFacts> read_facts(wire::Reader& in) {
    StageFacts facts;
    auto& model = facts.model;
    facts.landlock_abi = KITH_TRY(in.u8());
    model.has_embedding = KITH_TRY(read_flag(in));
    model.has_head = KITH_TRY(read_flag(in));
    model.layers_count = KITH_TRY(in.u64());
    model.hidden_size = KITH_TRY(in.u64());
    model.vocabulary_size = KITH_TRY(in.u64());
    model.context_length = KITH_TRY(in.u64());
    model.weight_bytes = KITH_TRY(in.u64());
    facts.kv_size = KITH_TRY(in.u64());
    facts.words_bytes = KITH_TRY(in.u64());
    auto const ranges = KITH_TRY(in.u16());
    if (ranges > infer::layers_count_max) return fail(Code::too_large, "too many layers");
    for (std::size_t i = 0; i < ranges; ++i) {
        auto const begin = KITH_TRY(in.u64());
        model.layers.push_back({begin, KITH_TRY(in.u64())});
    }
    model.architecture =
        plain_text(base::as_text(KITH_TRY(in.prefixed_u16(name_bytes_max))), name_bytes_max);
    model.name =
        plain_text(base::as_text(KITH_TRY(in.prefixed_u16(name_bytes_max))), name_bytes_max);
    KITH_TRY(in.expect_end());
    return facts;
}

}  // namespace

base::Bytes encode(StageStart const& start) {
    wire::Writer out;
    out.u64(start.stage.threads)
        .u8(static_cast<std::uint8_t>(start.stage.isa))
        .u8(static_cast<std::uint8_t>(start.stage.repack))
        .u64(start.limits.address_space_bytes_max)
        .u64(start.limits.descriptors_max)
        .u64(start.limits.cpu_seconds_max)
        .u8(start.wants_words ? 1 : 0)
        .u16(static_cast<std::uint16_t>(start.file_sizes.size()));
    for (auto const size : start.file_sizes) out.u64(size);
    return out.take();
}

Result<StageStart> decode_stage_start(base::ByteView bytes) {
    wire::Reader in(bytes);
    StageStart start;
    start.stage.threads = KITH_TRY(in.u64());
    start.stage.isa = static_cast<infer::Isa>(KITH_TRY(in.u8()));
    start.stage.repack = static_cast<infer::Repack>(KITH_TRY(in.u8()));
    start.limits.address_space_bytes_max = KITH_TRY(in.u64());
    start.limits.descriptors_max = KITH_TRY(in.u64());
    start.limits.cpu_seconds_max = KITH_TRY(in.u64());
    start.wants_words = KITH_TRY(read_flag(in));
    auto const files = KITH_TRY(in.u16());
    for (std::size_t i = 0; i < files; ++i) start.file_sizes.push_back(KITH_TRY(in.u64()));
    KITH_TRY(in.expect_end());
    return start;
}

base::Bytes encode(Result<StageFacts> const& facts) {
    wire::Writer out;
    if (!facts) {
        out.u8(is_error);
        write_error(out, facts.error());
        return out.take();
    }
    auto const& model = facts->model;
    out.u8(is_facts)
        .u8(static_cast<std::uint8_t>(facts->landlock_abi))
        .u8(model.has_embedding ? 1 : 0)
        .u8(model.has_head ? 1 : 0)
        .u64(model.layers_count)
        .u64(model.hidden_size)
        .u64(model.vocabulary_size)
        .u64(model.context_length)
        .u64(model.weight_bytes)
        .u64(facts->kv_size)
        .u64(facts->words_bytes)
        .u16(static_cast<std::uint16_t>(model.layers.size()));
    for (auto const& range : model.layers) out.u64(range.begin).u64(range.end);
    out.prefixed_u16(base::as_bytes(cut(model.architecture)));
    return out.prefixed_u16(base::as_bytes(cut(model.name))).take();
}

Result<StageFacts> decode_stage_facts(base::ByteView bytes) {
    wire::Reader in(bytes);
    auto const kind = KITH_TRY(in.u8());
    if (kind == is_error) return std::unexpected(read_error(in));
    auto facts = read_facts(in);
    if (kind != is_facts || !facts || !KITH_GUARD("S87.worker_facts", are_possible(*facts)))
        return fail(Code::internal, "the model worker says impossible things of its model");
    return facts;
}

}  // namespace kith::engine
