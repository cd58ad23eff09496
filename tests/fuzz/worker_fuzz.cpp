// tests/fuzz/worker_fuzz.cpp: the messages between a node and its model workers. A worker reads
// files that strangers made, so it may be in their hands: the node believes nothing it says.
//
// First byte: 0 the input is a message, for all four readers; 1 to 6 a true one with the edits of
// the input (fuzz_edits.h): start of a stage, facts of a stage, an error, two requests to a tool,
// answer of a tool. Checked: what is read is written again the same (what a worker says may have
// had words to clean first, and then is settled); sizes are possible ones; words are printable
// ASCII.
#include <boost/json.hpp>

#include "base/check.h"
#include "engine/stage_start.h"
#include "engine/tool_request.h"
#include "engine/worker_error.h"
#include "fuzz_edits.h"
#include "infer/hparams.h"

using namespace kith;
using namespace kith::engine;

namespace {

bool is_plain(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return c >= 0x20 && c <= 0x7e; });
}

void check_error(base::Error const& error) {
    KITH_ASSERT(error.code <= base::Code::internal);
    KITH_ASSERT(error.message.size() <= error_message_bytes_max && is_plain(error.message));
}

void read_start(base::ByteView bytes) {
    auto const start = decode_stage_start(bytes);
    if (start) KITH_ASSERT(base::equal(encode(*start), bytes));
}

void read_facts(base::ByteView bytes) {
    auto const facts = decode_stage_facts(bytes);
    if (!facts) return check_error(facts.error());
    auto const& model = facts->model;
    KITH_ASSERT(model.hidden_size > 0 && model.hidden_size <= infer::hidden_size_max);
    KITH_ASSERT(model.vocabulary_size > 0 && model.vocabulary_size <= infer::vocabulary_size_max);
    KITH_ASSERT(model.layers_count > 0 && model.layers_count <= infer::layers_count_max);
    KITH_ASSERT(model.layers.size() <= model.layers_count);
    std::size_t end = 0;
    for (auto const& range : model.layers) {
        KITH_ASSERT(end <= range.begin && range.begin < range.end);
        end = range.end;
    }
    KITH_ASSERT(end <= model.layers_count);
    KITH_ASSERT(is_plain(model.name) && is_plain(model.architecture));
    auto const written = encode(facts);
    auto const again = decode_stage_facts(written);
    KITH_ASSERT(again.has_value() && encode(again) == written);
}

void read_request(base::ByteView bytes) {
    auto const request = decode_tool_request(bytes);
    if (!request) return;
    auto const again = encode(*request);
    KITH_ASSERT(again.has_value() == (bytes.size() <= tool_request_bytes_max));
    if (again) KITH_ASSERT(base::equal(*again, bytes));
}

void read_answer(base::ByteView bytes) {
    auto const answer = decode_tool_answer(bytes);
    if (!answer) return check_error(answer.error());
    boost::system::error_code error;
    (void)boost::json::parse(answer->document, error);
    KITH_ASSERT(!error);
    KITH_ASSERT(base::equal(encode(answer), bytes));
}

void read_all(base::ByteView bytes) {
    read_start(bytes);
    read_facts(bytes);
    read_request(bytes);
    read_answer(bytes);
    wire::Reader reader(bytes);
    auto const error = read_error(reader);
    check_error(error);
    wire::Writer out;
    write_error(out, error);
    wire::Reader again(out.view());
    auto const settled = read_error(again);
    KITH_ASSERT(settled.code == error.code && settled.message == error.message);
}

base::Bytes true_facts() {
    StageFacts facts;
    facts.model.architecture = "llama";
    facts.model.name = "tiny";
    facts.model.layers_count = 8;
    facts.model.hidden_size = 64;
    facts.model.vocabulary_size = 300;
    facts.model.context_length = 512;
    facts.model.layers = {{0, 2}, {2, 5}};
    facts.model.has_embedding = true;
    facts.kv_size = 32;
    return encode(base::Result<StageFacts>(facts));
}

base::Bytes true_message(std::uint8_t kind) {
    if (kind == 1) return encode(StageStart{.file_sizes = {20640, 1}});
    if (kind == 2) return true_facts();
    if (kind == 3)
        return encode(base::Result<StageFacts>(base::fail(base::Code::corrupt, "a bad tensor")));
    infer::LogitsOptions const logits{.path = "model.gguf", .tokens = {1, 2, 3}};
    infer::TokenizeOptions const tokenize{.path = "model.gguf", .text = "hello"};
    if (kind == 4) return encode(ToolRequest{.tool = logits, .file_size = 20640}).value();
    if (kind == 5) return encode(ToolRequest{.tool = tokenize, .file_size = 20640}).value();
    return encode(base::Result<ToolAnswer>(ToolAnswer{.document = R"({"ids":[1,2]})"}));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    fuzz::FuzzInput input(data, size);
    auto const kind = input.byte() % 7;
    if (kind == 0)
        read_all(base::as_bytes(input.text(size)));
    else
        read_all(fuzz::edited(input, true_message(static_cast<std::uint8_t>(kind))));
    return 0;
}
