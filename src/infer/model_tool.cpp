#include "infer/model_tool.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <map>
#include <numeric>
#include <thread>

#include "infer/new_file.h"
#include "infer/sampler.h"
#include "infer/unicode.h"

namespace kith::infer {
namespace {

namespace json = boost::json;
using base::Code;
using base::fail;
using base::Result;
using base::Status;

constexpr std::size_t shown_string_bytes_max = 200;
constexpr std::size_t tool_tokens_max = 65536;
constexpr std::size_t bench_seed = 1;

json::string_view view(std::string_view text) {
    return {text.data(), text.size()};
}

// JSON is UTF-8; what a file or a token holds may not be.
std::string as_utf8(std::string_view bytes) {
    std::string out;
    while (!bytes.empty()) {
        char32_t point = 0;
        auto const length = utf8_length(bytes, point);
        bool const valid = length != 0 && point != invalid_point;
        out += valid ? bytes.substr(0, length) : std::string_view("\xef\xbf\xbd");
        bytes.remove_prefix(std::max<std::size_t>(length, 1));
    }
    return out;
}

json::value shown(std::string_view text) {
    auto const cut = text.substr(0, shown_string_bytes_max);
    return json::value(view(as_utf8(cut) + (cut.size() < text.size() ? "..." : "")));
}

// JSON has no word for what is not a number.
json::value number_to_json(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
    return value;
}

json::value array_to_json(GgufValue const& value, std::size_t items_max) {
    json::array items;
    auto const count = std::min(value.count(), items_max);
    if (auto const strings = value.as_strings()) {
        for (std::size_t i = 0; i < count; ++i) items.push_back(shown((*strings)[i]));
    } else if (auto const integers = value.as_integers()) {
        for (std::size_t i = 0; i < count; ++i) items.emplace_back((*integers)[i]);
    } else if (auto const floats = value.as_floats()) {
        for (std::size_t i = 0; i < count; ++i)
            items.push_back(number_to_json(static_cast<double>((*floats)[i])));
    }
    return json::object{{"type", gguf_type_name(value.item_type())},
                        {"count", value.count()},
                        {"items", std::move(items)}};
}

json::value value_to_json(GgufValue const& value, std::size_t items_max) {
    if (value.type() == GgufType::array) return array_to_json(value, items_max);
    if (auto const text = value.as_string()) return shown(*text);
    if (auto const flag = value.as_bool()) return *flag;
    if (auto const number = value.as_signed()) return *number;
    if (auto const number = value.as_unsigned()) return *number;
    return number_to_json(value.as_number().value_or(0));
}

json::object inspect_file(Gguf const& file, std::size_t items_max) {
    json::object metadata;
    for (auto const& [key, value] : file.values())
        metadata[view(as_utf8(key))] = value_to_json(value, items_max);
    json::array tensors;
    std::map<std::string_view, std::size_t> types;
    std::size_t parameters = 0;
    std::size_t weight_bytes = 0;
    for (auto const& tensor : file.tensors()) {
        auto const type = type_traits(tensor.type).name;
        ++types[type];
        parameters += tensor.elements();
        weight_bytes += tensor.data.size();
        tensors.push_back(
            json::object{{"name", shown(tensor.name)},
                         {"type", view(type)},
                         {"shape", json::array(tensor.shape.begin(), tensor.shape.end())},
                         {"bytes", tensor.data.size()}});
    }
    json::object type_counts;
    for (auto const& [type, count] : types) type_counts[view(type)] = count;
    return {{"version", file.version()},       {"alignment", file.alignment()},
            {"parameters", parameters},        {"weight_bytes", weight_bytes},
            {"types", std::move(type_counts)}, {"metadata", std::move(metadata)},
            {"tensors", std::move(tensors)}};
}

// What the engine makes of the file: its shape, or why it cannot run it.
json::object runnable(MappedFile const& mapping) {
    auto const model = Model::load_views({mapping.bytes()});
    if (!model) return {{"runnable", false}, {"reason", view(model.error().message)}};
    auto const info = (*model)->info();
    json::array layers;
    for (auto const& range : info.layers) layers.push_back(json::array{range.begin, range.end});
    return {{"runnable", true},
            {"architecture", view(info.architecture)},
            {"name", view(info.name)},
            {"layers_count", info.layers_count},
            {"layers", std::move(layers)},
            {"has_embedding", info.has_embedding},
            {"has_head", info.has_head},
            {"hidden_size", info.hidden_size},
            {"vocabulary_size", info.vocabulary_size},
            {"context_length", info.context_length}};
}

Result<Tokenizer> open_tokenizer(Model const& model) {
    auto const* const file = model.tokenizer_file();
    if (file == nullptr) return fail(Code::invalid, "the file has no tokenizer");
    return Tokenizer::create(*file);
}

// One sequence over a whole model.
struct Run {
    std::shared_ptr<Model const> model;
    Stage stage;
    KvCache cache;
    std::vector<float> hidden;
    std::vector<float> row;

