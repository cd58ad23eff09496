// base/sabotage.h: every guard of a claim can be switched off, in test builds only, so that its
// test can be seen to fail ("sabotage twin"). In the product KITH_GUARD(name, condition) is exactly
// (condition).
//
//   if (!KITH_GUARD("P11.tag", tag_matches)) return fail(...);
//
// The name is "<claim id>.<what is checked>"; tests/claims.toml lists it, tools/claims checks both
// ways.
#pragma once

#ifdef KITH_SABOTAGE

#include <string_view>

namespace kith::base {
// Arms the guards named in a comma-separated list; called once by main() before anything else runs.
void sabotage_arm(char const* names);
bool sabotaged(std::string_view name);
}  // namespace kith::base

#define KITH_GUARD(name, condition) (::kith::base::sabotaged(name) || (condition))
#else
#define KITH_GUARD(name, condition) (condition)
#endif
