// model inspect|tokenize|logits|bench|shard|synth: tools for one GGUF file. They need no node and
// print JSON; bench prints tables below it, unless --json is given. All but bench have the file
// read by a confined process (engine/tool_process.h, engine/cut_process.h).
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "app/bench_tables.h"
#include "app/command_support.h"
#include "engine/cut_process.h"
#include "engine/tool_process.h"
#include "infer/arch/architecture.h"
#include "infer/model_tool.h"
#include "io/net/os.h"

namespace kith::app {
namespace {

constexpr std::size_t tokens_max = 1'000'000;  // of --tokens

constexpr std::string_view type_names =
    "F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL";

// Shows the document or the error.
ExitCode show(Context const& context, base::Result<std::string> const& document) {
    context.output.progress_end();
    if (!document) return context.output.fail(document.error());
    context.output.document_text(*document);
    return ExitCode::ok;
}

engine::WorkerProgram worker_program([[maybe_unused]] Context const& context) {
    engine::WorkerProgram program;
#ifdef KITH_SABOTAGE
    if (auto const names = context.sources.environment.find("KITH_SABOTAGE");
        names != context.sources.environment.end())
        program.environment.push_back("KITH_SABOTAGE=" + names->second);
#endif
    return program;
}

void note_confinement(Context const& context, int landlock_abi) {
    if (landlock_abi == 0)
        context.output.note("this kernel has no landlock: the file was read behind seccomp alone");
}

// Asks a confined process about the file, and shows its answer.
template <class Options>
ExitCode show_from_worker(Context const& context, Options const& options) {
    auto const answer = engine::ask_worker(worker_program(context), options);
    if (!answer) return show(context, std::unexpected(answer.error()));
    note_confinement(context, answer->landlock_abi);
    return show(context, answer->document);
}

void add_file(CLI::App& parser, std::string& file) {
    parser.add_option("file", file, "A GGUF file")->required();
}

void add_threads(CLI::App& parser, std::size_t& threads) {
    parser.add_option("--threads", threads, "How many threads compute")
        ->check(CLI::Range(std::size_t{1}, infer::threads_count_max))
        ->capture_default_str();
}

// An option that is one of some words.
template <class Value>
using Choices = std::vector<std::pair<std::string, Value>>;

template <class Value>
void add_choice(CLI::App& parser, std::string const& name, Value& value, std::string const& what,
                Choices<Value> const& choices) {
    std::string words;
    for (auto const& [word, meaning] : choices) words += (words.empty() ? "" : ", ") + word;
    auto const choose = [name, &value, choices, words](std::string const& word) {
        auto const found = std::ranges::find(choices, word, &Choices<Value>::value_type::first);
        if (found == choices.end())
            throw CLI::ValidationError(name, "'" + word + "' is none of: " + words);
        value = found->second;
    };
    parser.add_option_function<std::string>(name, choose, what + ": " + words)->type_name("NAME");
}

void add_kernels(CLI::App& parser, infer::Isa& isa) {
    add_choice<infer::Isa>(parser, "--kernels", isa, "Instructions",
                           {{"detected", infer::Isa::detected},
                            {"portable", infer::Isa::portable},
                            {"avx2", infer::Isa::avx2},
                            {"avx512", infer::Isa::avx512}});
}

class ModelInspect final : public Command {
public:
    explicit ModelInspect(CLI::App& parser) {
        add_file(parser, options_.path);
        parser.add_option("--items", options_.items_max, "How much of long metadata is shown")
            ->capture_default_str();
    }
    ExitCode run(Context& context) override { return show_from_worker(context, options_); }

private:
    infer::InspectOptions options_;
};

class ModelTokenize final : public Command {
public:
    explicit ModelTokenize(CLI::App& parser) {
        add_file(parser, options_.path);
        parser.add_option("text", options_.text, "What to turn into tokens")->required();
        parser.add_flag("--specials", specials_, "<|im_end|> and the like are control tokens");
        parser.add_flag("--no-begin", no_begin_, "Without the token a sequence begins with");
    }
    ExitCode run(Context& context) override {
        if (specials_) options_.specials = infer::Specials::parse;
        if (no_begin_) options_.begin = infer::Begin::none;
        return show_from_worker(context, options_);
    }

private:
    infer::TokenizeOptions options_;
    bool specials_ = false;
    bool no_begin_ = false;
};

class ModelLogits final : public Command {
public:
    explicit ModelLogits(CLI::App& parser) {
        add_file(parser, options_.path);
        parser.add_option("--tokens", tokens_, "Token ids: 1,15,27")->required();
        parser.add_option("--top-k", options_.top_k, "How many of the best are named")
            ->capture_default_str();
        add_threads(parser, options_.threads);
        add_kernels(parser, options_.isa);
    }
    ExitCode run(Context& context) override {
        auto tokens = parse_tokens(tokens_);
        if (!tokens) return usage_error(context, tokens.error());
        options_.tokens = *std::move(tokens);
        return show_from_worker(context, options_);
    }

private:
    static base::Result<std::vector<infer::TokenId>> parse_tokens(std::string_view text) {
        std::vector<infer::TokenId> tokens;
        char const* at = text.data();
        char const* const end = at + text.size();
        while (tokens.size() < tokens_max) {
            infer::TokenId token = 0;
            auto const [next, error] = std::from_chars(at, end, token);
            if (error != std::errc{} || token < 0) break;
            tokens.push_back(token);
            if (next == end) return tokens;
            if (*next != ',') break;
            at = next + 1;
        }
        return base::fail(base::Code::invalid, "--tokens must be numbers with commas: 1,15,27");
    }

