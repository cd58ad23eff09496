// engine/planted_flaw.h: flaws that tests plant into a worker, to see what a flaw that a hostile
// file finds can do. Only in builds with sabotage switches: KITH_SABOTAGE=flaw.NAME. The product
// has none of this.
#pragma once

#include <csignal>
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

// Dies as the product would: not with a sanitizer's report.
inline void crash() {
    std::signal(SIGSEGV, SIG_DFL);
    std::raise(SIGSEGV);
}

}  // namespace kith::engine