    static Result<Run> create(MappedFile file, StageOptions options, std::size_t positions) {
        std::vector<MappedFile> files;
        files.push_back(std::move(file));
        auto model = KITH_TRY(Model::load(std::move(files)));
        LayerRange const all{0, model->hparams().layers_count};
        if (!model->has_layers(all) || !model->has_embedding() || !model->has_head())
            return fail(Code::invalid, "the file is a part of a model, not a whole one");
        auto stage = KITH_TRY(Stage::create(model, options));
        auto cache = KITH_TRY(KvCache::create(model->hparams(), all, positions));
        std::vector<float> row(model->hparams().vocabulary_size);
        return Run{std::move(model), std::move(stage), std::move(cache), {}, std::move(row)};
    }

    // Logits after the last of `tokens` are in `row`.
    Status feed(std::span<TokenId const> tokens) {
        auto const hidden_size = model->hparams().hidden_size;
        hidden.resize(tokens.size() * hidden_size);
        KITH_TRY(stage.embed(tokens, hidden));
        KITH_TRY(stage.forward(cache, hidden, cache.length(), {0, model->hparams().layers_count}));
        return stage.logits(std::span(hidden).last(hidden_size), row);
    }
};

json::array top_tokens(std::vector<float> const& logits, std::size_t count,
                       Result<Tokenizer> const& tokenizer) {
    std::vector<std::size_t> order(logits.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    count = std::min(count, order.size());
    std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count),
                      order.end(), [&logits](std::size_t a, std::size_t b) {
                          return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
                      });
    json::array out;
    for (std::size_t i = 0; i < count; ++i) {
        json::object entry{{"id", order[i]}, {"logit", logits[order[i]]}};
        if (tokenizer)
            entry["piece"] = view(as_utf8(tokenizer->piece(static_cast<TokenId>(order[i]))));
        out.push_back(std::move(entry));
    }
    return out;
}

json::object speed(std::size_t tokens, base::Duration time) {
    auto const seconds = static_cast<double>(time.count()) / 1e6;
    return {{"tokens", tokens},
            {"seconds", seconds},
            {"tokens_per_second", seconds > 0 ? static_cast<double>(tokens) / seconds : 0.0}};
}

// decode_tokens steps of several sequences together, from their first position.
Result<json::object> bench_together(Run& run, BenchOptions const& options,
                                    std::span<TokenId const> tokens, ports::Clock const& clock) {
    auto const& h = run.model->hparams();
    LayerRange const all{0, h.layers_count};
    std::vector<KvCache> caches;
    for (std::size_t i = 0; i < options.sequences; ++i)
        caches.push_back(KITH_TRY(KvCache::create(h, all, options.decode_tokens)));
    std::vector<float> rows(options.sequences * h.hidden_size);
    std::vector<float> logits(options.sequences * h.vocabulary_size);
    std::vector<Stage::Step> steps;
    for (std::size_t i = 0; i < options.sequences; ++i)
        steps.push_back({.cache = &caches[i],
                         .hidden = std::span(rows).subspan(i * h.hidden_size, h.hidden_size)});
    auto const begin = clock.now();
    for (std::size_t at = 0; at < options.decode_tokens; ++at) {
        for (auto& step : steps) {
            step.position = at;
            auto const index = static_cast<std::size_t>(&step - steps.data()) + at;
            KITH_TRY(run.stage.embed(tokens.subspan(index % tokens.size(), 1), step.hidden));
        }
        auto results = run.stage.forward_many(steps, all);
        for (auto& result : results) KITH_TRY(std::move(result));
        KITH_TRY(run.stage.logits(rows, logits));
    }
    auto out = speed(options.sequences * options.decode_tokens, clock.now() - begin);
    out["sequences"] = options.sequences;
    return out;
}

}  // namespace

Result<std::string> model_inspect(InspectOptions const& options) {
    return model_inspect(KITH_TRY(MappedFile::open(options.path)), options);
}

Result<std::string> model_inspect(MappedFile const mapping, InspectOptions const& options) {
    auto const file = KITH_TRY(Gguf::parse(mapping.bytes()));
    auto out = inspect_file(file, options.items_max);
    out["file"] = view(as_utf8(options.path));
    out["size"] = mapping.bytes().size();
    out["engine"] = runnable(mapping);
    return json::serialize(out);
}

Result<std::string> model_tokenize(TokenizeOptions const& options) {
    return model_tokenize(KITH_TRY(MappedFile::open(options.path)), options);
}

Result<std::string> model_tokenize(MappedFile const mapping, TokenizeOptions const& options) {
    auto const file = KITH_TRY(Gguf::parse(mapping.bytes()));
    auto const tokenizer = KITH_TRY(Tokenizer::create(file));
    auto const tokens = KITH_TRY(tokenizer.encode(options.text, options.specials, options.begin));
    json::array pieces;
    for (auto const token : tokens) pieces.emplace_back(view(as_utf8(tokenizer.token_text(token))));
    return json::serialize(json::object{{"ids", json::array(tokens.begin(), tokens.end())},
                                        {"pieces", std::move(pieces)},
                                        {"text", view(as_utf8(tokenizer.decode(tokens)))}});
}

