#include "app/log.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>
#include <cstdio>

namespace kith::app {

void Log::line(std::string const& event) const {
    if (level_ < LogLevel::info) return;
    auto const now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    auto const text = fmt::format("{:%Y-%m-%dT%H:%M:%SZ} {}\n", now, event);
    // A log that cannot be written (a full disk, a closed pipe) must not end the node, so not
    // fmt::print, which throws.
    (void)std::fwrite(text.data(), 1, text.size(), stderr);
}

}  // namespace kith::app
