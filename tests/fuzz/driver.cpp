// tests/fuzz/driver.cpp: main() of every fuzz target in builds without libFuzzer. Replays the
// committed corpus, then runs a bounded number of seeded mutations of it, so that ctest touches
// each parser with hostile bytes every time. It does not look at coverage; the preset `fuzz`
// (libFuzzer) does.
//
//   NAME_fuzz [CORPUS_FOLDER | FILE]...
//   KITH_FUZZ_RUNS   mutations, default 2000        KITH_FUZZ_SEED   default 1, printed
//   KITH_FUZZ_BYTES  longest input, default 65536   KITH_FUZZ_CRASH  where a killing input is
//   written
//   KITH_SABOTAGE    guards to switch off, to see a target fail (base/sabotage.h)
//
// The same seed, runs and corpus give the same inputs. An input that kills the process or takes
// longer than `input_seconds_max` is written to KITH_FUZZ_CRASH (default NAME-crash.bin in the
// current folder); giving that file as the only argument replays it alone.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>
#include <vector>

#include "base/sabotage.h"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size);
extern "C" void __sanitizer_set_death_callback(void (*callback)()) __attribute__((weak));

namespace {

using Input = std::vector<std::uint8_t>;

constexpr std::uint64_t runs_default = 2000;
constexpr std::uint64_t bytes_default = 65536;
constexpr std::uint64_t bytes_limit = 16U << 20U;
constexpr unsigned input_seconds_max = 20;  // generous: sanitizers on a loaded machine
constexpr unsigned mutations_per_input_max = 6;

// What the crash handlers may read: set before each input, untouched while it runs.
Input const* current_input = nullptr;
char crash_path[512] = "fuzz-crash.bin";

void save_current_input() {
    if (current_input == nullptr) return;
    int const file = open(crash_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0) return;
    [[maybe_unused]] auto const written = write(file, current_input->data(), current_input->size());
    close(file);
    char const text[] = "\nfuzz: the killing input was written to ";
    [[maybe_unused]] auto const one = write(2, text, sizeof text - 1);
    [[maybe_unused]] auto const two = write(2, crash_path, std::strlen(crash_path));
    [[maybe_unused]] auto const three = write(2, "\n", 1);
    current_input = nullptr;
}

extern "C" void on_fatal_signal(int number) {
    save_current_input();
    signal(number, SIG_DFL);
    raise(number);
}

std::uint64_t setting(char const* name, std::uint64_t fallback) {
    char const* text = std::getenv(name);
    if (text == nullptr || *text == '\0') return fallback;
    char* end = nullptr;
    std::uint64_t const value = std::strtoull(text, &end, 10);
    if (*end != '\0') {
        std::fprintf(stderr, "fuzz: %s=%s is not a number\n", name, text);
        std::exit(2);
    }
    return value;
}

// SplitMix64 (Steele, Lea, Flood 2014): one word of state, the same sequence on every machine.
class Random {
public:
    explicit Random(std::uint64_t seed) : state_(seed) {}
    std::uint64_t next() {
        state_ += 0x9E3779B97F4A7C15U;
        std::uint64_t z = state_;
        z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
        z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
        return z ^ (z >> 31U);
    }
    // Uniform enough for picking; 0 for an empty range.
    std::size_t below(std::size_t end) { return end == 0 ? 0 : next() % end; }
    std::uint8_t byte() { return static_cast<std::uint8_t>(next()); }

private:
    std::uint64_t state_;
};

auto at(Input& input, std::size_t offset) {
    return input.begin() + static_cast<std::ptrdiff_t>(offset);
}

// Overwrites 1, 2, 4 or 8 bytes with a value lengths and counters trip over, in either byte order.
void set_interesting(Input& input, Random& random) {
    static constexpr std::uint64_t values[] = {0,
                                               1,
                                               0x7F,
                                               0x80,
                                               0xFF,
                                               0x7FFF,
                                               0x8000,
                                               0xFFFF,
                                               0x10000,
                                               0x7FFFFFFF,
                                               0x80000000,
                                               0xFFFFFFFF,
                                               0x7FFFFFFFFFFFFFFF,
                                               0x8000000000000000,
                                               0xFFFFFFFFFFFFFFFF,
                                               0x100000000};
    std::size_t const width = std::size_t{1} << random.below(4);
    if (input.size() < width) return;
    std::uint64_t const value = values[random.below(std::size(values))];
    bool const big = random.below(2) == 0;
    std::size_t const offset = random.below(input.size() - width + 1);
    for (std::size_t i = 0; i < width; ++i) {
        std::size_t const shift = 8 * (big ? width - 1 - i : i);
        input[offset + i] = static_cast<std::uint8_t>(value >> shift);
    }
}

void insert_bytes(Input& input, Random& random) {
    std::size_t const count = 1 + random.below(16);
    Input fresh(count);
    std::generate(fresh.begin(), fresh.end(), [&random] { return random.byte(); });
    input.insert(at(input, random.below(input.size() + 1)), fresh.begin(), fresh.end());
}

void erase_range(Input& input, Random& random) {
    if (input.empty()) return;
    std::size_t const offset = random.below(input.size());
    std::size_t const count = 1 + random.below(std::min<std::size_t>(input.size() - offset, 64));
    input.erase(at(input, offset), at(input, offset + count));
}

void repeat_range(Input& input, Random& random) {
    if (input.empty()) return;
    std::size_t const offset = random.below(input.size());
    std::size_t const count = 1 + random.below(std::min<std::size_t>(input.size() - offset, 256));
    Input const copy(at(input, offset), at(input, offset + count));
    input.insert(at(input, random.below(input.size() + 1)), copy.begin(), copy.end());
}

// Joins the head of one corpus entry to the tail of another.
void splice(Input& input, Input const& other, Random& random) {
    input.resize(random.below(input.size() + 1));
    std::size_t const from = random.below(other.size() + 1);
    input.insert(input.end(), other.begin() + static_cast<std::ptrdiff_t>(from), other.end());
}

void mutate_once(Input& input, std::vector<Input> const& corpus, Random& random) {
    switch (random.below(7)) {
        case 0:
            if (!input.empty()) {
                input[random.below(input.size())] ^=
                    static_cast<std::uint8_t>(1U << random.below(8));
            }
            return;
        case 1:
            if (!input.empty()) input[random.below(input.size())] = random.byte();
            return;
        case 2:
            return set_interesting(input, random);
        case 3:
            return insert_bytes(input, random);
        case 4:
            return erase_range(input, random);
        case 5:
            return repeat_range(input, random);
        default:
            return splice(input, corpus[random.below(corpus.size())], random);
    }
}

Input read_file(std::filesystem::path const& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        std::fprintf(stderr, "fuzz: cannot read %s\n", path.c_str());
        std::exit(2);
    }
    std::string const text((std::istreambuf_iterator<char>(file)),
                           std::istreambuf_iterator<char>());
    return {text.begin(), text.end()};
}

