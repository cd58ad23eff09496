#include "infer/shard.h"

#include <doctest/doctest.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <functional>

#include "base/code_of.h"
#include "base/temporary_folder.h"
#include "crypto/blake3.h"
#include "infer/model_tool.h"
#include "infer/shard_test_support.h"
#include "infer/stage.h"
#include "infer/synth.h"

namespace kith::infer {
namespace {

namespace fs = std::filesystem;
using base::Code;
using base::code_of;

struct Folder : base::TemporaryFolder {
    [[nodiscard]] std::string file(std::string const& name) const {
        return (path() / name).string();
    }
};

std::string write_model(Folder const& folder, SynthShape const& shape) {
    auto const path = folder.file("model.gguf");
    auto const json = model_synth({.path = path, .shape = shape, .progress = {}});
    if (!json) FAIL(json.error().message);
    return path;
}

SynthShape small(SynthHead head = SynthHead::own) {
    return {.type = TensorType::q4_0,
            .head = head,
            .layers_count = 4,
            .hidden_size = 64,
            .feed_forward_size = 96,
            .heads_count = 4,
            .kv_heads_count = 2};
}

CutRule two_parts() {
    return {.parts = 2};
}

std::vector<float> logits_of(std::vector<std::shared_ptr<Model const>> const& parts,
                             std::vector<LayerRange> const& ranges) {
    std::vector<TokenId> const tokens = {1, 7, 300, 4};
    auto const& h = parts[0]->hparams();
    std::vector<float> hidden(tokens.size() * h.hidden_size);
    std::vector<float> out(h.vocabulary_size);
    REQUIRE(Stage::create(parts.front())->embed(tokens, hidden).has_value());
    for (std::size_t i = 0; i < parts.size(); ++i) {
        if (ranges[i].count() == 0) continue;
        auto cache = KvCache::create(h, ranges[i], tokens.size()).value();
        auto stage = Stage::create(parts[i]).value();
        REQUIRE(stage.forward(cache, hidden, 0, ranges[i]).has_value());
    }
    auto last = Stage::create(parts.back()).value();
    REQUIRE(last.logits(std::span(hidden).last(h.hidden_size), out).has_value());
    return out;
}

TEST_CASE("S57: only plain names become path components") {
    for (auto const* const good : {"a", "shard_000.gguf", "Model-1.2_x", "console", "com", "a.b.c"})
        CHECK(sanitize_path_component(good).value() == good);
    std::string const long_name(path_component_bytes_max + 1, 'a');
    std::string const nul("a\0b", 3);
    for (std::string const& bad : {std::string(),
                                   std::string("."),
                                   std::string(".."),
                                   std::string("../x"),
                                   std::string("a/b"),
                                   std::string("/etc/passwd"),
                                   std::string("a\\b"),
                                   std::string("C:"),
                                   std::string(".hidden"),
                                   std::string("-rf"),
                                   std::string("a."),
                                   std::string("a b"),
                                   std::string("a\n"),
                                   std::string("%2e%2e"),
                                   std::string("e\xcc\x81"),
                                   std::string("CON"),
                                   std::string("nul.gguf"),
                                   std::string("Com1.txt"),
                                   std::string("lpt9"),
                                   std::string("a~1"),
                                   nul,
                                   long_name}) {
        CAPTURE(bad);
        CHECK(code_of(sanitize_path_component(bad)) == Code::invalid);
    }
    CHECK(sanitize_path_component(std::string(path_component_bytes_max, 'a')).has_value());
}

TEST_CASE("a model whose file is truncated or replaced while it is cut is an error, and no crash") {
    Folder const folder;
    auto const path = write_model(folder, small());
    auto const size = fs::file_size(path);
    std::size_t calls = 0;
    auto const cut = cut_model(path, folder.path(), two_parts(), [&](std::uint64_t, std::uint64_t) {
        if (++calls == 2) fs::resize_file(path, size / 2);
    });
    CHECK(code_of(cut) == Code::io);
    REQUIRE(calls >= 2);
    CHECK(cut.error().message.find("became shorter") != std::string::npos);
    CHECK_FALSE(fs::exists(folder.file("manifest.json")));
    // Before anything was read of it:
    CHECK_FALSE(cut_model(path, folder.path(), {}).has_value());
}

// A model, a plan to cut it, and what comes of lies in the plan.
struct Planned {
    Folder folder;
    std::string path = write_model(folder, small());
    RegularFile file = open_regular(path).value();
    MappedFile mapped = MappedFile::map(file.file.get(), file.size).value();
    CutPlan plan = plan_cut(mapped.bytes(), two_parts()).value();

