#include "engine/cut_message.h"

#include "engine/read_flag.h"

namespace kith::engine {
namespace {

using base::Code;
using base::fail;
using base::Result;
using infer::CutPiece;
using infer::ShardEntry;

constexpr std::size_t name_bytes_max = 4096;
constexpr std::size_t piece_bytes_min = 4 + 8 + 8;  // of the message

std::string_view cut(std::string_view text) {
    return text.substr(0, name_bytes_max);
}

Result<ShardEntry> read_entry(wire::Reader& in) {
    ShardEntry out;
    out.layers.begin = KITH_TRY(in.u64());
    out.layers.end = KITH_TRY(in.u64());
    out.has_embedding = KITH_TRY(read_flag(in));
    out.has_head = KITH_TRY(read_flag(in));
    return out;
}

Result<std::vector<CutPiece>> read_pieces(wire::Reader& in) {
    std::size_t const count = KITH_TRY(in.u32());
    if (count > in.rest().size() / piece_bytes_min)
        return fail(Code::invalid, "a list is longer than its message");
    std::vector<CutPiece> out(count);
    for (auto& piece : out) {
        piece.bytes = base::to_bytes(KITH_TRY(in.prefixed_u32(in.rest().size())));
        piece.offset = KITH_TRY(in.u64());
        piece.size = KITH_TRY(in.u64());
    }
    return out;
}

}  // namespace

void write_plan(wire::Writer& out, infer::CutPlan const& plan) {
    auto const& manifest = plan.manifest;
    out.prefixed_u16(base::as_bytes(cut(manifest.name)))
        .prefixed_u16(base::as_bytes(cut(manifest.architecture)))
        .u64(manifest.layers_count)
        .u64(manifest.hidden_size)
        .u64(manifest.vocabulary_size)
        .u64(manifest.context_length)
        .u16(static_cast<std::uint16_t>(manifest.shards.size()));
    for (std::size_t i = 0; i < manifest.shards.size(); ++i) {
        auto const& entry = manifest.shards[i];
        out.u64(entry.layers.begin)
            .u64(entry.layers.end)
            .u8(entry.has_embedding ? 1 : 0)
            .u8(entry.has_head ? 1 : 0)
            .u32(static_cast<std::uint32_t>(plan.shards[i].size()));
        for (auto const& piece : plan.shards[i])
            out.prefixed_u32(piece.bytes).u64(piece.offset).u64(piece.size);
    }
}

Result<infer::CutPlan> read_plan(wire::Reader& in) {
    infer::CutPlan out;
    auto& manifest = out.manifest;
    manifest.name = base::to_text(KITH_TRY(in.prefixed_u16(name_bytes_max)));
    manifest.architecture = base::to_text(KITH_TRY(in.prefixed_u16(name_bytes_max)));
    manifest.layers_count = KITH_TRY(in.u64());
    manifest.hidden_size = KITH_TRY(in.u64());
    manifest.vocabulary_size = KITH_TRY(in.u64());
    manifest.context_length = KITH_TRY(in.u64());
    auto const shards = KITH_TRY(in.u16());
    if (shards > infer::manifest_shards_max) return fail(Code::too_large, "too many shards");
    for (std::size_t i = 0; i < shards; ++i) {
        manifest.shards.push_back(KITH_TRY(read_entry(in)));
        out.shards.push_back(KITH_TRY(read_pieces(in)));
    }
    return out;
}

}  // namespace kith::engine
