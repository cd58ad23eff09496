// engine/planted_flaw.h: flaws that tests plant into a worker, to see what a flaw that a hostile
// file finds can do. Only in builds with sabotage switches: KITH_SABOTAGE=flaw.NAME. The product
// has none of this.
#pragma once

#include <string_view>

#include "base/sabotage.h"

namespace kith::engine {

#ifdef KITH_SABOTAGE
inline bool has_flaw(std::string_view name) {
    return base::sabotaged(name);
}
#else
constexpr bool has_flaw(std::string_view) {
    return false;
}
#endif

}  // namespace kith::engine