Result<std::string> model_logits(LogitsOptions const& options) {
    return model_logits(KITH_TRY(MappedFile::open(options.path)), options);
}

Result<std::string> model_logits(MappedFile file, LogitsOptions const& options) {
    if (options.tokens.empty() || options.tokens.size() > tool_tokens_max)
        return fail(Code::invalid, "logits: 1 to 65536 token ids");
    StageOptions const stage{.threads = options.threads, .isa = options.isa};
    auto const positions = std::max(options.positions_max, options.tokens.size());
    auto run = KITH_TRY(Run::create(std::move(file), stage, positions));
    KITH_TRY(run.feed(options.tokens));
    auto const tokenizer = open_tokenizer(*run.model);
    return json::serialize(
        json::object{{"ids", json::array(options.tokens.begin(), options.tokens.end())},
                     {"vocabulary_size", run.row.size()},
                     {"top", top_tokens(run.row, options.top_k, tokenizer)},
                     {"logits", json::array(run.row.begin(), run.row.end())}});
}

Result<std::string> model_bench(BenchOptions const& options, ports::Clock const& clock) {
    auto const total = options.prompt_tokens + options.decode_tokens;
    if (options.prompt_tokens == 0 || options.prompt_tokens > tool_tokens_max ||
        options.decode_tokens > tool_tokens_max)
        return fail(Code::invalid, "bench: 1 to 65536 prompt tokens, up to 65536 to decode");
    if (options.sequences > micro_batch_tokens)
        return fail(Code::invalid, "bench: too many sequences");
    StageOptions const stage{.threads = options.threads, .isa = options.isa};
    auto run = KITH_TRY(Run::create(KITH_TRY(MappedFile::open(options.path)), stage, total));
    auto const vocabulary = run.model->hparams().vocabulary_size;
    Xoshiro256 generator(bench_seed);
    std::vector<TokenId> tokens(total);
    for (auto& token : tokens) token = static_cast<TokenId>(generator.next() % vocabulary);

    // Once through all weights first: a cold page cache is not what is measured.
    KITH_TRY(run.feed(std::span(tokens).first(1)));
    while (run.stage.packing()) std::this_thread::yield();
    run.cache.truncate(0);
    auto const report = [&options, total](std::size_t done) {
        if (options.progress) options.progress(done, total);
    };
    auto const begin = clock.now();
    KITH_TRY(run.feed(std::span(tokens).first(options.prompt_tokens)));
    auto const middle = clock.now();
    report(options.prompt_tokens);
    for (auto i = options.prompt_tokens; i < total; ++i) {
        KITH_TRY(run.feed(std::span(tokens).subspan(i, 1)));
        report(i + 1);
    }
    auto const end = clock.now();
    json::object out{{"kernels", find_kernels(options.isa)->name},
                     {"threads", options.threads},
                     {"prompt", speed(options.prompt_tokens, middle - begin)},
                     {"decode", speed(options.decode_tokens, end - middle)},
                     {"weight_bytes", run.model->info().weight_bytes},
                     {"kv_bytes", run.cache.bytes()}};
    if (options.sequences > 0 && options.decode_tokens > 0)
        out["together"] = KITH_TRY(bench_together(run, options, tokens, clock));
    return json::serialize(out);
}

Result<std::string> model_shard(CutOptions const& options) {
    ShardOptions const cut{
        .plan = [&options](std::size_t layers_count) -> Result<std::vector<LayerRange>> {
            if (!options.cuts.empty()) return parse_cuts(options.cuts, layers_count);
            return default_shard_plan(layers_count, options.parts);
        }};
    auto const manifest = KITH_TRY(cut_model(options.path, options.folder, cut, options.progress));
    json::error_code error;
    auto value = json::parse(write_manifest(manifest), error);
    if (error || !value.is_object()) return fail(Code::internal, "our own manifest is no JSON");
    value.get_object()["id"] = view(model_id(manifest));
    value.get_object()["folder"] = view(as_utf8(options.folder));
    return json::serialize(value);
}

Result<std::string> model_synth(SynthOptions const& options) {
    auto const& shape = options.shape;
    auto const per_layer =
        2 * shape.hidden_size * shape.hidden_size + 3 * shape.hidden_size * shape.feed_forward_size;
    auto const parameters =
        shape.layers_count * per_layer + 2 * shape.vocabulary_size * shape.hidden_size;
    auto const& traits = type_traits(shape.type);
    std::uint64_t const estimate = parameters / traits.block_elements * traits.block_bytes;

    auto file = KITH_TRY(NewFile::create(options.path));
    std::uint64_t written = 0;
    KITH_TRY(synthesise(shape, [&](base::ByteView bytes) -> Status {
        written += bytes.size();
        if (options.progress) options.progress(std::min(written, estimate), estimate);
        return file.write(bytes);
    }));
    KITH_TRY(file.commit());
    return json::serialize(json::object{{"file", view(as_utf8(options.path))},
                                        {"size", written},
                                        {"architecture", architecture_name(shape.architecture)},
                                        {"type", view(traits.name)}});
}

}  // namespace kith::infer
