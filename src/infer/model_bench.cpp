#include <algorithm>
#include <boost/json.hpp>
#include <optional>
#include <thread>

#include "infer/machine_peak.h"
#include "infer/model_run.h"
#include "infer/model_tool.h"
#include "infer/model_work.h"
#include "infer/sampler.h"

namespace kith::infer {
namespace {

namespace json = boost::json;
using base::Code;
using base::fail;
using base::Result;
using base::Status;

constexpr std::size_t bench_tokens_max = 65536;
constexpr std::size_t bench_seed = 1;
constexpr std::size_t layer_steps_max = 16;  // decoded to time each layer

double seconds_of(base::Duration time) {
    return static_cast<double>(time.count()) / 1e6;
}

json::object speed(std::size_t tokens, double seconds) {
    return {{"tokens", tokens},
            {"seconds", seconds},
            {"tokens_per_second", seconds > 0 ? static_cast<double>(tokens) / seconds : 0.0}};
}

// What the machine could do at most; without a measurement there are no shares.
struct Peaks {
    double bytes_per_second = 0;
    double operations_per_second = 0;
};

// Of the time, the part that reading or computing would have taken at the peak: the larger is how
// near the roof is.
void add_shares(json::object& out, Work const& work, std::optional<Peaks> const& peaks) {
    auto const seconds = out["seconds"].as_double();
    if (!peaks || seconds <= 0) return;
    out["bandwidth_share"] = work.bytes / seconds / peaks->bytes_per_second;
    out["int8_share"] = work.operations / seconds / peaks->operations_per_second;
}

class Bench {
public:
    Bench(BenchOptions const& options, ModelRun run, ports::Clock const& clock)
        : options_(options), run_(std::move(run)), clock_(clock) {
        Xoshiro256 generator(bench_seed);
        tokens_.resize(options.prompt_tokens + options.decode_tokens);
        auto const vocabulary = run_.model->hparams().vocabulary_size;
        for (auto& token : tokens_) token = static_cast<TokenId>(generator.next() % vocabulary);
    }

    Result<std::string> measure() {
        json::object out{{"kernels", find_kernels(options_.isa)->name},
                         {"threads", options_.threads}};
        if (options_.machine == BenchMachine::measured)
            out["machine"] = KITH_TRY(measure_machine());
        KITH_TRY(warm_up());
        KITH_TRY(measure_speed(out));
        if (options_.sequences > 0 && options_.decode_tokens > 0)
            out["together"] = KITH_TRY(measure_together());
        if (options_.layers == BenchLayers::measured) out["layers"] = KITH_TRY(measure_layers());
        return json::serialize(out);
    }

private:
    Result<json::object> measure_machine() {
        json::array bandwidths;
        Peaks peaks;
        for (std::size_t threads = 1; threads <= options_.threads; ++threads) {
            peaks.bytes_per_second = KITH_TRY(read_bandwidth(threads, clock_));
            bandwidths.emplace_back(peaks.bytes_per_second);
        }
        peaks.operations_per_second = KITH_TRY(int8_peak(options_.threads, options_.isa, clock_));
        peaks_ = peaks;
        return json::object{{"read_bytes_per_second", std::move(bandwidths)},
                            {"int8_operations_per_second", peaks.operations_per_second}};
    }

    // Once through all weights first: a cold page cache is not what is measured.
    Status warm_up() {
        KITH_TRY(run_.feed(std::span(tokens_).first(1)));
        while (run_.stage.packing()) std::this_thread::yield();
        run_.cache.truncate(0);
        return {};
    }

    Status measure_speed(json::object& out) {
        auto const prompt_tokens = options_.prompt_tokens;
        auto const begin = clock_.now();
        KITH_TRY(run_.feed(std::span(tokens_).first(prompt_tokens)));
        auto const middle = clock_.now();
        report(prompt_tokens);
        for (auto i = prompt_tokens; i < tokens_.size(); ++i) {
            KITH_TRY(run_.feed(std::span(tokens_).subspan(i, 1)));
            report(i + 1);
        }
        auto const end = clock_.now();
        auto prompt = speed(prompt_tokens, seconds_of(middle - begin));
        add_shares(prompt, prompt_work(*run_.model, prompt_tokens), peaks_);
        auto decode = speed(options_.decode_tokens, seconds_of(end - middle));
        add_shares(
            decode,
            decode_work(*run_.model, {.steps = options_.decode_tokens, .positions = prompt_tokens}),
            peaks_);
        out["prompt"] = std::move(prompt);
        out["decode"] = std::move(decode);
        out["weight_bytes"] = run_.model->info().weight_bytes;
        out["kv_bytes"] = run_.cache.bytes();
        return {};
    }

