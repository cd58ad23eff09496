#include "trust/admission.h"

#include <doctest/doctest.h>

using namespace kith::trust;

TEST_CASE("only a listed member under a fresh list is admitted") {
    for (bool in_swarm : {false, true})
        for (bool has_lease : {false, true})
            for (bool on_list : {false, true}) {
                auto const decision = admit(Policy::members, {in_swarm, has_lease, on_list});
                CHECK(decision.allow == (in_swarm && has_lease && on_list));
                CHECK_FALSE(decision.reason.empty());
            }
}
