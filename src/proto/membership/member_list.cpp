#include "proto/membership/member_list.h"

#include <algorithm>
#include <iterator>

#include "base/check.h"
#include "base/sabotage.h"
#include "crypto/ed25519.h"
#include "crypto/hash.h"
#include "crypto/mldsa65.h"
#include "identity/contexts.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace kith::proto::membership {

using base::Code;
using base::fail;

namespace {

constexpr std::uint8_t list_version_tag = 2;
constexpr std::size_t binding_bytes_max = 8192;
constexpr std::size_t signature_bytes = 64;

base::UnixTime read_time(std::uint64_t value) {
    return base::UnixTime{static_cast<std::int64_t>(value)};
}

base::Result<Entry> read_entry(wire::Reader& reader) {
    Entry entry;
    entry.binding = base::to_bytes(KITH_TRY(reader.prefixed_u16(binding_bytes_max)));
    entry.certificate = base::to_bytes(KITH_TRY(reader.prefixed_u16(certificate_bytes_max)));
    entry.statement_signature = KITH_TRY(reader.array<64>());
    entry.joined = read_time(KITH_TRY(reader.u64()));
    return entry;
}

void write_entry(wire::Writer& writer, Entry const& entry) {
    writer.prefixed_u16(entry.binding)
        .prefixed_u16(entry.certificate)
        .bytes(entry.statement_signature)
        .u64(static_cast<std::uint64_t>(base::seconds(entry.joined)));
}

base::Result<MemberList> parse_body(base::ByteView body) {
    wire::Reader reader(body);
    if (KITH_TRY(reader.u8()) != list_version_tag)
        return fail(Code::unsupported,
                    "the member list was made by another version of kith; update this machine and "
                    "the operator's");
    MemberList list;
    list.swarm_id = KITH_TRY(reader.array<32>());
    list.version = KITH_TRY(reader.u64());
    list.issued = read_time(KITH_TRY(reader.u64()));
    list.operator_binding = base::to_bytes(KITH_TRY(reader.prefixed_u16(binding_bytes_max)));
    auto const entries_count = KITH_TRY(reader.u16());
    if (entries_count >= members_max)
        return fail(Code::too_large, "the member list names too many members");
    for (std::size_t i = 0; i < entries_count; ++i)
        list.entries.push_back(KITH_TRY(read_entry(reader)));
    auto const revocations_count = KITH_TRY(reader.u16());
    if (revocations_count > revocations_max)
        return fail(Code::too_large, "the member list has too many revocations");
    for (std::size_t i = 0; i < revocations_count; ++i) {
        Revocation revocation;
        revocation.root_id = identity::RootId{KITH_TRY(reader.array<32>())};
        revocation.time = read_time(KITH_TRY(reader.u64()));
        revocation.signature =
            base::to_bytes(KITH_TRY(reader.take(crypto::mldsa65_signature_bytes)));
        list.revocations.push_back(std::move(revocation));
    }
    KITH_TRY(reader.expect_end());
    return list;
}

std::optional<Conflict> conflict_with(BindingMarks const& seen, identity::RootId const& root,
                                      BindingMark const& mark) {
    auto const known = seen.find(root);
    if (known == seen.end()) return std::nullopt;
    bool const goes_back = mark.counter < known->second.counter;
    if (!KITH_GUARD("E5.counter", !goes_back)) return Conflict::replaced;
    bool const differs =
        mark.counter == known->second.counter && mark.digest != known->second.digest;
    if (!KITH_GUARD("E5.equivocation", !differs)) return Conflict::equivocation;
    return std::nullopt;
}

}  // namespace

base::Bytes encode_entry(Entry const& entry) {
    wire::Writer writer;
    write_entry(writer, entry);
    return writer.take();
}

base::Result<Entry> decode_entry(base::ByteView bytes) {
    wire::Reader reader(bytes);
    auto entry = KITH_TRY(read_entry(reader));
    KITH_TRY(reader.expect_end());
    return entry;
}

base::Bytes revocation_body(SwarmId const& swarm_id, identity::RootId const& root_id,
                            base::UnixTime time) {
    wire::Writer writer;
    writer.bytes(base::as_bytes("kith/revocation/v1"))
        .bytes(swarm_id)
        .bytes(root_id.bytes)
        .u64(static_cast<std::uint64_t>(base::seconds(time)));
    return writer.take();
}

base::Bytes encode_list_body(MemberList const& list) {
    wire::Writer writer;
    writer.u8(list_version_tag)
        .bytes(list.swarm_id)
        .u64(list.version)
        .u64(static_cast<std::uint64_t>(base::seconds(list.issued)))
        .prefixed_u16(list.operator_binding)
        .u16(static_cast<std::uint16_t>(list.entries.size()));
    for (auto const& entry : list.entries) write_entry(writer, entry);
    writer.u16(static_cast<std::uint16_t>(list.revocations.size()));
    for (auto const& revocation : list.revocations)
        writer.bytes(revocation.root_id.bytes)
            .u64(static_cast<std::uint64_t>(base::seconds(revocation.time)))
            .bytes(revocation.signature);
    return writer.take();
}