    // decode_tokens steps of several sequences together, from their first position.
    Result<json::object> measure_together() {
        auto const& h = run_.model->hparams();
        auto const count = options_.sequences;
        std::vector<KvCache> caches;
        for (std::size_t i = 0; i < count; ++i)
            caches.push_back(
                KITH_TRY(KvCache::create(h, run_.all_layers(), options_.decode_tokens)));
        std::vector<float> rows(count * h.hidden_size);
        std::vector<float> logits(count * h.vocabulary_size);
        std::vector<Stage::Step> steps;
        for (std::size_t i = 0; i < count; ++i)
            steps.push_back({.cache = &caches[i],
                             .hidden = std::span(rows).subspan(i * h.hidden_size, h.hidden_size)});
        auto const begin = clock_.now();
        for (std::size_t at = 0; at < options_.decode_tokens; ++at) {
            for (std::size_t i = 0; i < count; ++i) {
                steps[i].position = at;
                auto const token = std::span(tokens_).subspan((i + at) % tokens_.size(), 1);
                KITH_TRY(run_.stage.embed(token, steps[i].hidden));
            }
            auto results = run_.stage.forward_many(steps, run_.all_layers());
            for (auto& result : results) KITH_TRY(std::move(result));
            KITH_TRY(run_.stage.logits(rows, logits));
        }
        auto out = speed(count * options_.decode_tokens, seconds_of(clock_.now() - begin));
        add_shares(out,
                   decode_work(*run_.model, {.steps = options_.decode_tokens, .sequences = count}),
                   peaks_);
        out["sequences"] = count;
        return out;
    }

    // Each layer by itself: one micro batch of the prompt at most, and a few tokens after it.
    Result<json::array> measure_layers() {
        auto const layers_count = run_.model->hparams().layers_count;
        auto const batch = std::min(options_.prompt_tokens, micro_batch_tokens);
        auto const steps = std::min(options_.decode_tokens, layer_steps_max);
        std::vector<double> prompt(layers_count);
        std::vector<double> decode(layers_count);
        run_.cache.truncate(0);
        KITH_TRY(time_layers(std::span(tokens_).first(batch), prompt));
        for (std::size_t i = 0; i < steps; ++i)
            KITH_TRY(time_layers(std::span(tokens_).subspan(batch + i, 1), decode));
        json::array out;
        for (std::size_t layer = 0; layer < layers_count; ++layer) {
            auto const each = [](double seconds, std::size_t tokens) {
                return tokens == 0 ? 0.0 : seconds * 1e3 / static_cast<double>(tokens);
            };
            out.push_back(json::object{{"layer", layer},
                                       {"prompt_ms_per_token", each(prompt[layer], batch)},
                                       {"decode_ms_per_token", each(decode[layer], steps)}});
        }
        return out;
    }

    Status time_layers(std::span<TokenId const> tokens, std::vector<double>& seconds) {
        auto const position = run_.cache.length();
        run_.hidden.resize(tokens.size() * run_.model->hparams().hidden_size);
        KITH_TRY(run_.stage.embed(tokens, run_.hidden));
        for (std::size_t layer = 0; layer < seconds.size(); ++layer) {
            auto const begin = clock_.now();
            KITH_TRY(run_.stage.forward(run_.cache, run_.hidden, position, {layer, layer + 1}));
            seconds[layer] += seconds_of(clock_.now() - begin);
        }
        return {};
    }

    void report(std::size_t done) const {
        if (options_.progress) options_.progress(done, tokens_.size());
    }

    BenchOptions const& options_;
    ModelRun run_;
    ports::Clock const& clock_;
    std::vector<TokenId> tokens_;
    std::optional<Peaks> peaks_;
};

}  // namespace

Result<std::string> model_bench(BenchOptions const& options, ports::Clock const& clock) {
    if (options.prompt_tokens == 0 || options.prompt_tokens > bench_tokens_max ||
        options.decode_tokens > bench_tokens_max)
        return fail(Code::invalid, "bench: 1 to 65536 prompt tokens, up to 65536 to decode");
    if (options.sequences > micro_batch_tokens)
        return fail(Code::invalid, "bench: too many sequences");
    StageOptions const stage{.threads = options.threads, .isa = options.isa};
    auto const positions = options.prompt_tokens + options.decode_tokens;
    auto file = KITH_TRY(MappedFile::open(options.path));
    auto run = ModelRun::create(std::move(file), stage, positions);
    if (!run) return fail(run.error().code, options.path + ": " + run.error().message);
    return Bench(options, *std::move(run), clock).measure();
}

}  // namespace kith::infer
