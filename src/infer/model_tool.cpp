#include "infer/model_tool.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <map>
#include <numeric>

#include "infer/model_run.h"
#include "infer/new_file.h"
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
    auto run = KITH_TRY(ModelRun::create(std::move(file), stage, positions));
    KITH_TRY(run.feed(options.tokens));
    auto const tokenizer = open_tokenizer(*run.model);
    return json::serialize(
        json::object{{"ids", json::array(options.tokens.begin(), options.tokens.end())},
                     {"vocabulary_size", run.row.size()},
                     {"top", top_tokens(run.row, options.top_k, tokenizer)},
                     {"logits", json::array(run.row.begin(), run.row.end())}});
}

Result<std::string> shard_document(Manifest const& manifest, std::string const& folder) {
    json::error_code error;
    auto value = json::parse(write_manifest(manifest), error);
    if (error || !value.is_object()) return fail(Code::internal, "our own manifest is no JSON");
    value.get_object()["id"] = view(model_id(manifest));
    value.get_object()["folder"] = view(as_utf8(folder));
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