    infer::LogitsOptions options_;
    std::string tokens_;
};

class ModelBench final : public Command {
public:
    explicit ModelBench(CLI::App& parser) {
        add_file(parser, options_.path);
        parser.add_option("--prompt-tokens", options_.prompt_tokens)->capture_default_str();
        parser.add_option("--decode-tokens", options_.decode_tokens)->capture_default_str();
        options_.sequences = sequences_default;
        parser.add_option("--sequences", options_.sequences, "Decoded together; 0: none")
            ->check(CLI::Range(std::size_t{0}, infer::micro_batch_tokens))
            ->capture_default_str();
        add_threads(parser, options_.threads);
        add_kernels(parser, options_.isa);
    }
    ExitCode run(Context& context) override {
        options_.progress = [&output = context.output](std::size_t done, std::size_t total) {
            output.progress("tokens", done, total);
        };
        options_.machine = infer::BenchMachine::measured;
        options_.layers = infer::BenchLayers::measured;
        io::OsClock const clock;
        auto const document = infer::model_bench(options_, clock);
        auto const code = show(context, document);
        if (!document || context.output.json()) return code;
        auto const tables = bench_tables(*document);
        if (!tables) return context.output.fail(tables.error());
        for (auto const* const table : {&tables->speed, &tables->layers}) {
            context.output.line("");
            context.output.table(*table);
        }
        return code;
    }

private:
    static constexpr std::size_t sequences_default = 16;

