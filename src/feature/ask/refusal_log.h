// feature/ask/refusal_log.h: which refusals are worth a line in the log: of each member the 1st,
// 2nd, 4th, 8th ... one, so that nobody fills the disk by being refused (as S22 does for dropped
// messages).
//
// Counts are kept when a member goes: coming back does not begin them anew. Limit:
// refusals_tracked_max members are counted alone, all further ones together.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "identity/node_id.h"

namespace kith::ask {

inline constexpr std::size_t refusals_tracked_max = 1024;

class RefusalLog {
public:
    // Counts one refusal. The count when a line is due; nullopt when it is to be left out.
    std::optional<std::uint64_t> note(identity::NodeId const& member);

private:
    std::map<identity::NodeId, std::uint64_t> counts_;
    std::uint64_t others_ = 0;
};

}  // namespace kith::ask
