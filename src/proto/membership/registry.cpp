#include "proto/membership/registry.h"

#include <algorithm>

#include "base/sabotage.h"
#include "crypto/ed25519.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace kith::proto::membership {

using base::Code;
using base::fail;

base::Bytes fresh_statement(SwarmId const& swarm_id, Nonce const& nonce, std::uint64_t version,
                            base::ByteArray<32> const& hash) {
    wire::Writer writer;
    writer.bytes(base::as_bytes("kith/member-list-fresh/v1"))
        .bytes(swarm_id)
        .bytes(nonce)
        .u64(version)
        .bytes(hash);
    return writer.take();
}

base::Bytes encode_fresh(Nonce const& nonce, std::uint64_t version, base::ByteArray<32> const& hash,
                         crypto::Ed25519Signature const& signature) {
    wire::Writer writer;
    writer.bytes(nonce).u64(version).bytes(hash).bytes(signature);
    return writer.take();
}

namespace {

// Who was removed stays so: a coordinator that leaves a revocation out of a later list (or that was
// restored from an old backup) does not bring anybody back.
bool keeps_revocations(VerifiedList const& offered, VerifiedList const& known) {
    auto const& kept = offered.document().revocations;
    return std::ranges::all_of(known.document().revocations, [&](auto const& revocation) {
        return std::ranges::find(kept, revocation.root_id, &Revocation::root_id) != kept.end();
    });
}

}  // namespace

Registry::Registry(ListChecker::Anchors anchors)
    : anchors_(anchors), checker_(std::move(anchors)) {}

base::Result<bool> Registry::offer(base::Bytes encoded, base::UnixTime now) {
    auto list = KITH_TRY(checker_.check(std::move(encoded), now, marks_));
    if (list_) {
        bool const goes_back = list.version() < list_->version();
        if (!KITH_GUARD("P5.rollback", !goes_back))
            return fail(Code::conflict,
                        "an older member list than the one known was offered; it is ignored");
        if (list.version() == list_->version()) {
            if (list.hash() != list_->hash())
                return fail(Code::corrupt,
                            "ALARM: the coordinator signed two different member lists of one "
                            "version; tell the "
                            "operator and do not trust either");
            return false;
        }
        if (!KITH_GUARD("P5.revocation_kept", keeps_revocations(list, *list_)))
            return fail(Code::corrupt,
                        "ALARM: the coordinator offers a member list that has forgotten who was "
                        "removed; it is ignored. Tell the operator");
    }
    list_ = std::move(list);
    mark_members();
    return true;
}

base::Status Registry::restore(base::Bytes encoded, base::UnixTime now) {
    list_ = KITH_TRY(checker_.check_again(std::move(encoded), now, marks_));
    mark_members();
    return {};
}

void Registry::mark_members() {
    for (auto const& member : list_->listed())
        marks_.insert_or_assign(member.root_id(), member.mark());
    for (auto mark = marks_.begin(); marks_.size() > binding_marks_max && mark != marks_.end();)
        mark = std::ranges::find(list_->listed(), mark->first, &VerifiedMember::root_id) !=
                       list_->listed().end()
                   ? std::next(mark)
                   : marks_.erase(mark);
}

void Registry::poll_sent(Nonce const& nonce, base::Instant now) {
    poll_nonce_ = nonce;
    poll_sent_at_ = now;
}

base::Status Registry::poll_answered(base::ByteView fresh) {
    wire::Reader reader(fresh);
    auto const nonce = KITH_TRY(reader.array<16>());
    auto const version = KITH_TRY(reader.u64());
    auto const hash = KITH_TRY(reader.array<32>());
    auto const signature = KITH_TRY(reader.array<64>());
    KITH_TRY(reader.expect_end());
    if (!KITH_GUARD("P5.poll_nonce", poll_nonce_ == nonce))
        return fail(Code::invalid, "an answer to no poll of ours was ignored");
    bool const by_coordinator =
        crypto::ed25519_verify(anchors_.coordinator_key.bytes,
                               fresh_statement(anchors_.swarm_id, nonce, version, hash), signature);
    if (!KITH_GUARD("P5.fresh_signature", by_coordinator))
        return fail(Code::unauthorized,
                    "a poll was answered by somebody who is not the coordinator");
    if (!list_ || list_->version() != version || list_->hash() != hash)
        return fail(Code::conflict,
                    "the poll answer speaks of a member list this node does not have");
    poll_nonce_.reset();
    lease_from_ = poll_sent_at_;
    return {};
}

void Registry::grant_own_lease() {
    own_lease_ = true;
}

bool Registry::has_lease(base::Instant now) const {
    if (own_lease_) return true;
    return KITH_GUARD("P5.lease", lease_from_ && now < *lease_from_ + lease_length);
}

double Registry::lease_seconds_left(base::Instant now) const {
    if (own_lease_) return std::chrono::duration<double>(lease_length).count();
    if (!lease_from_) return 0;
    return std::chrono::duration<double>(*lease_from_ + lease_length - now).count();
}

bool Registry::poll_due(base::Instant now) const {
    if (own_lease_) return false;
    return !poll_sent_at_ || now >= *poll_sent_at_ + poll_interval;
}

VerifiedMember const* Registry::serveable(identity::NodeId const& node, base::Instant now) const {
    if (!list_ || !has_lease(now)) return nullptr;
    return list_->find(node);
}

}  // namespace kith::proto::membership
