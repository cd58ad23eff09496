#include "invariants.h"

#include <algorithm>

#include "trust/score.h"

namespace kith::simtest {

namespace {

std::uint64_t hash_of(std::uint64_t start, base::ByteView bytes) {
    std::uint64_t hash = start ^ 0xcbf29ce484222325ULL;
    for (auto const byte : bytes) hash = (hash ^ byte) * 0x100000001b3ULL;
    return hash ^ (hash >> 32);
}

}  // namespace

void Invariants::violated(std::string sentence) {
    if (violations_.size() < violations_kept_max) violations_.push_back(std::move(sentence));
}

void Invariants::on_seal(std::uint64_t key, crypto::AeadNonce const& nonce) {
    // Every layer counts upward: a nonce above all before it is new, and nothing else should come.
    auto const field = base::ByteView(nonce).subspan(4);
    Counters const counters{base::load_be<std::uint64_t>(field),
                            base::load_le<std::uint64_t>(field)};
    ++seals_count_;
    auto const [at, is_first] = sealed_.try_emplace(key, counters);
    if (is_first) return;
    auto& highest = at->second;
    if (counters.big_endian <= highest.big_endian &&
        counters.little_endian <= highest.little_endian)
        violated("S3: a key sealed two messages under one nonce, or counted backwards");
    highest.big_endian = std::max(highest.big_endian, counters.big_endian);
    highest.little_endian = std::max(highest.little_endian, counters.little_endian);
}

void Invariants::on_opened(proto::session::WitnessedFrame const& frame) {
    auto const end = hash_of(static_cast<std::uint64_t>(frame.side), frame.handshake_hash);
    auto const key = hash_of(end, frame.frame.first(proto::session::header_bytes));
    if (!opened_.insert(key).second) violated("P11: a frame was opened twice");
}

void Invariants::on_heard(std::size_t machine, identity::NodeId const& sender, std::uint64_t number,
                          base::Instant truth) {
    if (!heard_.insert(number * 1024 + machine).second)
        violated("P11: machine " + std::to_string(machine) + " heard message " +
                 std::to_string(number) + " of " + sender.to_short() + " twice");
    on_session(machine, sender, truth);
}

void Invariants::on_session(std::size_t machine, identity::NodeId const& member,
                            base::Instant truth) {
    auto const removal = removed_.find(member);
    if (removal == removed_.end() || truth <= removal->second + removal_takes_max) return;
    if (ignorant_.contains(machine)) return;
    auto const late = std::chrono::duration<double>(truth - removal->second).count();
    violated("P19: machine " + std::to_string(machine) + " serves " + member.to_short() + " " +
             std::to_string(late) + " s after its removal");
}

void Invariants::on_score(std::size_t machine, identity::NodeId const& member,
                          std::int64_t deviation) {
    lowest_score_ = std::min(lowest_score_, deviation);
    if (deviation < -trust::deviation_max || deviation > trust::deviation_max)
        violated("S32: machine " + std::to_string(machine) + " trusts " + member.to_short() +
                 " by half and " + std::to_string(deviation) + " parts of 10^12");
}

void Invariants::on_list(std::size_t machine, proto::membership::VerifiedList const& list) {
    auto const version = list.version();
    auto& newest = versions_[machine];
    if (version == newest) return;
    if (version < newest)
        violated("P5: the member list of machine " + std::to_string(machine) +
                 " went back from version " + std::to_string(newest) + " to " +
                 std::to_string(version));
    newest = std::max(newest, version);
    auto& gone = removals_known_[machine];
    for (auto const& revocation : list.document().revocations) gone.insert(revocation.root_id);
    for (auto const& member : list.members())
        if (gone.contains(member.root_id()))
            violated("P5: machine " + std::to_string(machine) + " took back " +
                     member.node_id().to_short() + ", of whose removal it had known");
}

void Invariants::on_removed(identity::NodeId const& member, base::Instant truth) {
    removed_.emplace(member, truth);
}

void Invariants::on_set_back(std::size_t machine) {
    versions_.erase(machine);
    removals_known_.erase(machine);
    ignorant_.insert(machine);
}

}  // namespace kith::simtest
