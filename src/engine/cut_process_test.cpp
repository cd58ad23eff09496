// A model cut with its file read by a confined process.
#include "engine/cut_process.h"

#include <doctest/doctest.h>

#include <filesystem>

#include "base/code_of.h"
#include "base/temporary_folder.h"
#include "engine/worker_test_support.h"
#include "infer/shard_test_support.h"

namespace kith::engine {
namespace {

namespace fs = std::filesystem;
using base::Code;
using base::code_of;

struct Bench {
    base::TemporaryFolder folder;
    std::string path = (folder.path() / "tiny.gguf").string();
    std::string shards = (folder.path() / "shards").string();
    Bench() {
        REQUIRE(infer::model_synth({.path = path}));
        fs::create_directory(shards);
    }
    base::Result<CutAnswer> cut(std::string const& flaw, infer::CutRule const& rule = {}) const {
        return cut_with_worker(worker(flaw), {.path = path, .rule = rule}, shards);
    }
};

}  // namespace

TEST_CASE("a model cut with a worker has the shards that this process would make") {
    Bench const bench;
    infer::CutRule const rule{.cuts = "0,1"};
    auto const cut = bench.cut("none", rule);
    REQUIRE_MESSAGE(cut, (cut ? "" : cut.error().message));
    base::TemporaryFolder const here;
    auto const expected = infer::cut_model(bench.path, here.path().string(), rule).value();
    CHECK(cut->manifest == expected);
    CHECK(infer::load_verified(bench.shards, cut->manifest.shards).has_value());
    CHECK(fs::exists(fs::path(bench.shards) / "manifest.json"));
}

TEST_CASE("S87: a worker's lie or crash while a model is cut is an error, and leaves no model") {
    Bench const bench;
    CHECK(code_of(bench.cut("flaw.lie_plan")) == Code::corrupt);
    CHECK(code_of(bench.cut("flaw.crash")) == Code::internal);
    CHECK(code_of(bench.cut("flaw.chatter")) == Code::internal);  // JSON or not: no plan
    CHECK(code_of(bench.cut("none", {.cuts = "7,3"})) == Code::invalid);
    CHECK_FALSE(fs::exists(fs::path(bench.shards) / "manifest.json"));
}

TEST_CASE("a plan that is cut anywhere is refused") {
    infer::CutPlan plan;
    plan.manifest = {.name = "x", .architecture = "llama", .layers_count = 1, .shards = {}};
    plan.manifest.shards.push_back({.file = {}, .layers = {0, 1}});
    plan.shards.push_back({{.bytes = {1, 2}, .offset = 3, .size = 4}, {}});
    auto const bytes = encode(base::Result<ToolAnswer>(ToolAnswer{.plan = plan}));
    auto const read = decode_tool_answer(bytes);
    REQUIRE(read);
    CHECK(read->plan->shards[0][0].bytes == base::Bytes{1, 2});
    CHECK(read->plan->shards[0][0].size == 4);
    for (std::size_t size = 0; size < bytes.size(); ++size)
        CHECK_FALSE(decode_tool_answer(base::ByteView(bytes).first(size)));
    // 2^32 - 1 pieces
    auto many = bytes;
    many[many.size() - 2 * 20 - 2 - 4] = 0xff;
    CHECK_FALSE(decode_tool_answer(many));
}

}  // namespace kith::engine
