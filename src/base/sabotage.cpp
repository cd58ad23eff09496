#include "base/sabotage.h"

#ifdef KITH_SABOTAGE

#include <set>
#include <string>

namespace kith::base {
namespace {
std::set<std::string, std::less<>>& armed() {
    static std::set<std::string, std::less<>> names;
    return names;
}
}  // namespace

void sabotage_arm(char const* names) {
    std::string_view rest = names;
    while (!rest.empty()) {
        auto const comma = rest.find(',');
        armed().emplace(rest.substr(0, comma));
        rest = comma == std::string_view::npos ? std::string_view{} : rest.substr(comma + 1);
    }
}

bool sabotaged(std::string_view name) {
    return armed().contains(name);
}

}  // namespace kith::base
#endif
