#include "feature/ask/refusal_log.h"

#include <bit>

namespace kith::ask {

std::optional<std::uint64_t> RefusalLog::note(identity::NodeId const& member) {
    bool const alone = counts_.contains(member) || counts_.size() < refusals_tracked_max;
    auto const count = alone ? ++counts_[member] : ++others_;
    if (!std::has_single_bit(count)) return std::nullopt;
    return count;
}

}  // namespace kith::ask
