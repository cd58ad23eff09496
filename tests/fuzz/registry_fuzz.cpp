// tests/fuzz/registry_fuzz.cpp: which member list a node believes, against a coordinator whose
// operational key is in hostile hands: it signs any list, but no root signs for it.
//
// Input: steps. One byte: 0 a list is offered: version u8, which of the entries u8 (a bit each, of
// `Swarm::entries`), which revocations u8, whose binding heads it u8, then edits of it
// (fuzz_edits.h); its signature is true; 1 such a list, signed by a member; 2 a poll is sent; 3 it
// is answered, with edits; 4 seconds pass (u8); 5 days pass (u8); 6 the node starts again from what
// it stored. Checked: only who has a chain from the operator's root is a member; the version, the
// binding of a root and a revocation never go back; a list that is refused changes nothing; without
// an answered poll of the last 29 s nobody is served.
#include <set>

#include "base/check.h"
#include "fuzz_edits.h"
#include "fuzz_swarm.h"
#include "proto/membership/registry.h"

using namespace kith;
using namespace kith::proto::membership;

namespace {

struct Swarm {
    identity::Identity op = fuzz::identity_of(1), alice = fuzz::identity_of(2),
                       bob = fuzz::identity_of(3), mallory = fuzz::identity_of(4);
    base::Bytes certificate = fuzz::certificate_of(op, 21, 2);
    base::Bytes forged = fuzz::certificate_of(mallory, 22, 100);
    std::vector<Entry> entries{
        fuzz::entry_of(alice, certificate, 21),
        fuzz::entry_of(fuzz::renewed(alice, later(1)), certificate, 21),
        fuzz::entry_of(bob, certificate, 21),
        fuzz::entry_of(fuzz::renewed(bob, later(2)), certificate, 21),
        fuzz::entry_of(fuzz::renewed(bob, later(3)), certificate, 21),  // the same counter again
        fuzz::entry_of(mallory, forged, 22),
        fuzz::entry_of(mallory, certificate, 22),  // the statement is by another invite's key
    };
    std::vector<Revocation> revocations{fuzz::revocation_of(op, bob.root_id()),
                                        fuzz::revocation_of(mallory, alice.root_id())};
    std::vector<base::Bytes> heads{identity::encode(op.binding()),
                                   identity::encode(fuzz::renewed(op, later(1)).binding()),
                                   identity::encode(mallory.binding())};