// Sorted by path, so that the order (and with it every mutation) does not depend on the file
// system.
std::vector<Input> read_corpus(std::filesystem::path const& path) {
    std::error_code missing;
    if (std::filesystem::is_regular_file(path, missing)) return {read_file(path)};
    std::vector<std::filesystem::path> files;
    if (std::filesystem::is_directory(path, missing)) {
        for (auto const& entry : std::filesystem::directory_iterator(path)) {
            if (entry.is_regular_file()) files.push_back(entry.path());
        }
    }
    std::sort(files.begin(), files.end());
    std::vector<Input> inputs;
    std::transform(files.begin(), files.end(), std::back_inserter(inputs), read_file);
    return inputs;
}

void run_one(Input const& input) {
    // An exact-size heap copy: reading one byte past the end is then an ASan report.
    Input const exact(input.begin(), input.end());
    current_input = &exact;
    alarm(input_seconds_max);
    LLVMFuzzerTestOneInput(exact.data(), exact.size());
    alarm(0);
    current_input = nullptr;
}

void install_crash_handlers(char const* program) {
    std::string const name = std::filesystem::path(program).filename().string() + "-crash.bin";
    char const* wanted = std::getenv("KITH_FUZZ_CRASH");
    std::snprintf(crash_path, sizeof crash_path, "%s", wanted != nullptr ? wanted : name.c_str());
    // A sanitizer reports first and calls back; without one the fatal signals come here directly.
    if (__sanitizer_set_death_callback != nullptr) {
        __sanitizer_set_death_callback(save_current_input);
    } else {
        signal(SIGSEGV, on_fatal_signal);
        signal(SIGBUS, on_fatal_signal);
        signal(SIGFPE, on_fatal_signal);
    }
    signal(SIGABRT, on_fatal_signal);
    signal(SIGALRM, on_fatal_signal);
}

}  // namespace

int main(int argc, char** argv) {
    install_crash_handlers(argv[0]);
#ifdef KITH_SABOTAGE
    if (char const* names = std::getenv("KITH_SABOTAGE")) kith::base::sabotage_arm(names);
#endif
    std::vector<Input> corpus;
    bool single_file = argc == 2 && std::filesystem::is_regular_file(argv[1]);
    for (int i = 1; i < argc; ++i) {
        for (auto& input : read_corpus(argv[i])) corpus.push_back(std::move(input));
    }
    std::size_t const bytes_max =
        static_cast<std::size_t>(std::min(setting("KITH_FUZZ_BYTES", bytes_default), bytes_limit));
    std::uint64_t const runs = single_file ? 0 : setting("KITH_FUZZ_RUNS", runs_default);
    std::uint64_t const seed = setting("KITH_FUZZ_SEED", 1);
    std::printf("fuzz: %zu corpus inputs, %llu mutations, seed %llu\n", corpus.size(),
                static_cast<unsigned long long>(runs), static_cast<unsigned long long>(seed));
    std::fflush(stdout);

    for (Input const& input : corpus) run_one(input);
    corpus.emplace_back();  // the empty input is always one of the parents
    run_one(corpus.back());
    Random random(seed);
    for (std::uint64_t run = 0; run < runs; ++run) {
        Input input = corpus[random.below(corpus.size())];
        std::size_t const count = 1 + random.below(mutations_per_input_max);
        for (std::size_t i = 0; i < count; ++i) mutate_once(input, corpus, random);
        if (input.size() > bytes_max) input.resize(bytes_max);
        run_one(input);
    }
    std::printf("fuzz: done, nothing found\n");
    return 0;
}
