// The manifest's text: strict parser, canonical writer. And the names it may carry.
#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <set>

#include "base/encoding.h"
#include "base/sabotage.h"
#include "crypto/blake3.h"
#include "infer/shard.h"

namespace kith::infer {
namespace {

namespace json = boost::json;
using base::Code;
using base::fail;
using base::Result;
using base::Status;

constexpr std::size_t manifest_depth_max = 4;
constexpr std::uint64_t total_bytes_max = std::uint64_t{1} << 50U;

bool is_name_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

// Windows opens a device for these, with any extension.
bool is_device_name(std::string_view name) {
    std::string stem(name.substr(0, name.find('.')));
    for (char& c : stem)
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    if (stem == "CON" || stem == "PRN" || stem == "AUX" || stem == "NUL") return true;
    bool const numbered = stem.size() == 4 && (stem.starts_with("COM") || stem.starts_with("LPT"));
    return numbered && stem[3] >= '0' && stem[3] <= '9';
}

bool is_path_component(std::string_view name) {
    if (name.empty() || name.size() > path_component_bytes_max) return false;
    if (name.front() == '.' || name.front() == '-' || name.back() == '.') return false;
    return std::ranges::all_of(name, is_name_character) && !is_device_name(name);
}

// An object whose fields are taken one by one; what was not taken is unknown and refused.
class Fields {
public:
    static Result<Fields> of(json::value const& value, char const* what) {
        if (!value.is_object())
            return fail(Code::invalid, std::string("manifest: ") + what + " is no object");
        return Fields(value.get_object());
    }

