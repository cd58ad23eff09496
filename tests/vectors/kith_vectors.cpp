// kith-vectors FILE...: runs files of published test vectors (README.md) on kith's code. For each
// file it prints "FILE: N passed, M failed", then every failed test, what was skipped and why.
// Exit: 0 all passed; 1 a test failed; 2 a file cannot be read or is of no known kind.
#include <sodium.h>

#include <algorithm>
#include <iostream>

#include "runner.h"

namespace {

constexpr int exit_failed = 1;
constexpr int exit_unusable = 2;

void print(kith::vectors::Report const& report, std::string const& path) {
    std::cout << path << ": " << report.passed << " passed, " << report.failures.size()
              << " failed\n";
    std::cout << "  kind: " << report.kind << '\n';
    for (auto const& failure : report.failures)
        std::cout << "  failed " << failure.id << ": " << failure.reason << '\n';
    for (auto const& [reason, count] : report.skipped)
        std::cout << "  skipped " << count << ": " << reason << '\n';
    for (auto const& note : report.notes) std::cout << "  note: " << note << '\n';
}

int run_file(std::string const& path) {
    auto const file = kith::vectors::load(path);
    if (!file) {
        std::cout << path << ": error: " << file.error().message << '\n';
        return exit_unusable;
    }
    auto const report = kith::vectors::run(*file);
    if (!report) {
        std::cout << path << ": error: " << report.error().message << '\n';
        return exit_unusable;
    }
    print(*report, path);
    return report->failures.empty() ? 0 : exit_failed;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) {
        std::cerr << "usage: kith-vectors FILE...\n";
        return exit_unusable;
    }
    if (::sodium_init() < 0) return exit_unusable;
    int worst = 0;
    for (int i = 1; i < argc; ++i) worst = std::max(worst, run_file(argv[i]));
    return worst;
}