    infer::BenchOptions options_;
};

class ModelShard final : public Command {
public:
    explicit ModelShard(CLI::App& parser) {
        add_file(parser, request_.path);
        parser.add_option("--output", folder_, "Where the shards go; made if missing")->required();
        auto* const cuts =
            parser.add_option("--cuts", request_.rule.cuts, "Layers at which shards begin: 0,3,6");
        parser
            .add_option("--parts", request_.rule.parts, "Parts of the middle, the two ends apart")
            ->check(CLI::Range(std::size_t{1}, std::size_t{1024}))
            ->excludes(cuts)
            ->capture_default_str();
    }
    ExitCode run(Context& context) override {
        std::error_code error;
        std::filesystem::create_directories(folder_, error);
        if (error)
            return context.output.fail(
                {base::Code::io, "cannot create " + folder_ + ": " + error.message()});
        auto const cut = engine::cut_with_worker(
            worker_program(context), request_, folder_,
            [&output = context.output](std::uint64_t done, std::uint64_t total) {
                output.progress("cutting", done, total);
            });
        if (!cut) return show(context, std::unexpected(cut.error()));
        note_confinement(context, cut->landlock_abi);
        return show(context, infer::shard_document(cut->manifest, folder_));
    }

private:
    engine::CutRequest request_;
    std::string folder_;
};

class ModelSynth final : public Command {
public:
    explicit ModelSynth(CLI::App& parser) {
        parser.add_option("file", options_.path, "The GGUF file to write")->required();
        Choices<infer::Architecture> architectures;
        for (auto const* const traits : infer::all_architectures())
            architectures.emplace_back(traits->name, traits->architecture);
        add_choice<infer::Architecture>(parser, "--architecture", options_.shape.architecture,
                                        "Architecture", architectures);
        add_choice<infer::SynthTokenizer>(parser, "--tokenizer", options_.shape.tokenizer,
                                          "Tokenizer",
                                          {{"byte-bpe", infer::SynthTokenizer::byte_bpe},
                                           {"qwen2", infer::SynthTokenizer::qwen2_bpe},
                                           {"llama3", infer::SynthTokenizer::llama3_bpe},
                                           {"tekken", infer::SynthTokenizer::tekken_bpe},
                                           {"spm", infer::SynthTokenizer::spm},
                                           {"gemma", infer::SynthTokenizer::gemma_spm},
                                           {"phi3", infer::SynthTokenizer::phi3_spm}});
        parser.add_option("--type", type_, "Of the matrices, one of " + std::string(type_names))
            ->capture_default_str();
        parser.add_option("--layers", options_.shape.layers_count)->capture_default_str();
        parser.add_option("--hidden", options_.shape.hidden_size)->capture_default_str();
        parser.add_option("--feed-forward", options_.shape.feed_forward_size)
            ->capture_default_str();
        parser.add_option("--heads", options_.shape.heads_count)->capture_default_str();
        parser.add_option("--kv-heads", options_.shape.kv_heads_count)->capture_default_str();
        parser.add_option("--head-size", options_.shape.head_size, "0: hidden size / heads")
            ->capture_default_str();
        parser.add_option("--window", options_.shape.window, "Where the architecture has windows")
            ->capture_default_str();
        parser.add_option("--experts", options_.shape.experts_count)->capture_default_str();
        parser.add_option("--experts-used", options_.shape.experts_used)->capture_default_str();
        parser.add_option("--expert-size", options_.shape.expert_size)->capture_default_str();
        add_choice<infer::SynthRope>(parser, "--rope", options_.shape.rope, "Scaling of positions",
                                     {{"plain", infer::SynthRope::plain},
                                      {"linear", infer::SynthRope::linear},
                                      {"yarn", infer::SynthRope::yarn},
                                      {"divisors", infer::SynthRope::divisors},
                                      {"longrope", infer::SynthRope::longrope}});
        parser.add_option("--vocabulary", options_.shape.vocabulary_size)->capture_default_str();
        parser.add_option("--context", options_.shape.context_length)->capture_default_str();
        parser.add_flag_callback(
            "--tied-head", [this] { options_.shape.head = infer::SynthHead::tied; },
            "The head shares the embedding");
        parser.add_option("--seed", options_.shape.seed)->capture_default_str();
    }
    ExitCode run(Context& context) override {
        auto const type = infer::find_type(type_);
        if (!type)
            return usage_error(
                context, {base::Code::invalid, "no tensor type is named " + type_ + "; there are " +
                                                   std::string(type_names)});
        options_.shape.type = *type;
        options_.progress = [&output = context.output](std::uint64_t done, std::uint64_t total) {
            output.progress("writing", done, total);
        };
        return show(context, infer::model_synth(options_));
    }

private:
    infer::SynthOptions options_;
    std::string type_ = "Q8_0";
};

}  // namespace

void add_model_commands(CLI::App& app, Commands& commands) {
    auto* const model = add_subcommand(app, "model", "Tools for one GGUF file; they print JSON",
                                       "kith model inspect guide.gguf");
    model->require_subcommand(1);
    add_command<ModelInspect>(commands,
                              add_subcommand(*model, "inspect", "Metadata, tensors, types, sizes",
                                             "kith model inspect guide.gguf"));
    add_command<ModelTokenize>(commands,
                               add_subcommand(*model, "tokenize", "Text to token ids",
                                              "kith model tokenize guide.gguf \"Hello\""));
    add_command<ModelLogits>(
        commands, add_subcommand(*model, "logits", "The last position's logits for given tokens",
                                 "kith model logits guide.gguf --tokens 1,15,27"));
    add_command<ModelBench>(
        commands,
        add_subcommand(*model, "bench", "Speed, and how near it is to the machine's limits",
                       "kith model bench guide.gguf --threads 2"));
    add_command<ModelShard>(
        commands, add_subcommand(*model, "shard", "Cut into shards and hash them",
                                 "kith model shard guide.gguf --output shards --parts 2"));
    add_command<ModelSynth>(
        commands, add_subcommand(*model, "synth", "Write a model with random weights, for tests",
                                 "kith model synth tiny.gguf --layers 4"));
}

}  // namespace kith::app
