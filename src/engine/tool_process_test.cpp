// Model files in a confined process: the same answers, and what a flaw in a parser can do.
#include "engine/tool_process.h"

#include <doctest/doctest.h>

#include <fstream>

#include "base/code_of.h"
#include "base/temporary_folder.h"
#include "engine/worker_test_support.h"

namespace kith::engine {
namespace {

using base::Code;
using base::code_of;

struct File {
    base::TemporaryFolder folder;
    std::string path = (folder.path() / "tiny.gguf").string();
    File() {
        infer::SynthOptions options{.path = path};
        REQUIRE(infer::model_synth(options));
    }
};

}  // namespace

TEST_CASE("a worker gives the answers that this process would give") {
    File const file;
    infer::InspectOptions const inspect{.path = file.path};
    auto const inspected = ask_worker(worker(), inspect);
    REQUIRE_MESSAGE(inspected, (inspected ? "" : inspected.error().message));
    CHECK(inspected->document == infer::model_inspect(inspect).value());
    infer::TokenizeOptions const tokenize{.path = file.path, .text = "Hello, you"};
    auto const tokens = ask_worker(worker(), tokenize);
    REQUIRE_MESSAGE(tokens, (tokens ? "" : tokens.error().message));
    CHECK(tokens->document == infer::model_tokenize(tokenize).value());
    infer::LogitsOptions const logits{.path = file.path, .tokens = {1, 2, 3}, .threads = 2};
    auto const row = ask_worker(worker(), logits);
    REQUIRE_MESSAGE(row, (row ? "" : row.error().message));
    CHECK(row->document == infer::model_logits(logits).value());
}

TEST_CASE("errors of the file are the worker's answer") {
    base::TemporaryFolder const folder;
    auto const path = (folder.path() / "bad.gguf").string();
    CHECK(code_of(ask_worker(worker(), infer::InspectOptions{.path = path})) == Code::not_found);
    std::ofstream(path) << "GGUF, but not really";
    auto const bad = ask_worker(worker(), infer::InspectOptions{.path = path});
    CHECK(code_of(bad) == code_of(infer::model_inspect({.path = path})));
    CHECK(code_of(ask_worker(worker(), infer::InspectOptions{.path = folder.path()})) ==
          Code::invalid);
}

TEST_CASE("S87: a crash while a model file is read is an error of that call") {
    File const file;
    auto const crashed = ask_worker(worker("flaw.crash"), infer::InspectOptions{.path = file.path});
    REQUIRE(code_of(crashed) == Code::internal);
    CHECK(crashed.error().message.find("signal 11") != std::string::npos);
    CHECK(code_of(ask_worker(worker("flaw.exit"), infer::InspectOptions{.path = file.path})) ==
          Code::internal);
    CHECK(ask_worker(worker(), infer::InspectOptions{.path = file.path}));
}

TEST_CASE("a worker that ends at once, whether it read the request or not, is the same error") {
    File const file;
    for (char const* const program : {"/bin/false", "/bin/true"})
        for (int i = 0; i < 20; ++i)
            CHECK(code_of(ask_worker({.path = program},
                                     infer::InspectOptions{.path = file.path})) == Code::internal);
}

TEST_CASE("S87: whoever takes over the reader of a model file reads no other file") {
    File const file;
    auto const stolen = ask_worker(worker("flaw.leak"), infer::InspectOptions{.path = file.path});
    CHECK(code_of(stolen) == Code::forbidden);
}

TEST_CASE("S87: what a worker says is bounded, and JSON or nothing") {
    File const file;
    CHECK(code_of(ask_worker(worker("flaw.chatter"), infer::InspectOptions{.path = file.path})) ==
          Code::internal);
    CHECK(code_of(ask_worker(worker("flaw.flood"), infer::InspectOptions{.path = file.path})) ==
          Code::too_large);
}

TEST_CASE("S87: no word of a worker reaches a terminal as a command") {
    auto const said = encode(base::Result<ToolAnswer>(base::fail(Code::invalid, "\x1b[2Jhello\n")));
    auto const heard = decode_tool_answer(said);
    REQUIRE(code_of(heard) == Code::invalid);
    CHECK(heard.error().message == "?[2Jhello?");
}

TEST_CASE("a request or an answer that is cut anywhere is refused") {
    auto const bytes = encode(ToolRequest{.tool = infer::LogitsOptions{.tokens = {1, 2}}}).value();
    REQUIRE(decode_tool_request(bytes));
    for (std::size_t size = 0; size < bytes.size(); ++size)
        CHECK_FALSE(decode_tool_request(base::ByteView(bytes).first(size)));
    CHECK(code_of(decode_tool_answer({})) == Code::internal);
    base::Bytes const no_such_code{1, 200};
    CHECK(code_of(decode_tool_answer(no_such_code)) == Code::internal);
    base::Bytes const no_such_kind{3, 0, '1'};
    CHECK(code_of(decode_tool_answer(no_such_kind)) == Code::internal);
}

TEST_CASE("more text than a request takes is refused before a process is started") {
    File const file;
    infer::TokenizeOptions const options{.path = file.path,
                                         .text = std::string(tool_request_bytes_max, 'a')};
    CHECK(code_of(ask_worker({.path = "/nothing"}, options)) == Code::too_large);
}

}  // namespace kith::engine
