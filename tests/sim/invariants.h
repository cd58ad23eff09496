// tests/sim/invariants.h: what must be true after every step of a simulation, seen from outside:
// nothing here is told to the nodes.
//
//   S3   nobody seals twice under one (key, nonce), in any layer: links, sessions, gossip, wrapped
//        secrets
//   P11  no end opens a frame twice, and no message reaches a feature twice, restarts included
//   P19  a removed member is served by nobody later than 30 s after the coordinator's list said so
//   P5   the version of the member list never goes back on any machine, restarts included, and who
//        was removed is on no later list of it
//   S32  every machine's score of every member is from 0.0 to 1.0
//   --   what was acknowledged survives a crash; a machine starts again from what its disk has
//   --   connections stay within the limits of node::Host
//   --   when everything is healed, all members have sessions with each other again
#pragma once

#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/time.h"
#include "crypto/aead.h"
#include "identity/node_id.h"
#include "proto/membership/member_list.h"
#include "proto/session/witness.h"

namespace kith::simtest {

inline constexpr base::Duration removal_takes_max = std::chrono::seconds(30);
inline constexpr std::size_t violations_kept_max = 8;

class Invariants {
public:
    void on_seal(std::uint64_t key, crypto::AeadNonce const& nonce);
    void on_opened(proto::session::WitnessedFrame const& frame);
    // A message with this number, unique to it, reached the features of `machine`.
    void on_heard(std::size_t machine, identity::NodeId const& sender, std::uint64_t number,
                  base::Instant truth);
    // A session of `machine` with this member stands.
    void on_session(std::size_t machine, identity::NodeId const& member, base::Instant truth);
    void on_list(std::size_t machine, proto::membership::VerifiedList const& list);
    // The distance of `machine`'s score of this member from 0.5, in parts of trust::score_unit.
    void on_score(std::size_t machine, identity::NodeId const& member, std::int64_t deviation);
    void on_removed(identity::NodeId const& member, base::Instant truth);
    // The machine was set back by its owner (a backup): it has no memory of later lists.
    void on_set_back(std::size_t machine);
    // The machine cannot know of the removals any more: who told it was set back.
    void on_ignorant(std::size_t machine) { ignorant_.insert(machine); }

    void violated(std::string sentence);  // any other one

    [[nodiscard]] std::vector<std::string> const& violations() const { return violations_; }
    [[nodiscard]] std::size_t seals() const { return seals_count_; }
    [[nodiscard]] std::int64_t lowest_score() const { return lowest_score_; }
    [[nodiscard]] std::size_t messages_heard() const { return heard_.size(); }
    [[nodiscard]] auto const& removed() const { return removed_; }

private:
    // By key: the highest counter that its nonces held, read either way round (Noise has both).
    struct Counters {
        std::uint64_t big_endian = 0, little_endian = 0;
    };
    std::unordered_map<std::uint64_t, Counters> sealed_;
    std::size_t seals_count_ = 0;
    std::unordered_set<std::uint64_t> opened_;  // of (key, header)
    std::unordered_set<std::uint64_t> heard_;   // of (machine, number)
    std::map<std::size_t, std::uint64_t> versions_;
    std::map<std::size_t, std::set<identity::RootId>> removals_known_;
    std::map<identity::NodeId, base::Instant> removed_;
    std::unordered_set<std::size_t> ignorant_;
    std::int64_t lowest_score_ = 0;
    std::vector<std::string> violations_;
};

}  // namespace kith::simtest