base::Bytes list_statement(base::ByteView body) {
    wire::Writer writer;
    writer.bytes(base::as_bytes("kith/member-list/v1")).bytes(crypto::sha256(body));
    return writer.take();
}

base::Bytes append_list_signature(base::Bytes body, crypto::Ed25519Signature const& signature) {
    base::append(body, signature);
    return body;
}

VerifiedMember::VerifiedMember(identity::VerifiedBinding const& binding, bool is_operator)
    : root_id_(binding.root_id()),
      node_id_(binding.node_id()),
      address_(binding.address()),
      static_key_(binding.body().static_key),
      root_key_(binding.body().root),
      mark_(mark_of(binding.binding())),
      not_before_(binding.body().not_before),
      not_after_(binding.body().not_after),
      is_operator_(is_operator) {}

BindingMark mark_of(identity::IdentityBinding const& binding) {
    return {.counter = binding.body.counter, .digest = crypto::sha256(identity::encode(binding))};
}

VerifiedMember const* VerifiedList::find(identity::NodeId const& node) const {
    auto const found = std::ranges::find_if(
        members_, [&](auto const& member) { return member.node_id() == node; });
    return found == members_.end() ? nullptr : &*found;
}

VerifiedMember const* VerifiedList::find(identity::RootId const& root) const {
    auto const found = std::ranges::find_if(
        members_, [&](auto const& member) { return member.root_id() == root; });
    return found == members_.end() ? nullptr : &*found;
}

bool VerifiedList::reconsider(base::UnixTime now) {
    auto const is_member = [&](VerifiedMember const& one) {
        bool const is_valid = one.not_before() <= now && now < one.not_after();
        return one.is_operator() || KITH_GUARD("E5.runs_out", is_valid);
    };
    auto known = members_.begin();
    bool const same = std::ranges::all_of(listed_, [&](auto const& one) {
        if (!is_member(one)) return true;
        if (known == members_.end() || known->node_id() != one.node_id()) return false;
        ++known;
        return true;
    });
    if (same && known == members_.end()) return false;
    members_.clear();
    std::ranges::copy_if(listed_, std::back_inserter(members_), is_member);
    return true;
}

ListChecker::ListChecker(Anchors anchors) : anchors_(std::move(anchors)) {}

base::Result<VerifiedList> ListChecker::check(base::Bytes encoded, base::UnixTime now,
                                              BindingMarks const& seen) {
    return check_all(std::move(encoded), now, seen, OperatorDates::hold);
}

base::Result<VerifiedList> ListChecker::check_again(base::Bytes encoded, base::UnixTime now,
                                                    BindingMarks const& seen) {
    return check_all(std::move(encoded), now, seen, OperatorDates::may_be_over);
}

base::Result<VerifiedList> ListChecker::check_all(base::Bytes encoded, base::UnixTime now,
                                                  BindingMarks const& seen, OperatorDates dates) {
    VerifiedList verified;
    verified.list_ = KITH_TRY(parse_signed(encoded));
    verified.hash_ = crypto::sha256(encoded);
    verified.encoded_ = std::move(encoded);
    auto operator_day = now;
    if (dates == OperatorDates::may_be_over)
        operator_day =
            KITH_TRY(identity::decode_binding(verified.list_.operator_binding)).body.not_before;
    verified.listed_.push_back(KITH_TRY(check_operator(verified.list_, operator_day, seen)));
    KITH_TRY(check_members(verified, now, seen));
    verified.reconsider(now);
    return verified;
}

base::Result<MemberList> ListChecker::parse_signed(base::ByteView encoded) const {
    if (encoded.size() > list_bytes_max)
        return fail(Code::too_large, "the member list is too large");
    if (encoded.size() < signature_bytes) return fail(Code::invalid, "the member list is cut off");
    auto const body = encoded.first(encoded.size() - signature_bytes);
    // Signature before parsing: nobody but the coordinator reaches the parser.
    crypto::Ed25519Signature signature;
    std::ranges::copy(encoded.last(signature_bytes), signature.begin());
    bool const by_coordinator =
        crypto::ed25519_verify(anchors_.coordinator_key.bytes, list_statement(body), signature);
    if (!KITH_GUARD("P4.list_signature", by_coordinator))
        return fail(Code::unauthorized,
                    "the member list is not signed by this swarm's coordinator");
    auto list = KITH_TRY(parse_body(body));
    if (!KITH_GUARD("P4.list_swarm", list.swarm_id == anchors_.swarm_id))
        return fail(Code::unauthorized, "the member list is of another swarm");
    return list;
}

