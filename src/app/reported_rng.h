// app/reported_rng.h: the system's randomness, with a line in the log when it fails.
//
// Whoever draws for a key, a signature or a request fails with the error of the draw. Two draws
// have nobody to fail to, since a timer asks for them (a poll of the member list, a lookup that
// refreshes the routing table): they are tried again later, and what a person sees of it is this
// line.
#pragma once

#include <functional>
#include <string>
#include <utility>

#include "ports/rng.h"

namespace kith::app {

class ReportedRng final : public ports::Rng {
public:
    // `source` outlives this. `report` gets the first of failures that follow each other.
    ReportedRng(ports::Rng& source, std::function<void(std::string const&)> report)
        : source_(source), report_(std::move(report)) {}

    base::Status fill(base::MutableByteView out) override {
        auto drawn = source_.fill(out);
        bool const was_failing = std::exchange(is_failing_, !drawn);
        if (!drawn && !was_failing)
            report_("no randomness, so nothing is signed, sealed or asked: " +
                    drawn.error().message);
        return drawn;
    }

private:
    ports::Rng& source_;
    std::function<void(std::string const&)> report_;
    bool is_failing_ = false;
};

}  // namespace kith::app
