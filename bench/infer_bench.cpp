// Prompt and decode speed of the engine on a random model of TinyLlama's shape (1.1 B parameters),
// as JSON lines.
//
//   infer_bench FILE [TYPE]               makes FILE (type q4_0 by default) when it does not exist,
//   then measures KITH_BENCH_PROMPT, KITH_BENCH_DECODE  tokens, 512 and 128 by default
//   KITH_BENCH_SEQUENCES                  decoded together; 16 by default
//   KITH_BENCH_CPU_TIME                   set: seconds of CPU (of all threads), for a shared
//   machine
//   KITH_BENCH_ROOFLINE                   set: the machine's peaks, shares of them, and each layer
//   KITH_BENCH_THREADS                    1, 2, ... up to this; 2 by default
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <string>

#include "infer/model_tool.h"

namespace {

using namespace kith;

class BenchClock final : public ports::Clock {
public:
    explicit BenchClock(clockid_t id) : id_(id) {}
    base::Instant now() const override {
        timespec at{};
        (void)::clock_gettime(id_, &at);
        auto const since = std::chrono::seconds(at.tv_sec) + std::chrono::nanoseconds(at.tv_nsec);
        return base::Instant(std::chrono::duration_cast<base::Duration>(since));
    }
    base::UnixTime unix_now() const override { return base::UnixTime{0}; }

private:
    clockid_t id_;
};

std::size_t setting(char const* name, std::size_t missing) {
    char const* const value = std::getenv(name);
    return value == nullptr ? missing : std::strtoul(value, nullptr, 10);
}

infer::SynthShape tiny_llama(infer::TensorType type) {
    return {.type = type,
            .tokenizer = infer::SynthTokenizer::spm,
            .layers_count = 22,
            .hidden_size = 2048,
            .feed_forward_size = 5632,
            .heads_count = 32,
            .kv_heads_count = 4,
            .vocabulary_size = 32000,
            .context_length = 2048};
}

bool print(base::Result<std::string> const& json) {
    std::puts(json ? json->c_str() : json.error().message.c_str());
    return json.has_value();
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) return 2;
    std::string const path = argv[1];
    auto const type = infer::find_type(argc > 2 ? argv[2] : "q4_0");
    if (!type) return 2;
    if (!std::filesystem::exists(path) &&
        !print(infer::model_synth({.path = path, .shape = tiny_llama(*type)})))
        return 1;
    bool const cpu = std::getenv("KITH_BENCH_CPU_TIME") != nullptr;
    bool const roofline = std::getenv("KITH_BENCH_ROOFLINE") != nullptr;
    BenchClock const clock(cpu ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC);
    for (std::size_t threads = 1; threads <= setting("KITH_BENCH_THREADS", 2); ++threads) {
        infer::BenchOptions const options{
            .path = path,
            .prompt_tokens = setting("KITH_BENCH_PROMPT", 512),
            .decode_tokens = setting("KITH_BENCH_DECODE", 128),
            .sequences = setting("KITH_BENCH_SEQUENCES", 16),
            .threads = threads,
            .machine = roofline ? infer::BenchMachine::measured : infer::BenchMachine::as_is,
            .layers = roofline ? infer::BenchLayers::measured : infer::BenchLayers::together};
        if (!print(infer::model_bench(options, clock))) return 1;
    }
    return 0;
}
