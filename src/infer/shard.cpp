#include "infer/shard.h"

#include <algorithm>
#include <charconv>

#include "base/sabotage.h"
#include "crypto/blake3.h"
#include "infer/gguf_writer.h"
#include "infer/new_file.h"
#include "infer/source_file.h"

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

// Cuts one source file; sees each shard's tensors and metadata through.
class Cutter {
public:
    // All of them outlive it; `file` is parsed from the bytes of `source`.
    Cutter(SourceFile& source, Gguf const& file, Hparams const& hparams, Progress const& progress)
        : source_(source), file_(file), hparams_(hparams), progress_(progress) {
        for (auto const& tensor : file.tensors()) bytes_total_ += tensor.data.size();
    }

    Result<ShardEntry> write(std::string const& folder, std::size_t index, LayerRange layers,
                             std::size_t shards_count) {
        ShardEntry entry{.file = shard_file_name(index),
                         .layers = layers,
                         .has_embedding = index == 0,
                         .has_head = index + 1 == shards_count};
        GgufWriter writer;
        add_metadata(writer, entry, index, shards_count);
        for (auto const& tensor : file_.tensors())
            if (auto const name = name_in(entry, tensor); !name.empty())
                writer.add_tensor(name, tensor.type, tensor.shape, loaded_in_steps(tensor.data));
        auto file = KITH_TRY(NewFile::create(folder + "/" + entry.file));
        crypto::Blake3 hash;
        KITH_TRY(writer.write([&](ByteView bytes) -> Status {
            for (; !bytes.empty(); bytes = bytes.subspan(std::min(step_bytes, bytes.size()))) {
                auto const part = bytes.first(std::min(step_bytes, bytes.size()));
                hash.update(part);
                entry.size += part.size();
                bytes_done_ += part.size();
                KITH_TRY(file.write(part));
                if (progress_) progress_(std::min(bytes_done_, bytes_total_), bytes_total_);
            }
            return {};
        }));
        KITH_TRY(file.commit());
        entry.blake3 = hash.finish();
        return entry;
    }

private:
    [[nodiscard]] GgufWriter::Source loaded_in_steps(ByteView data) {
        return [this, data](ByteSink const& sink) -> Status {
            for (auto rest = data; !rest.empty();) {
                auto const part = rest.first(std::min(step_bytes, rest.size()));
                KITH_TRY(source_.load(part));
                KITH_TRY(sink(part));
                source_.unload(part);
                rest = rest.subspan(part.size());
            }
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

    SourceFile& source_;
    Gguf const& file_;
    Hparams const& hparams_;
    Progress const& progress_;
    std::uint64_t bytes_done_ = 0;
    std::uint64_t bytes_total_ = 0;
};

Status check_plan(std::vector<LayerRange> const& plan, std::size_t layers_count) {
    if (plan.empty() || plan.size() > manifest_shards_max)
        return fail(Code::invalid, "a plan has 1 to 1026 shards");
    std::size_t next = 0;
    for (auto const& range : plan) {
        if (range.begin != next || range.end < range.begin)
            return fail(Code::invalid, "the plan's ranges do not follow each other");
        bool const inner = &range != &plan.front() && &range != &plan.back();
        if (inner && range.count() == 0)
            return fail(Code::invalid, "only the first and last shard may have no layer");
        next = range.end;
    }
    if (next != layers_count) return fail(Code::invalid, "the plan does not cover all layers");
    return {};
}

}  // namespace

Status verify_shard(ByteView bytes, ShardEntry const& entry) {
    if (bytes.size() != entry.size)
        return fail(Code::corrupt, entry.file + " has not the size that the manifest says");
    if (!KITH_GUARD("S87.shard_hash", crypto::blake3(bytes) == entry.blake3))
        return fail(Code::corrupt, entry.file + " has not the hash that the manifest says");
    return {};
}

Result<std::shared_ptr<Model const>> load_verified(std::string const& folder,
                                                   std::vector<ShardEntry> const& entries) {
    std::vector<MappedFile> files;
    for (auto const& entry : entries) {
        auto const name = KITH_TRY(sanitize_path_component(entry.file));
        files.push_back(KITH_TRY(MappedFile::open(std::string(folder).append("/").append(name))));
        KITH_TRY(verify_shard(files.back().bytes(), entry));
    }
    return Model::load(std::move(files));
}

std::vector<LayerRange> default_shard_plan(std::size_t layers_count, std::size_t parts) {
    parts = std::clamp<std::size_t>(parts, 1, std::max<std::size_t>(layers_count, 1));
    std::vector<LayerRange> plan{{0, 0}};
    for (std::size_t i = 0; i < parts; ++i)
        plan.push_back({layers_count * i / parts, layers_count * (i + 1) / parts});
    plan.push_back({layers_count, layers_count});
    return plan;
}

Result<std::vector<LayerRange>> parse_cuts(std::string_view cuts, std::size_t layers_count) {
    std::vector<LayerRange> plan{{0, 0}};
    while (true) {
        std::size_t layer = 0;
        auto const [end, error] = std::from_chars(cuts.data(), cuts.data() + cuts.size(), layer);
        if (error != std::errc{} || layer > layers_count || layer < plan.back().begin)
            return fail(Code::invalid, "cuts: ascending layer numbers with commas, such as 0,3,6");
        plan.back().end = layer;
        plan.push_back({layer, layers_count});
        if (plan.size() > manifest_shards_max) return fail(Code::too_large, "too many cuts");
        cuts.remove_prefix(static_cast<std::size_t>(end - cuts.data()));
        if (cuts.empty()) break;
        if (cuts.front() != ',') return fail(Code::invalid, "cuts: numbers with commas");
        cuts.remove_prefix(1);
    }
    KITH_TRY(check_plan(plan, layers_count));
    return plan;
}

Result<Manifest> cut_model(std::string const& model_path, std::string const& folder,
                           ShardOptions const& options, Progress const& progress) {
    auto source = KITH_TRY(SourceFile::open(model_path));
    auto const file = KITH_TRY(Gguf::parse(source.bytes()));
    auto const hparams = KITH_TRY(read_hparams(file));
    if (file.find("kith.shard.layer_begin") != nullptr)
        return fail(Code::invalid, "this file is a shard already");
    // Whatever loads whole also loads in parts; what does not is refused here and not at its
    // members. The tensors whose numbers that looks at:
    for (auto const* const name :
         {"rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"})
        if (auto const* divisors = file.find_tensor(name)) KITH_TRY(source.load(divisors->data));
    KITH_TRY(Model::load_views({source.bytes()}));
    auto const plan = options.plan ? KITH_TRY(options.plan(hparams.layers_count))
                                   : default_shard_plan(hparams.layers_count, 1);
    KITH_TRY(check_plan(plan, hparams.layers_count));

    Manifest manifest{.name = hparams.name,
                      .architecture = architecture_name(hparams.architecture),
                      .layers_count = hparams.layers_count,
                      .hidden_size = hparams.hidden_size,
                      .vocabulary_size = hparams.vocabulary_size,
                      .context_length = hparams.context_length,
                      .shards = {}};
    Cutter cutter(source, file, hparams, progress);
    for (std::size_t i = 0; i < plan.size(); ++i) {
        manifest.shards.push_back(KITH_TRY(cutter.write(folder, i, plan[i], plan.size())));
        manifest.total_bytes += manifest.shards.back().size;
    }
    auto out = KITH_TRY(NewFile::create(folder + "/manifest.json"));
    KITH_TRY(out.write(base::as_bytes(write_manifest(manifest))));
    KITH_TRY(out.commit());
    return manifest;
}

}  // namespace kith::infer
