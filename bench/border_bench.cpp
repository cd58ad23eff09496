// What the border to a stage worker costs: the same steps in this process and in a worker, as JSON
// lines of microseconds per call (median of all).
//
//   border_bench FILE WORKER     a model file, and a program that becomes a worker (kith)
//   KITH_BENCH_STEPS             how many of each; 2000 by default
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "engine/stage_process.h"
#include "infer/stage.h"

namespace {

using namespace kith;

double median_us(std::size_t steps, std::function<bool(std::size_t)> const& step) {
    std::vector<double> times;
    for (std::size_t i = 0; i < steps; ++i) {
        auto const begin = std::chrono::steady_clock::now();
        if (!step(i)) std::exit(1);
        auto const time = std::chrono::steady_clock::now() - begin;
        times.push_back(std::chrono::duration<double, std::micro>(time).count());
    }
    std::ranges::sort(times);
    return times[times.size() / 2];
}

void line(char const* what, double here, double worker) {
    std::printf("{\"call\": \"%s\", \"here_us\": %.1f, \"worker_us\": %.1f, \"border_us\": %.1f}\n",
                what, here, worker, worker - here);
    std::fflush(stdout);
}

}  // namespace

int main(int count, char** arguments) {
    if (count != 3) return 2;
    char const* const given = std::getenv("KITH_BENCH_STEPS");
    std::size_t const steps = given == nullptr ? 2000 : std::strtoul(given, nullptr, 10);
    auto file = infer::open_regular(arguments[1]);
    auto model = infer::Model::load_path(arguments[1]);
    if (!file || !model) return 1;
    auto const& h = (*model)->hparams();
    infer::LayerRange const all{0, h.layers_count};
    auto const positions = std::min<std::size_t>(h.context_length, 256);
    auto here = infer::Stage::create(*model);
    auto cache = infer::KvCache::create(h, all, positions);
    std::vector<infer::RegularFile> files;
    files.push_back(std::move(*file));
    auto worker = engine::StageProcess::create({.path = arguments[2]}, std::move(files));
    if (!here || !cache || !worker) return 1;
    auto sequence = worker->make_sequence(all, positions);
    if (!sequence) return 1;

    std::vector<infer::TokenId> const token{1};
    std::vector<float> row(h.hidden_size);
    std::vector<float> logits(h.vocabulary_size);
    auto const at = [positions](std::size_t i) { return i % positions; };
    line("embed",
         median_us(steps, [&](std::size_t) { return here->embed(token, row).has_value(); }),
         median_us(steps, [&](std::size_t) {
             return worker->run({.tokens = token, .hidden = row}).has_value();
         }));
    line("token",
         median_us(steps,
                   [&](std::size_t i) {
                       if (at(i) == 0) cache->truncate(0);
                       return here->embed(token, row) && here->forward(*cache, row, at(i), all) &&
                              here->logits(row, logits);
                   }),
         median_us(steps, [&](std::size_t i) {
             if (at(i) == 0) {
                 worker->drop(*sequence);
                 sequence = worker->make_sequence(all, positions);
             }
             return sequence && worker->run({.sequence = *sequence,
                                             .position = at(i),
                                             .layers = all,
                                             .tokens = token,
                                             .hidden = row,
                                             .logits = logits});
         }));
    return 0;
}
