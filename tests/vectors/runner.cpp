#include "runner.h"

namespace kith::vectors {

void Report::add(std::string id, Verdict verdict) {
    switch (verdict.kind) {
        case Verdict::Kind::passed:
            ++passed;
            return;
        case Verdict::Kind::failed:
            failures.push_back({std::move(id), std::move(verdict.reason)});
            return;
        case Verdict::Kind::skipped:
            ++skipped[verdict.reason];
            return;
    }
}

std::size_t Report::skipped_count() const {
    std::size_t out = 0;
    for (auto const& [reason, count] : skipped) out += count;
    return out;
}

std::string provider_note(crypto::ProviderChoice const& choice) {
    return std::string("provider in use: ") + crypto::provider_name(choice.provider) + " (" +
           choice.reason + "; " + crypto::libcrypto_version() + ")";
}

base::Result<Report> run(Value const& file) {
    auto const families = {run_mldsa65, run_mlkem768, run_accumulated, run_curves,
                           run_hybrids, run_noise,    run_text,        run_symmetric};
    try {
        for (auto const family : families) {
            Report report;
            if (family(file, report)) return report;
        }
    } catch (std::exception const& error) {
        return base::fail(base::Code::invalid, std::string("is malformed: ") + error.what());
    }
    return base::fail(base::Code::unsupported, "is of no kind that is known here");
}

}  // namespace kith::vectors
