#include "infer/cut_plan.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>

#include "base/sabotage.h"
#include "crypto/blake3.h"
#include "infer/gguf_writer.h"
#include "infer/new_file.h"

namespace kith::infer {
namespace {

using base::ByteView;
using base::Code;
using base::fail;
using base::Result;
using base::Status;

// Bytes between two progress reports and two steps of a hash.
constexpr std::size_t step_bytes = 4U << 20U;

std::string shard_file_name(std::size_t index) {
    auto number = std::to_string(index);
    return "shard_" + std::string(number.size() < 3 ? 3 - number.size() : 0, '0') + number +
           ".gguf";
}

// "blk.12.ffn_up.weight" -> 12
std::optional<std::size_t> layer_of(std::string_view name) {
    if (!name.starts_with("blk.")) return std::nullopt;
    name.remove_prefix(4);
    std::size_t layer = 0;
    auto const [end, error] = std::from_chars(name.data(), name.data() + name.size(), layer);
    if (error != std::errc{} || end == name.data() + name.size() || *end != '.')
        return std::nullopt;
    return layer;
}

// Says what each shard of one file is made of.
class Cutter {
public:
    Cutter(ByteView bytes, Gguf const& file, Hparams const& hparams)
        : bytes_(bytes), file_(file), hparams_(hparams) {}

    [[nodiscard]] std::vector<CutPiece> pieces(ShardEntry const& entry, std::size_t index,
                                               std::size_t shards_count) const {
        std::vector<CutPiece> out(1);
        GgufWriter writer;
        add_metadata(writer, entry, index, shards_count);
        for (auto const& tensor : file_.tensors())
            if (auto const name = name_in(entry, tensor); !name.empty())
                writer.add_tensor(name, tensor.type, tensor.shape, named_only(tensor.data, out));
        (void)writer.write([&out](ByteView bytes) -> Status {
            base::append(out.back().bytes, bytes);
            return {};
        });
        return out;
    }

private:
    // The data stays in the file; what comes next begins another piece.
    [[nodiscard]] GgufWriter::Source named_only(ByteView data, std::vector<CutPiece>& out) const {
        return [this, data, &out](ByteSink const&) -> Status {
            out.back().offset = static_cast<std::uint64_t>(data.data() - bytes_.data());
            out.back().size = data.size();
            out.emplace_back();
            return {};
        };
    }

    // The tensor's name in this shard; "" when it does not belong there.
    [[nodiscard]] std::string name_in(ShardEntry const& entry, GgufTensor const& tensor) const {
        std::string name(tensor.name);
        if (auto const layer = layer_of(tensor.name))
            return *layer >= entry.layers.begin && *layer < entry.layers.end ? name : "";
        if (name == "token_embd.weight") {
            if (entry.has_embedding) return name;
            // A tied head: the last shard gets the rows under the head's own name.
            bool const tied = file_.find_tensor("output.weight") == nullptr;
            return entry.has_head && tied ? "output.weight" : "";
        }
        if (name == "output_norm.weight" || name == "output.weight")
            return entry.has_head ? name : "";
        // rope_freqs.weight and whatever else concerns every layer.
        return entry.layers.count() > 0 || entry.has_embedding ? name : "";
    }

    void add_metadata(GgufWriter& writer, ShardEntry const& entry, std::size_t index,
                      std::size_t shards_count) const {
        auto const size_key = std::string(architecture_name(hparams_.architecture)) + ".vocab_size";
        for (auto const& [key, value] : file_.values()) {
            // Not needed elsewhere, and it is the largest part: only the first shard carries the
            // tokenizer.
            if (key.starts_with("tokenizer.") && !entry.has_embedding) continue;
            // The writer's own alignment may differ from the source's.
            if (key == "general.alignment" || key == size_key || key.starts_with("kith.")) continue;
            writer.add_value(key, value);
        }
        auto const add = [&writer](std::string const& key, std::size_t value) {
            writer.add_unsigned(key, static_cast<std::uint32_t>(value));
        };
        add(size_key, hparams_.vocabulary_size);
        add("kith.shard.index", index);
        add("kith.shard.count", shards_count);
        add("kith.shard.layer_begin", entry.layers.begin);
        add("kith.shard.layer_end", entry.layers.end);
        writer.add_bool("kith.shard.has_embedding", entry.has_embedding);
        writer.add_bool("kith.shard.has_head", entry.has_head);
    }

    ByteView bytes_;
    Gguf const& file_;
    Hparams const& hparams_;
};

// Writes one shard, piece by piece, and hashes what it wrote.
class ShardWriter {
public:
    ShardWriter(RegularFile const& file, Progress const& progress, std::uint64_t bytes_total)
        : file_(file), progress_(progress), bytes_total_(bytes_total), buffer_(step_bytes) {}

