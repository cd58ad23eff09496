#include "app/log.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>
#include <cstdio>

namespace kith::app {

void Log::line(std::string const& event) const {
    if (level_ < LogLevel::info) return;
    auto const now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    fmt::print(stderr, "{:%Y-%m-%dT%H:%M:%SZ} {}\n", now, event);
}

}  // namespace kith::app
