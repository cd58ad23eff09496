// infer/model_tool.h: what is behind `kith model ...`: each function returns one JSON document as
// text.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "infer/kernels.h"
#include "infer/mapped_file.h"
#include "infer/shard.h"
#include "infer/stage.h"
#include "infer/synth.h"
#include "infer/tokenizer.h"
#include "ports/clock.h"

namespace kith::infer {

// {file, size, version, architecture, ..., metadata: {...}, tensors: [{name, type, shape, bytes}],
// types: {...}}. Long strings and arrays in the metadata are cut to items_max items, with their
// full count beside them.
struct InspectOptions {
    std::string path = {};
    std::size_t items_max = 8;
};
base::Result<std::string> model_inspect(InspectOptions const& options);
// Of a file that is open already; options.path is its name for people.
base::Result<std::string> model_inspect(MappedFile file, InspectOptions const& options);

// {ids: [...], pieces: [...], text: decoded}
struct TokenizeOptions {
    std::string path = {};
    std::string text = {};
    Begin begin = Begin::as_model_says;
    Specials specials = Specials::as_text;
};
base::Result<std::string> model_tokenize(TokenizeOptions const& options);
base::Result<std::string> model_tokenize(MappedFile file, TokenizeOptions const& options);

// {ids, vocabulary_size, logits: [...] of the last position, top: [{id, piece, logit}]}
struct LogitsOptions {
    std::string path = {};
    std::vector<TokenId> tokens = {};  // must not be empty
    std::size_t top_k = 10;
    std::size_t positions_max = 0;  // room in the cache (longrope looks at it); 0: for the tokens
    std::size_t threads = 1;
    Isa isa = Isa::detected;
};
base::Result<std::string> model_logits(LogitsOptions const& options);
base::Result<std::string> model_logits(MappedFile file, LogitsOptions const& options);

// {kernels, threads, prompt: {tokens, seconds, tokens_per_second}, decode: {...}, weight_bytes,
// kv_bytes}; with `sequences` also together: {sequences, tokens (of all), seconds, ...}.
// With `machine` measured: machine: {read_bytes_per_second: [with 1 thread, 2, ... `threads`],
// int8_operations_per_second} (machine_peak.h), and in prompt, decode and together
// bandwidth_share and int8_share: how much of the time the reading or the computing that the model
// asks for (model_work.h) would take at that peak.
// With `layers` measured: layers: [{layer, prompt_ms_per_token, decode_ms_per_token}], each called
// by itself for up to 64 tokens of the prompt and up to 16 after them.
enum class BenchMachine { as_is, measured };
enum class BenchLayers { together, measured };
struct BenchOptions {
    std::string path = {};
    std::size_t prompt_tokens = 512;
    std::size_t decode_tokens = 128;
    std::size_t sequences = 0;  // up to micro_batch_tokens, decoded together; 0: not measured
    std::size_t threads = 1;
    Isa isa = Isa::detected;
    BenchMachine machine = BenchMachine::as_is;
    BenchLayers layers = BenchLayers::together;
    std::function<void(std::size_t done, std::size_t total)> progress = {};
};
base::Result<std::string> model_bench(BenchOptions const& options, ports::Clock const& clock);

// The manifest of a model that was cut (cut_plan.h) into `folder`, with "id" and "folder" added.
base::Result<std::string> shard_document(Manifest const& manifest, std::string const& folder);

// Random weights of a given shape and type, with a small working vocabulary; for tests and
// planning. Returns {file, size, architecture, type}.
struct SynthOptions {
    std::string path = {};  // replaced when it exists
    SynthShape shape = {};
    Progress progress = {};  // the total is an estimate
};
base::Result<std::string> model_synth(SynthOptions const& options);

}  // namespace kith::infer