    Status write(std::vector<CutPiece> const& pieces, std::string const& folder,
                 ShardEntry& entry) {
        auto file = KITH_TRY(NewFile::create(folder + "/" + entry.file));
        crypto::Blake3 hash;
        auto const put = [&](ByteView bytes) -> Status {
            hash.update(bytes);
            bytes_done_ += bytes.size();
            KITH_TRY(file.write(bytes));
            if (progress_) progress_(bytes_done_, bytes_total_);
            return {};
        };
        for (auto const& piece : pieces) {
            if (!piece.bytes.empty()) KITH_TRY(put(piece.bytes));
            for (std::uint64_t done = 0; done < piece.size;) {
                auto const part = base::MutableByteView(buffer_).first(
                    std::min<std::uint64_t>(step_bytes, piece.size - done));
                KITH_TRY(read(piece.offset + done, part));
                KITH_TRY(put(part));
                done += part.size();
            }
        }
        KITH_TRY(file.commit());
        entry.blake3 = hash.finish();
        return {};
    }

private:
    Status read(std::uint64_t offset, base::MutableByteView out) const {
        while (!out.empty()) {
            auto const count =
                ::pread(file_.file.get(), out.data(), out.size(), static_cast<::off_t>(offset));
            if (count < 0 && errno == EINTR) continue;
            if (count < 0)
                return fail(Code::io,
                            std::string("cannot read the model's file: ") + std::strerror(errno));
            if (count == 0) return fail(Code::io, "the model's file became shorter meanwhile");
            offset += static_cast<std::uint64_t>(count);
            out = out.subspan(static_cast<std::size_t>(count));
        }
        return {};
    }

    RegularFile const& file_;
    Progress const& progress_;
    std::uint64_t bytes_total_;
    std::uint64_t bytes_done_ = 0;
    base::Bytes buffer_;
};

Manifest manifest_of(Hparams const& hparams, std::vector<LayerRange> const& plan) {
    Manifest out{.name = hparams.name,
                 .architecture = architecture_name(hparams.architecture),
                 .layers_count = hparams.layers_count,
                 .hidden_size = hparams.hidden_size,
                 .vocabulary_size = hparams.vocabulary_size,
                 .context_length = hparams.context_length,
                 .shards = {}};
    for (std::size_t i = 0; i < plan.size(); ++i)
        out.shards.push_back({.file = shard_file_name(i),
                              .layers = plan[i],
                              .has_embedding = i == 0,
                              .has_head = i + 1 == plan.size()});
    return out;
}

// Whether every piece is in the file, and not absurdly much is copied: at worst every tensor once
// and the embedding twice.
bool fits(CutPlan const& plan, std::size_t file_size) {
    std::uint64_t copied = 0;
    for (auto const& pieces : plan.shards)
        for (auto const& piece : pieces) {
            if (piece.size > file_size || piece.offset > file_size - piece.size) return false;
            copied += piece.size;
            if (copied > 2 * std::uint64_t{file_size}) return false;
        }
    return true;
}

// Names and sizes of the shards.
void describe_files(CutPlan const& plan, Manifest& out) {
    out.total_bytes = 0;
    for (std::size_t i = 0; i < out.shards.size(); ++i) {
        auto& entry = out.shards[i];
        entry.file = shard_file_name(i);
        entry.size = 0;
        for (auto const& piece : plan.shards[i]) entry.size += piece.bytes.size() + piece.size;
        out.total_bytes += entry.size;
    }
}

// Strict in what a manifest may say, whoever made it up.
bool is_possible(Manifest const& manifest) {
    auto const read = parse_manifest(base::as_bytes(write_manifest(manifest)));
    return read && *read == manifest;
}

Result<std::vector<LayerRange>> ranges_of(CutRule const& rule, std::size_t layers_count) {
    if (!rule.cuts.empty()) return parse_cuts(rule.cuts, layers_count);
    auto const per_part = rule.layers_per_part;
    auto const parts = per_part == 0
                           ? rule.parts
                           : layers_count / per_part + (layers_count % per_part == 0 ? 0 : 1);
    return default_shard_plan(layers_count, parts);
}

}  // namespace

Result<CutPlan> plan_cut(ByteView bytes, CutRule const& rule) {
    auto const file = KITH_TRY(Gguf::parse(bytes));
    auto const hparams = KITH_TRY(read_hparams(file));
    if (file.find("kith.shard.layer_begin") != nullptr)
        return fail(Code::invalid, "this file is a shard already");
    // Whatever loads whole also loads in parts; what does not is refused here and not at its
    // members.
    KITH_TRY(Model::load_views({bytes}));
    auto const ranges = KITH_TRY(ranges_of(rule, hparams.layers_count));
    CutPlan out{.manifest = manifest_of(hparams, ranges), .shards = {}};
    Cutter const cutter(bytes, file, hparams);
    for (std::size_t i = 0; i < ranges.size(); ++i)
        out.shards.push_back(cutter.pieces(out.manifest.shards[i], i, ranges.size()));
    return out;
}

Result<Manifest> carry_out(CutPlan const& plan, RegularFile const& file, std::string const& folder,
                           Progress const& progress) {
    auto manifest = plan.manifest;
    if (manifest.shards.size() != plan.shards.size())
        return fail(Code::corrupt, "a plan to cut whose lists do not fit together");
    if (!KITH_GUARD("S87.cut_plan", fits(plan, file.size)))
        return fail(Code::corrupt, "a plan to cut that does not suit the model's file");
    describe_files(plan, manifest);
    if (!KITH_GUARD("S87.cut_manifest", is_possible(manifest)))
        return fail(Code::corrupt, "a plan to cut that makes no manifest");
    ShardWriter writer(file, progress, manifest.total_bytes);
    for (std::size_t i = 0; i < manifest.shards.size(); ++i)
        KITH_TRY(writer.write(plan.shards[i], folder, manifest.shards[i]));
    auto out = KITH_TRY(NewFile::create(folder + "/manifest.json"));
    KITH_TRY(out.write(base::as_bytes(write_manifest(manifest))));
    KITH_TRY(out.commit());
    return manifest;
}

}  // namespace kith::infer
