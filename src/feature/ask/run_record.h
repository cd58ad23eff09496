// feature/ask/run_record.h: what the remote part of one question was given and what it answered,
// kept by the asker for a spot check of it (S70): inputs as they were, outputs as digests.
//
// The engine computes the same bits on every machine and for every cut of the layers
// (docs/decisions/), so one digest of an honest machine equals that of another.
#pragma once

#include <optional>
#include <vector>

#include "crypto/hash.h"
#include "feature/ask/remote_run.h"

namespace kith::ask {

// Of all inputs together; what comes after is not recorded, so a check covers the beginning.
inline constexpr std::size_t record_bytes_max = std::size_t{32} << 20U;

crypto::Sha256Digest digest_of(RemoteRun::Output const& output);

struct RunRecord {
    struct Entry {
        RemoteRun::Step step;
        crypto::Sha256Digest output{};
    };
    RemoteRun::Options run;  // its id is the question's
    std::vector<Entry> entries;
};

class RunRecorder {
public:
    explicit RunRecorder(RemoteRun::Options run) : record_{.run = std::move(run), .entries = {}} {}

    void on_step(RemoteRun::Step const& step);
    void on_output(RemoteRun::Output const& output);
    // Only steps with an output; may be empty. Call once.
    RunRecord take();

private:
    RunRecord record_;
    std::size_t bytes_ = 0;
    std::optional<RemoteRun::Step> pending_;
    bool is_full_ = false;
};

}  // namespace kith::ask
