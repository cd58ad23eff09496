// app/log.h: one line per event on stderr: RFC 3339 time in UTC, then the event. Never prompts,
// answers, keys or tokens: whoever writes a line sees to that, and the canary tests watch it.
#pragma once

#include <string>

#include "app/config.h"

namespace kith::app {

class Log {
public:
    explicit Log(LogLevel level) : level_(level) {}
    void line(std::string const& event) const;  // at level info

private:
    LogLevel level_;
};

}  // namespace kith::app