    Result<json::value const*> take(char const* key) {
        auto const* const found = object_->if_contains(key);
        if (found == nullptr)
            return fail(Code::invalid, std::string("manifest: \"") + key + "\" is missing");
        ++taken_;
        return found;
    }
    Result<std::uint64_t> number(char const* key, std::uint64_t max) {
        auto const* const value = KITH_TRY(take(key));
        std::uint64_t out = 0;
        if (value->is_int64() && value->get_int64() >= 0) {
            out = static_cast<std::uint64_t>(value->get_int64());
        } else {
            return fail(Code::invalid, std::string("manifest: \"") + key + "\" is no whole number");
        }
        if (out > max)
            return fail(Code::too_large, std::string("manifest: \"") + key + "\" is too large");
        return out;
    }
    Result<bool> flag(char const* key) {
        auto const* const value = KITH_TRY(take(key));
        if (!value->is_bool())
            return fail(Code::invalid, std::string("manifest: \"") + key + "\" is no boolean");
        return value->get_bool();
    }
    Result<std::string> text(char const* key) {
        auto const* const value = KITH_TRY(take(key));
        if (!value->is_string() || value->get_string().size() > path_component_bytes_max)
            return fail(Code::invalid, std::string("manifest: \"") + key + "\" is no short text");
        std::string out(value->get_string());
        auto const is_plain = [](char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; };
        if (!std::ranges::all_of(out, is_plain))
            return fail(Code::invalid,
                        std::string("manifest: \"") + key + "\" is not plain printable text");
        return out;
    }
    Status finish() const {
        if (taken_ != object_->size()) return fail(Code::invalid, "manifest: an unknown field");
        return {};
    }

private:
    explicit Fields(json::object const& object) : object_(&object) {}
    json::object const* object_;
    std::size_t taken_ = 0;
};

Result<LayerRange> read_layers(json::value const& value, std::size_t layers_count) {
    auto const* const pair = value.if_array();
    if (pair == nullptr || pair->size() != 2 || !(*pair)[0].is_int64() || !(*pair)[1].is_int64())
        return fail(Code::invalid, "manifest: \"layers\" is no pair of numbers");
    auto const begin = (*pair)[0].get_int64();
    auto const end = (*pair)[1].get_int64();
    if (begin < 0 || end < begin || static_cast<std::uint64_t>(end) > layers_count)
        return fail(Code::invalid, "manifest: \"layers\" is no range");
    return LayerRange{static_cast<std::size_t>(begin), static_cast<std::size_t>(end)};
}

Result<ShardEntry> read_entry(json::value const& value, std::size_t layers_count) {
    auto fields = KITH_TRY(Fields::of(value, "a shard"));
    ShardEntry out;
    out.file = KITH_TRY(sanitize_path_component(KITH_TRY(fields.text("file"))));
    out.layers = KITH_TRY(read_layers(*KITH_TRY(fields.take("layers")), layers_count));
    out.has_embedding = KITH_TRY(fields.flag("has_embedding"));
    out.has_head = KITH_TRY(fields.flag("has_head"));
    out.size = KITH_TRY(fields.number("size", total_bytes_max));
    auto const hash = KITH_TRY(base::from_hex(KITH_TRY(fields.text("blake3"))));
    if (hash.size() != out.blake3.size() || out.size == 0)
        return fail(Code::invalid, "manifest: \"blake3\" or \"size\" is not valid");
    std::ranges::copy(hash, out.blake3.begin());
    KITH_TRY(fields.finish());
    return out;
}

// The whole must be one model: every layer once, in order, the ends at the ends.
Status check_complete(Manifest const& manifest) {
    std::set<std::string_view> files;
    std::size_t next_layer = 0;
    std::uint64_t sum = 0;
    for (auto const& entry : manifest.shards) {
        if (!files.insert(entry.file).second)
            return fail(Code::invalid, "manifest: a file appears twice");
        if (entry.layers.begin != next_layer)
            return fail(Code::invalid, "manifest: layers are missing or out of order");
        next_layer = entry.layers.end;
        sum += entry.size;  // no overflow: 1026 shards of at most 2^50 bytes
        if (entry.has_embedding != (&entry == &manifest.shards.front()) ||
            entry.has_head != (&entry == &manifest.shards.back()))
            return fail(Code::invalid, "manifest: an end of the model is at the wrong place");
    }
    if (next_layer != manifest.layers_count)
        return fail(Code::invalid, "manifest: the last layers are missing");
    if (sum != manifest.total_bytes)
        return fail(Code::invalid, "manifest: \"total_bytes\" is not the sum of the sizes");
    return {};
}

Result<json::value> parse_json(base::ByteView bytes) {
    if (bytes.size() > manifest_bytes_max) return fail(Code::too_large, "manifest: too large");
    json::parse_options options;
    options.max_depth = manifest_depth_max;
    json::error_code error;
    auto value = json::parse(base::as_text(bytes), error, {}, options);
    if (error) return fail(Code::invalid, "manifest: not valid JSON");
    return value;
}

// Boost.JSON keeps the last of two equal keys; a strict reader refuses them. Counted in the text: a
// manifest that is accepted has, written canonically, as many quotation marks as were given: no
// text in it holds one, escaped or not.
Status check_no_duplicates(base::ByteView bytes, Manifest const& manifest) {
    auto const canonical = write_manifest(manifest);
    auto const quotes = [](std::string_view text) { return std::ranges::count(text, '"'); };
    if (quotes(base::as_text(bytes)) != quotes(canonical))
        return fail(Code::invalid, "manifest: a field appears twice");
    return {};
}

std::string quoted(std::string_view text) {
    return json::serialize(json::value(json::string_view(text.data(), text.size())));
}

}  // namespace

Result<std::string> sanitize_path_component(std::string_view name) {
    if (!KITH_GUARD("S57.component", is_path_component(name)))
        return fail(Code::invalid, "not a safe file name (letters, digits, '.', '_' and '-' only)");
    return std::string(name);
}

Result<Manifest> parse_manifest(base::ByteView bytes) {
    auto const value = KITH_TRY(parse_json(bytes));
    auto fields = KITH_TRY(Fields::of(value, "the whole"));
    if (KITH_TRY(fields.number("version", UINT32_MAX)) != manifest_version)
        return fail(Code::unsupported, "manifest: unknown version");
    Manifest out;
    out.name = KITH_TRY(fields.text("name"));
    out.architecture = KITH_TRY(fields.text("architecture"));
    out.layers_count = KITH_TRY(fields.number("layer_count", layers_count_max));
    out.hidden_size = KITH_TRY(fields.number("hidden_size", hidden_size_max));
    out.vocabulary_size = KITH_TRY(fields.number("vocabulary_size", vocabulary_size_max));
    out.context_length = KITH_TRY(fields.number("context_length", context_length_max));
    out.total_bytes = KITH_TRY(fields.number("total_bytes", UINT64_MAX));
    auto const* const shards = KITH_TRY(fields.take("shards"))->if_array();
    if (shards == nullptr || shards->empty())
        return fail(Code::invalid, "manifest: \"shards\" is no list of shards");
    if (shards->size() > manifest_shards_max)
        return fail(Code::too_large, "manifest: too many shards");
    for (auto const& shard : *shards)
        out.shards.push_back(KITH_TRY(read_entry(shard, out.layers_count)));
    KITH_TRY(fields.finish());
    if (out.layers_count == 0 || out.hidden_size == 0 || out.vocabulary_size == 0 ||
        out.context_length == 0)
        return fail(Code::invalid, "manifest: a size is 0");
    KITH_TRY(check_complete(out));
    KITH_TRY(check_no_duplicates(bytes, out));
    return out;
}

std::string write_manifest(Manifest const& manifest) {
    auto const line = [](char const* key, std::uint64_t value) {
        return std::string("  \"") + key + "\": " + std::to_string(value) + ",\n";
    };
    std::string out = "{\n";
    out += line("version", manifest_version);
    out += "  \"name\": " + quoted(manifest.name) + ",\n";
    out += "  \"architecture\": " + quoted(manifest.architecture) + ",\n";
    out += line("layer_count", manifest.layers_count);
    out += line("hidden_size", manifest.hidden_size);
    out += line("vocabulary_size", manifest.vocabulary_size);
    out += line("context_length", manifest.context_length);
    out += line("total_bytes", manifest.total_bytes);
    out += "  \"shards\": [";
    auto const flag = [](bool value) { return value ? "true" : "false"; };
    for (auto const& shard : manifest.shards) {
        out += &shard == &manifest.shards.front() ? "\n" : ",\n";
        out += "    {\"file\": " + quoted(shard.file) + ", \"layers\": [" +
               std::to_string(shard.layers.begin) + ", " + std::to_string(shard.layers.end) +
               "], \"has_embedding\": " + flag(shard.has_embedding) +
               ", \"has_head\": " + flag(shard.has_head) +
               ", \"size\": " + std::to_string(shard.size) + ", \"blake3\": \"" +
               base::to_hex(shard.blake3) + "\"}";
    }
    return out + "\n  ]\n}\n";
}

std::string model_id(Manifest const& manifest) {
    return base::to_hex(crypto::blake3(base::as_bytes(write_manifest(manifest))));
}

}  // namespace kith::infer