    // Refused before anything is written.
    bool refuses(std::function<void(CutPlan&)> const& lie) const {
        auto lying = plan;
        lie(lying);
        return code_of(carry_out(lying, file, folder.path(), {})) == Code::corrupt &&
               !fs::exists(folder.file("shard_000.gguf")) &&
               !fs::exists(folder.file("manifest.json"));
    }
};

TEST_CASE("S87: a plan that wants what the file has not, or too much of it, is not carried out") {
    Planned const planned;
    auto const size = std::uint64_t{planned.file.size};
    CHECK(planned.refuses([&](CutPlan& lie) { lie.shards[1][0].offset = size; }));
    CHECK(planned.refuses([&](CutPlan& lie) { lie.shards[1][0].size = size + 1; }));
    CHECK(planned.refuses([&](CutPlan& lie) { lie.shards[1][0].offset = ~std::uint64_t{0}; }));
    CHECK(planned.refuses([&](CutPlan& lie) {
        for (int i = 0; i < 3; ++i) lie.shards[1].push_back({.bytes = {}, .size = size});
    }));
}

TEST_CASE("S87: a plan whose manifest nobody could read is not carried out") {
    Planned const planned;
    CHECK(planned.refuses([](CutPlan& lie) { lie.manifest.name = "a\"b"; }));
    CHECK(planned.refuses([](CutPlan& lie) { lie.manifest.shards[1].layers = {0, 3}; }));
    CHECK(planned.refuses([](CutPlan& lie) { lie.manifest.layers_count = 0; }));
}

TEST_CASE(
    "a plan with a list too many is not carried out, and names of files are not its to give") {
    Planned const planned;
    CHECK(planned.refuses([](CutPlan& lie) { lie.manifest.shards.pop_back(); }));
    auto renamed = planned.plan;
    renamed.manifest.shards[0].file = "../../secret";
    auto const manifest = carry_out(renamed, planned.file, planned.folder.path(), {}).value();
    CHECK(manifest.shards[0].file == "shard_000.gguf");
}

TEST_CASE("a model cut anywhere computes the same bits as the whole, head tied or not") {
    for (auto const head : {SynthHead::own, SynthHead::tied})
        for (auto const* const cuts : {"0,2,4", "1,3", "0,1,2,3", "2", "0,4"}) {
            CAPTURE(cuts);
            Folder const folder;
            auto const path = write_model(folder, small(head));
            auto const plan = parse_cuts(cuts, 4).value();
            auto const manifest = cut_model(path, folder.path(), {.cuts = cuts});
            if (!manifest) FAIL(manifest.error().message);
            auto const whole = Model::load_path(path).value();
            std::vector<std::shared_ptr<Model const>> parts;
            for (auto const& entry : manifest->shards) {
                auto part = load_verified(folder.path(), {entry});
                if (!part) FAIL(part.error().message);
                parts.push_back(*part);
                CHECK((*part)->has_embedding() == entry.has_embedding);
                CHECK((*part)->has_head() == entry.has_head);
                CHECK(((*part)->tokenizer_file() != nullptr) == entry.has_embedding);
            }
            CHECK(logits_of(parts, plan) == logits_of({whole}, {{0, 4}}));
            // All shards together are the whole again; both ends alone are what a requester holds.
            auto const joined = load_verified(folder.path(), manifest->shards);
            REQUIRE(joined.has_value());
            CHECK(logits_of({*joined}, {{0, 4}}) == logits_of({whole}, {{0, 4}}));
            auto const ends =
                load_verified(folder.path(), {manifest->shards.front(), manifest->shards.back()});
            REQUIRE(ends.has_value());
            CHECK(((*ends)->has_embedding() && (*ends)->has_head()));
        }
}

TEST_CASE("a member in the middle holds neither end, nor the tokenizer") {
    Folder const folder;
    auto const manifest =
        cut_model(write_model(folder, small()), folder.path(), two_parts()).value();
    REQUIRE(manifest.shards.size() == 4);
    CHECK(manifest.shards[0].layers == LayerRange{0, 0});
    CHECK(manifest.shards[1].layers == LayerRange{0, 2});
    CHECK(manifest.shards[2].layers == LayerRange{2, 4});
    CHECK(manifest.shards[3].layers == LayerRange{4, 4});
    auto const middle = load_verified(folder.path(), {manifest.shards[1]}).value();
    auto const info = middle->info();
    CHECK_FALSE(info.has_embedding);
    CHECK_FALSE(info.has_head);
    CHECK(info.layers == std::vector<LayerRange>{{0, 2}});
    CHECK(info.vocabulary_size == 512);
    auto stage = Stage::create(middle).value();
    std::vector<float> row(64);
    std::vector<TokenId> const token = {1};
    CHECK(code_of(stage.embed(token, row)) == Code::unsupported);
    std::vector<float> logits(512);
    CHECK(code_of(stage.logits(row, logits)) == Code::unsupported);
}

TEST_CASE("S87: a shard with one bit changed, cut short, longer or swapped is not loaded") {
    Folder const folder;
    auto const manifest =
        cut_model(write_model(folder, small()), folder.path(), two_parts()).value();
    auto const& entry = manifest.shards[1];
    auto const path = folder.file(entry.file);
    std::ifstream in(path, std::ios::binary);
    std::string const original((std::istreambuf_iterator<char>(in)), {});
    auto const load_with = [&](std::string const& content) {
        std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
        auto const model = load_verified(folder.path(), {entry});
        return model ? std::optional<Code>() : model.error().code;
    };
    CHECK_FALSE(load_with(original).has_value());
    for (std::size_t const at : {std::size_t{0}, original.size() / 2, original.size() - 1}) {
        auto flipped = original;
        flipped[at] = static_cast<char>(flipped[at] ^ 1);
        CHECK(load_with(flipped) == Code::corrupt);
    }
    CHECK(load_with(original.substr(0, original.size() - 1)) == Code::corrupt);
    CHECK(load_with(original + "x") == Code::corrupt);
    CHECK_FALSE(load_with(original).has_value());
    auto swapped = manifest.shards[2];
    swapped.file = entry.file;
    swapped.size = entry.size;
    CHECK(code_of(load_verified(folder.path(), {swapped})) == Code::corrupt);
    auto escaping = entry;
    escaping.file = "../" + entry.file;
    CHECK(code_of(load_verified(folder.path(), {escaping})) == Code::invalid);
    fs::remove(path);
    CHECK(code_of(load_verified(folder.path(), {entry})) == Code::not_found);
}

TEST_CASE("the manifest is the same after writing and parsing, and so is the model's id") {
    Folder const folder;
    auto const manifest = cut_model(write_model(folder, small()), folder.path(), {}).value();
    std::ifstream in(folder.file("manifest.json"));
    std::string const text((std::istreambuf_iterator<char>(in)), {});
    auto const parsed = parse_manifest(base::as_bytes(text));
    if (!parsed) FAIL(parsed.error().message);
    CHECK(*parsed == manifest);
    CHECK(write_manifest(*parsed) == text);
    CHECK(model_id(*parsed) == model_id(manifest));
    CHECK(model_id(manifest).size() == 64);
    CHECK(manifest.shards.size() == 3);
    std::uint64_t total = 0;
    for (auto const& shard : manifest.shards) {
        CHECK(fs::file_size(folder.file(shard.file)) == shard.size);
        total += shard.size;
    }
    CHECK(manifest.total_bytes == total);
    auto other = manifest;
    other.shards[1].blake3[0] ^= 1;
    CHECK(model_id(other) != model_id(manifest));
    CHECK_FALSE(fs::exists(folder.file("manifest.json.partial")));
}

Manifest example() {
    Manifest out{.name = "m",
                 .architecture = "llama",
                 .layers_count = 2,
                 .hidden_size = 8,
                 .vocabulary_size = 16,
                 .context_length = 32,
                 .total_bytes = 60,
                 .shards = {}};
    out.shards.push_back({"shard_000.gguf", {0, 1}, true, false, 20, {}});
    out.shards.push_back({"shard_001.gguf", {1, 2}, false, false, 20, {}});
    out.shards.push_back({"shard_002.gguf", {2, 2}, false, true, 20, {}});
    return out;
}

TEST_CASE("a manifest that lies is refused") {
    auto const refused = [](std::function<void(Manifest&)> const& change) {
        auto manifest = example();
        change(manifest);
        return !parse_manifest(base::as_bytes(write_manifest(manifest))).has_value();
    };
    REQUIRE_FALSE(refused([](Manifest&) {}));
    CHECK(refused([](Manifest& m) { m.shards[1].layers = {0, 2}; }));  // overlap
    CHECK(refused([](Manifest& m) { m.shards.erase(m.shards.begin() + 1); }));
    CHECK(refused([](Manifest& m) { std::swap(m.shards[0], m.shards[1]); }));
    CHECK(refused([](Manifest& m) { m.shards[1].layers = {2, 1}; }));
    CHECK(refused([](Manifest& m) { m.shards[1].layers = {1, 3}; }));
    CHECK(refused([](Manifest& m) { m.layers_count = 3; }));
    CHECK(refused([](Manifest& m) { m.shards[1].has_embedding = true; }));
    CHECK(refused([](Manifest& m) { m.shards[2].has_head = false; }));
    CHECK(refused([](Manifest& m) { m.shards[0].has_embedding = false; }));
    CHECK(refused([](Manifest& m) { m.shards[1].has_head = true; }));
    CHECK(refused([](Manifest& m) { m.shards[1].file = "../shard_001.gguf"; }));
    CHECK(refused([](Manifest& m) { m.shards[1].file = "/etc/passwd"; }));
    CHECK(refused([](Manifest& m) { m.shards[1].file = m.shards[0].file; }));
    CHECK(refused([](Manifest& m) { m.shards[1].size = 0; }));
    CHECK(refused([](Manifest& m) { m.shards[1].size = 21; }));
    CHECK(refused([](Manifest& m) { m.total_bytes = 61; }));
    CHECK(refused([](Manifest& m) { m.shards.clear(); }));
    CHECK(refused([](Manifest& m) { m.name = "\x1b[2J"; }));
    CHECK(refused([](Manifest& m) { m.hidden_size = 0; }));
    CHECK(refused([](Manifest& m) { m.hidden_size = hidden_size_max + 1; }));
}

TEST_CASE("a manifest is strict JSON with exactly the known fields") {
    auto const canonical = write_manifest(example());
    auto const refused = [&](std::string_view from, std::string_view to) {
        auto text = canonical;
        auto const at = text.find(from);
        REQUIRE(at != std::string::npos);
        text.replace(at, from.size(), to);
        return !parse_manifest(base::as_bytes(text)).has_value();
    };
    CHECK_FALSE(refused("{\n", "{ \n\t"));
    CHECK(refused("\"version\": 1", "\"version\": 2"));
    CHECK(refused("\"version\": 1", "\"version\": 1, \"version\": 1"));
    CHECK(refused("\"version\": 1", "\"version\": 1, \"extra\": 1"));
    CHECK(refused("\"version\": 1,", ""));
    // Quotation marks in a name must not pay for a second "version".
    CHECK(refused("\"version\": 1,\n  \"name\": \"",
                  "\"version\": 2, \"version\": 1,\n  \"name\": \"\\u0022\\u0022"));
    CHECK(refused("\"name\": \"", "\"name\": \"\\\\"));
    CHECK(refused("\"hidden_size\": 8", "\"hidden_size\": 8.0"));
    CHECK(refused("\"hidden_size\": 8", "\"hidden_size\": -8"));
    CHECK(refused("\"hidden_size\": 8", "\"hidden_size\": \"8\""));
    CHECK(refused("\"hidden_size\": 8", "\"hidden_size\": 99999999999999999999"));
    CHECK(refused("\"size\": 20", "\"size\": 20, \"extra\": null"));
    CHECK(refused("\"has_head\": false", "\"has_head\": 0"));
    CHECK(refused("[0, 1]", "[0, 1, 2]"));
    CHECK(refused("[0, 1]", "[[[[0]]], 1]"));
    CHECK(refused("\"blake3\": \"00", "\"blake3\": \"0"));
    CHECK(refused("\"blake3\": \"00", "\"blake3\": \"zz"));
    CHECK_FALSE(parse_manifest({}).has_value());
    CHECK_FALSE(parse_manifest(base::as_bytes("[]")).has_value());
    CHECK_FALSE(parse_manifest(base::as_bytes(canonical + "x")).has_value());
    CHECK_FALSE(parse_manifest(base::as_bytes(canonical.substr(0, 100))).has_value());
    std::string const large = canonical + std::string(manifest_bytes_max, ' ');
    CHECK(code_of(parse_manifest(base::as_bytes(large))) == Code::too_large);
    std::string const fits = canonical + std::string(manifest_bytes_max - canonical.size(), ' ');
    CHECK(parse_manifest(base::as_bytes(fits)).has_value());
}

TEST_CASE("cuts are ascending layer numbers") {
    CHECK(parse_cuts("0,2,4", 4).value() ==
          std::vector<LayerRange>{{0, 0}, {0, 2}, {2, 4}, {4, 4}});
    for (auto const* const bad :
         {"", ",", "1,", ",1", "2,1", "5", "-1", "x", "1 2", "1,1,2", "0,0"}) {
        CAPTURE(bad);
        CHECK_FALSE(parse_cuts(bad, 4).has_value());
    }
}

TEST_CASE("files of different models, twice the same, or with a layer missing are refused") {
    Folder const a;
    Folder const b;
    auto const first = cut_model(write_model(a, small()), a.path(), {}).value();
    auto shape = small();
    shape.feed_forward_size = 128;
    auto const second = cut_model(write_model(b, shape), b.path(), {}).value();
    std::vector<MappedFile> mixed;
    mixed.push_back(MappedFile::open(a.file("shard_000.gguf")).value());
    mixed.push_back(MappedFile::open(b.file("shard_001.gguf")).value());
    CHECK(Model::load(std::move(mixed)).error().message.find("different models") !=
          std::string::npos);
    CHECK_FALSE(load_verified(a.path(), {first.shards[1], first.shards[1]}).has_value());
    CHECK_FALSE(Model::load({}).has_value());
    CHECK(code_of(cut_model(a.file("shard_001.gguf"), b.path(), {})) == Code::invalid);
}

TEST_CASE("the model tool answers in JSON, and says why where it cannot") {
    Folder const folder;
    auto const path = write_model(folder, small());
    auto const parse = [](base::Result<std::string> const& text) {
        if (!text) FAIL(text.error().message);
        return boost::json::parse(*text);
    };
    auto const inspected = parse(model_inspect({.path = path}));
    CHECK(inspected.at("engine").at("runnable").as_bool());
    CHECK(inspected.at("types").at("Q4_0").as_int64() == 4 * 7 + 2);
    auto const tokens = parse(model_tokenize({.path = path, .text = "the line"}));
    CHECK(tokens.at("text").as_string() == "the line");
    auto const logits = parse(model_logits({.path = path, .tokens = {1, 2, 3}, .top_k = 3}));
    CHECK(logits.at("logits").as_array().size() == 512);
    CHECK(logits.at("top").as_array().size() == 3);
    auto const manifest = cut_model(path, folder.path(), {.cuts = "0,2,4"}).value();
    auto const cut = parse(shard_document(manifest, folder.path()));
    CHECK(cut.at("shards").as_array().size() == 4);
    CHECK(cut.at("id").as_string().size() == 64);
    CHECK(code_of(model_logits({.path = path, .tokens = {}})) == Code::invalid);
    CHECK(code_of(model_logits({.path = path, .tokens = {512}})) == Code::invalid);
    CHECK(code_of(model_inspect({.path = folder.file("none")})) == Code::not_found);
    CHECK(code_of(model_inspect({.path = folder.path()})) == Code::invalid);
    auto const part = folder.file("shard_001.gguf");
    CHECK(code_of(model_logits({.path = part, .tokens = {1}})) == Code::invalid);
    CHECK(code_of(model_tokenize({.path = part, .text = "x"})) == Code::invalid);
}

}  // namespace
}  // namespace kith::infer