base::Result<VerifiedMember> ListChecker::check_operator(MemberList const& list, base::UnixTime now,
                                                         BindingMarks const& seen) {
    auto const head = KITH_TRY(
        identity::verify_binding(KITH_TRY(identity::decode_binding(list.operator_binding)), now));
    if (!KITH_GUARD("P25.operator_root", head.root_id() == anchors_.operator_root))
        return fail(Code::unauthorized,
                    "the member list names another operator than the invite did");
    operator_key_ = head.body().root;
    VerifiedMember member(head, true);
    auto const conflict = conflict_with(seen, member.root_id(), member.mark());
    if (!KITH_GUARD("E5.operator_counter", !conflict))
        return fail(Code::corrupt,
                    *conflict == Conflict::replaced
                        ? "ALARM: the member list has a binding of the operator that was replaced"
                        : "ALARM: the operator's root signed two bindings of one number; tell "
                          "the operator and trust neither");
    return member;
}

base::Status ListChecker::check_members(VerifiedList& verified, base::UnixTime now,
                                        BindingMarks const& seen) {
    auto const& list = verified.list_;
    Memory checked;
    KITH_TRY(check_revocations(list, checked));
    Uses uses;
    for (auto const& entry : list.entries) {
        auto member = KITH_TRY(check_entry(entry, uses, checked, now));
        bool const revoked = std::ranges::any_of(list.revocations, [&](auto const& revocation) {
            return revocation.root_id == member.root_id();
        });
        if (!KITH_GUARD("P5.revoked", !revoked)) continue;
        if (auto const conflict = conflict_with(seen, member.root_id(), member.mark())) {
            verified.conflicts_.push_back({*conflict, member.root_id(), entry.binding});
            continue;
        }
        bool const twice = std::ranges::any_of(verified.listed_, [&](auto const& other) {
            return other.node_id() == member.node_id() || other.root_id() == member.root_id();
        });
        if (twice) return fail(Code::invalid, "the member list names one member twice");
        verified.listed_.push_back(std::move(member));
    }
    memory_ = std::move(checked);
    return {};
}

base::Result<ListChecker::Checked> ListChecker::verify_entry(Entry const& entry,
                                                             base::UnixTime now) const {
    // A binding that has run out since, or is not valid yet by this clock, is checked as of its
    // first day: it still uses up its invite, but nobody is a member by it.
    auto parsed = KITH_TRY(identity::decode_binding(entry.binding));
    auto const first_day = parsed.body.not_before;
    bool const is_current = first_day <= now && now < parsed.body.not_after;
    auto const binding =
        KITH_TRY(identity::verify_binding(std::move(parsed), is_current ? now : first_day));
    auto const certificate =
        KITH_TRY(check_certificate(entry.certificate, operator_key_, anchors_.swarm_id));
    auto const statement =
        join_statement(anchors_.swarm_id, certificate->lookup_id, binding.root_id());
    bool const invited = crypto::ed25519_verify(certificate->invite_public_key, statement,
                                                entry.statement_signature);
    if (!KITH_GUARD("P4.join_signature", invited))
        return fail(Code::unauthorized, "the member list names somebody who holds no invite");
    return Checked{.member = VerifiedMember(binding, false),
                   .lookup_id = certificate->lookup_id,
                   .uses_max = certificate->uses_max};
}

base::Result<VerifiedMember> ListChecker::check_entry(Entry const& entry, Uses& uses,
                                                      Memory& checked, base::UnixTime now) const {
    auto const digest = crypto::sha256(encode_entry(entry));
    auto const known = memory_.entries.find(digest);
    auto one = known != memory_.entries.end() ? known->second : KITH_TRY(verify_entry(entry, now));
    if (!KITH_GUARD("P16.list_uses", ++uses[one.lookup_id] <= one.uses_max))
        return fail(Code::unauthorized,
                    "the coordinator let an invite be used more often than it allows");
    auto member = one.member;
    checked.entries.emplace(digest, std::move(one));
    return member;
}

base::Status ListChecker::check_revocations(MemberList const& list, Memory& checked) const {
    for (auto const& revocation : list.revocations) {
        auto const body = revocation_body(anchors_.swarm_id, revocation.root_id, revocation.time);
        auto signed_body = body;
        base::append(signed_body, revocation.signature);
        auto const digest = crypto::sha256(signed_body);
        bool const by_operator =
            memory_.revocations.contains(digest) ||
            crypto::mldsa65_verify(operator_key_, body,
                                   base::as_bytes(identity::context::revocation),
                                   revocation.signature);
        if (!by_operator)
            return fail(Code::unauthorized,
                        "a revocation is not signed by the operator of this swarm");
        checked.revocations.insert(digest);
    }
    return {};
}

}  // namespace kith::proto::membership