    static base::UnixTime later(std::int64_t days) {
        return base::UnixTime{base::seconds(fuzz::today) + days * 86400};
    }
    [[nodiscard]] ListChecker::Anchors anchors() const {
        return {.swarm_id = fuzz::swarm_id,
                .operator_root = op.root_id(),
                .coordinator_key = op.node_id()};
    }
};

Swarm const& swarm() {
    static Swarm const made;
    return made;
}

class Bench {
public:
    void step(std::uint8_t verb, fuzz::FuzzInput& input) {
        if (verb <= 1) return offer(verb == 0 ? swarm().op : swarm().alice, input);
        if (verb == 2) return poll(input.byte());
        if (verb == 3) return answer(input);
        if (verb == 4) now_ += std::chrono::seconds(input.byte());
        if (verb == 5) pass_days(input.byte());
        if (verb == 6) restart();
    }
    void check() {
        for (auto const& [root, mark] : registry_.marks()) {
            auto const before = marks_.find(root);
            if (before == marks_.end()) continue;
            KITH_ASSERT(mark.counter >= before->second.counter);
            KITH_ASSERT(mark.counter > before->second.counter || mark == before->second);
        }
        marks_ = registry_.marks();
        bool const leased = answered_ && now_ < *answered_ + lease_length;
        KITH_ASSERT(registry_.has_lease(now_) == leased);
        for (auto const* who : {&swarm().op, &swarm().alice, &swarm().bob, &swarm().mallory}) {
            bool const serves = registry_.serveable(who->node_id(), now_) != nullptr;
            KITH_ASSERT(!serves || (leased && who != &swarm().mallory));
        }
        auto const* list = registry_.list();
        if (list == nullptr) return;
        for (auto const& member : list->members()) {
            KITH_ASSERT(member.is_operator() == (member.root_id() == swarm().op.root_id()));
            KITH_ASSERT(member.root_id() != swarm().mallory.root_id());
            KITH_ASSERT(!bob_is_out_ || member.root_id() != swarm().bob.root_id());
        }
    }

private:
    void offer(identity::Identity const& signer, fuzz::FuzzInput& input) {
        MemberList list{.swarm_id = fuzz::swarm_id, .version = input.byte(), .issued = fuzz::today};
        auto const entries = input.byte(), revocations = input.byte();
        list.operator_binding = swarm().heads[input.byte() % swarm().heads.size()];
        for (std::size_t i = 0; i < swarm().entries.size(); ++i)
            if ((entries >> i & 1) != 0) list.entries.push_back(swarm().entries[i]);
        for (std::size_t i = 0; i < swarm().revocations.size(); ++i)
            if ((revocations >> i & 1) != 0) list.revocations.push_back(swarm().revocations[i]);
        auto const body = fuzz::edited(input, encode_list_body(list));
        auto const encoded = fuzz::signed_list(body, signer);

        auto const before = version();
        auto const hash_before = hash();
        bool const had_list = registry_.list() != nullptr;
        auto const taken = registry_.offer(encoded, wall_);
        KITH_ASSERT(version() >= before);
        if (!taken || !*taken) {
            KITH_ASSERT(version() == before && hash() == hash_before);
            return;
        }
        KITH_ASSERT(&signer == &swarm().op && (!had_list || version() > before));
        KITH_ASSERT(registry_.list()->encoded() == encoded);
        auto const& revoked = registry_.list()->document().revocations;
        bool const has_bob = std::ranges::any_of(
            revoked, [](auto const& one) { return one.root_id == swarm().bob.root_id(); });
        KITH_ASSERT(has_bob || !bob_is_out_);
        bob_is_out_ = has_bob;
    }
    void poll(std::uint8_t nonce) {
        nonce_.fill(nonce);
        sent_ = now_;
        registry_.poll_sent(nonce_, now_);
    }
    void answer(fuzz::FuzzInput& input) {
        auto const signature =
            swarm().op.sign_operational(fresh_statement(fuzz::swarm_id, nonce_, version(), hash()));
        auto const fresh = encode_fresh(nonce_, version(), hash(), signature);
        auto const said = fuzz::edited(input, fresh);
        bool const fits = sent_ && said == fresh && registry_.list() != nullptr;
        auto const done = registry_.poll_answered(said);
        KITH_ASSERT(done.has_value() == fits);
        if (!done) return;
        answered_ = sent_;
        sent_.reset();
    }
    void pass_days(std::uint8_t days) {
        now_ += std::chrono::hours(24 * (days % 40));
        wall_ = base::UnixTime{base::seconds(wall_) + 86400 * (days % 40)};
        registry_.reconsider(wall_);
    }
    void restart() {
        auto const* list = registry_.list();
        Registry fresh(swarm().anchors());
        fresh.remember(registry_.marks());
        if (list != nullptr) {
            auto const before = version();
            KITH_ASSERT(fresh.restore(list->encoded(), wall_).has_value());
            KITH_ASSERT(fresh.list()->version() == before);
        }
        registry_ = std::move(fresh);
        answered_.reset();
        sent_.reset();
    }
    [[nodiscard]] std::uint64_t version() const {
        return registry_.list() == nullptr ? 0 : registry_.list()->version();
    }
    [[nodiscard]] base::ByteArray<32> hash() const {
        return registry_.list() == nullptr ? base::ByteArray<32>{} : registry_.list()->hash();
    }

    Registry registry_{swarm().anchors()};
    base::Instant now_{std::chrono::hours(1)};
    base::UnixTime wall_ = fuzz::today;
    BindingMarks marks_;
    Nonce nonce_{};
    std::optional<base::Instant> sent_, answered_;
    bool bob_is_out_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    fuzz::FuzzInput input(data, size);
    Bench bench;
    for (int steps = 0; !input.is_empty() && steps < 30; ++steps) {
        bench.step(input.byte() % 7, input);
        bench.check();
    }
    return 0;
}
