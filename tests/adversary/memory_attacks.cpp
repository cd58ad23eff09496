// What a dump of the memory of two running machines still holds of their sessions.
#include <doctest/doctest.h>

#include <algorithm>

#include "base/memory_search.h"
#include "crypto/kdf.h"
#include "proto/session/witness.h"
#include "swarm_bench.h"

using namespace kith;
using namespace kith::adversary;
using namespace std::chrono_literals;

namespace {

// Hears of the keys of all sessions in this process, and keeps them masked.
class KeyHunt {
public:
    KeyHunt() {
        proto::session::set_key_witness([this](auto const& keys) { add(keys); });
    }
    KeyHunt(KeyHunt const&) = delete;
    KeyHunt& operator=(KeyHunt const&) = delete;
    ~KeyHunt() { proto::session::set_key_witness({}); }

    [[nodiscard]] std::size_t keys_count() const { return needles_.size(); }
    // How many of the keys from `first` to below `last` are somewhere in memory.
    [[nodiscard]] std::ptrdiff_t found(std::size_t first, std::size_t last) const {
        auto const at = [this](std::size_t i) {
            return needles_.begin() + static_cast<std::ptrdiff_t>(i);
        };
        return std::count_if(at(first), at(last), [](auto const& one) { return one.count() > 0; });
    }

private:
    // Both directions, and what their lanes make of them (docs/protocol/session.md).
    void add(proto::session::KeyMaterial const& keys) {
        for (auto const* const direction : {&keys.send, &keys.receive}) {
            needles_.emplace_back(direction->view());
            for (std::string_view const label :
                 {"kith/tier1/tensor/v1", "kith/tier1/control/v1", "kith/tier1/proof/v1"})
                needles_.emplace_back(crypto::hkdf_sha256<32>(keys.handshake_hash,
                                                              direction->view(),
                                                              base::as_bytes(label))
                                          .view());
        }
    }

    std::vector<base::MemoryNeedle> needles_;
};

}  // namespace

TEST_CASE("P26: the keys of a session leave the memory of whole nodes with it, old ones before") {
    if (base::memory_has_copies_of_a_sanitizer) return;
    KeyHunt hunt;
    SwarmBench bench;
    auto& op = bench.add_operator();
    auto& ada = bench.add_member(op);
    auto const first = hunt.keys_count();
    REQUIRE(first > 0);
    CHECK(hunt.found(0, first) > 0);  // the search sees what is there

    bench.run_for(node::rekey_late + 2 * proto::session::old_key_opens_for);
    auto const second = hunt.keys_count();
    REQUIRE(second > first);
    REQUIRE(ada.node->is_ready(op.identity.node_id()));
    CHECK(hunt.found(0, first) == 0);
    CHECK(hunt.found(first, second) > 0);

    REQUIRE(op.node->kick(ada.identity.address().to_text(), bench.clock.now()).has_value());
    bench.run_for(2s);
    CHECK_FALSE(ada.node->is_ready(op.identity.node_id()));
    CHECK(hunt.found(0, hunt.keys_count()) == 0);
}
