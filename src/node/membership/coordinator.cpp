#include "node/membership/coordinator.h"

#include <algorithm>
#include <utility>

#include "base/encoding.h"
#include "base/sabotage.h"
#include "crypto/hash.h"
#include "identity/contexts.h"
#include "proto/membership/secret_wrap.h"
#include "wire/multiaddr.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace kith::node {

using base::Code;
using base::fail;
namespace membership = proto::membership;

namespace {

constexpr std::string_view member_table = "member";
constexpr std::string_view version_table = "list_version";
constexpr std::string_view revocation_table = "revocation";  // by root id; never erased
constexpr std::size_t prefix_chars_min = 8;

// The record of an invite row: certificate and wrapped secret.
struct InviteRecord {
    base::Bytes certificate;
    base::Bytes wrapped_secret;
};

base::Bytes encode_record(InviteRecord const& record) {
    wire::Writer writer;
    writer.prefixed_u16(record.certificate).prefixed_u16(record.wrapped_secret);
    return writer.take();
}

base::Result<InviteRecord> parse_record(base::ByteView bytes) {
    wire::Reader reader(bytes);
    InviteRecord record;
    record.certificate =
        base::to_bytes(KITH_TRY(reader.prefixed_u16(membership::certificate_bytes_max)));
    record.wrapped_secret =
        base::to_bytes(KITH_TRY(reader.prefixed_u16(membership::wrapped_secret_bytes)));
    KITH_TRY(reader.expect_end());
    return record;
}

base::Bytes encode_revocation(membership::Revocation const& revocation) {
    wire::Writer writer;
    writer.u64(static_cast<std::uint64_t>(base::seconds(revocation.time)))
        .bytes(revocation.signature);
    return writer.take();
}

base::Result<membership::Revocation> parse_revocation(ports::Row const& row) {
    wire::Reader key(row.key);
    wire::Reader value(row.value);
    membership::Revocation revocation;
    revocation.root_id = identity::RootId{KITH_TRY(key.array<32>())};
    revocation.time = base::UnixTime{static_cast<std::int64_t>(KITH_TRY(value.u64()))};
    revocation.signature = base::to_bytes(value.rest());
    return revocation;
}

base::Status check_options(InviteOptions const& options) {
    if (!KITH_GUARD("P16.uses_range",
                    options.uses_max >= 1 && options.uses_max <= membership::invite_uses_max))
        return fail(Code::invalid, "--max-uses must be between 1 and 10000");
    if (options.lifetime_s < 0 || options.lifetime_s > invite_lifetime_max_s)
        return fail(Code::invalid, "--expires-hours must be above 0 and at most 8760");
    if (options.note.size() > note_chars_max)
        return fail(Code::invalid, "--note may have 500 characters at most");
    return {};
}

template <std::size_t N>
base::Result<crypto::Secret<N>> random_secret(ports::Rng& rng) {
    crypto::Secret<N> secret;
    KITH_TRY(rng.fill(secret.mutable_view()));
    return secret;
}

}  // namespace

std::vector<std::string> acceptable_addresses(
    google::protobuf::RepeatedPtrField<std::string> const& addresses) {
    std::vector<std::string> accepted;
    for (auto const& address : addresses) {
        if (accepted.size() == membership::token_addresses_max) break;
        if (address.size() > 128) continue;
        auto const parsed = wire::Multiaddr::from_text(address);
        if (parsed && parsed->tcp_endpoint()) accepted.push_back(address);
    }
    return accepted;
}

base::Result<Coordinator> Coordinator::create(Edges edges, Swarm const& swarm, base::UnixTime now) {
    Coordinator coordinator(edges, swarm.id);
    auto const stored = KITH_TRY(edges.store.get(version_table, swarm.id));
    if (stored && stored->size() == 8) coordinator.version_ = base::load_be<std::uint64_t>(*stored);
    for (auto const& row : KITH_TRY(edges.store.scan(member_table, membership::members_max))) {
        auto const entry = KITH_TRY(membership::decode_entry(row.value));
        auto const binding = KITH_TRY(identity::decode_binding(entry.binding));
        coordinator.keys_[binding.body.operational] = identity::RootId::of(binding.body.root);
    }
    KITH_TRY(coordinator.rebuild(now));
    return coordinator;
}

// What today's members say about a binding that somebody shows. By keys: whoever has a link may
// ask this.
base::Result<Coordinator::Known> Coordinator::known_by(
    identity::IdentityBinding const& binding) const {
    auto const root = identity::RootId::of(binding.body.root);
    // Two members with one key would make every list invalid for everybody.
    auto const owner = keys_.find(binding.body.operational);
    bool const taken = owner != keys_.end() && owner->second != root;
    if (!KITH_GUARD("E4.one_root", !taken))
        return fail(Code::conflict, "this key is another member's already");
    auto const row = KITH_TRY(edges_.store.get(member_table, root.bytes));
    if (!row) return Known{};
    Known known{.standing = Standing::known, .entry = KITH_TRY(membership::decode_entry(*row))};
    auto const listed = KITH_TRY(identity::decode_binding(known.entry.binding));
    if (listed == binding) return known;
    // Nobody is accused by a binding that its root did not sign.
    KITH_TRY(identity::verify_binding(binding, binding.body.not_before));
    bool const is_newer = binding.body.counter > listed.body.counter;
    if (!KITH_GUARD("E5.update_counter", is_newer))
        return binding.body.counter < listed.body.counter
                   ? fail(Code::conflict,
                          "these keys were replaced by newer ones of the same identity")
                   : fail(Code::corrupt,
                          "another binding with the same number is known here: this identity is "
                          "used on two machines, or came out of a backup. Run on the right one: "
                          "kith identity rotate");
    known.standing = Standing::newer;
    return known;
}

// Signs the log as the next version. The version is stored before the list is shown to anybody, so
// it never repeats.
base::Status Coordinator::rebuild(base::UnixTime now) {
    is_behind_ = true;
    membership::MemberList list{.swarm_id = swarm_id_,
                                .version = version_ + 1,
                                .issued = now,
                                .operator_binding = identity::encode(edges_.identity.binding())};
    for (auto const& row : KITH_TRY(edges_.store.scan(member_table, membership::members_max)))
        list.entries.push_back(KITH_TRY(membership::decode_entry(row.value)));
    for (auto const& row :
         KITH_TRY(edges_.store.scan(revocation_table, membership::revocations_max)))
        list.revocations.push_back(KITH_TRY(parse_revocation(row)));
    base::ByteArray<8> version;
    base::store_be<std::uint64_t>(version, list.version);
    KITH_TRY(edges_.store.put(version_table, swarm_id_, version));
    auto body = membership::encode_list_body(list);
    auto const signature = edges_.identity.sign_operational(membership::list_statement(body));
    encoded_ = membership::append_list_signature(std::move(body), signature);
    hash_ = crypto::sha256(encoded_);
    version_ = list.version;
    is_behind_ = false;
    return {};
}

base::Result<IssuedInvite> Coordinator::create_invite(InviteOptions const& options,
                                                      Swarm const& swarm,
                                                      std::vector<std::string> const& addresses,
                                                      base::UnixTime now) {
    KITH_TRY(check_options(options));
    if (addresses.empty())
        return fail(Code::conflict,
                    "nobody could find this machine: start it with kith serve, or set [node] "
                    "announce in config.toml");
    membership::Token token;
    token.swarm_id = swarm.id;
    token.operator_root = edges_.identity.root_id();
    token.coordinator = edges_.identity.peer_id();
    token.addresses = addresses;
    if (token.addresses.size() > membership::token_addresses_max)
        token.addresses.resize(membership::token_addresses_max);
    token.expires = options.lifetime_s == 0
                        ? base::UnixTime{}
                        : base::UnixTime{base::seconds(now) + options.lifetime_s};
    token.seed = KITH_TRY(random_secret<32>(edges_.rng));
    auto const keys = membership::derive_token_keys(token.seed);

    auto certificate =
        membership::certificate_body({.swarm_id = swarm.id,
                                      .lookup_id = keys.lookup_id,
                                      .invite_public_key = keys.invite_key.public_key(),
                                      .uses_max = options.uses_max,
                                      .created = now,
                                      .expires = token.expires});
    base::append(certificate,
                 KITH_TRY(edges_.identity.sign_root(identity::context::invite, certificate,
                                                    KITH_TRY(random_secret<32>(edges_.rng)))));
    base::ByteArray<24> salt;
    KITH_TRY(edges_.rng.fill(salt));
    auto wrapped = KITH_TRY(membership::wrap_secret(keys.wrap_key, swarm.id, swarm.secret, salt));
    KITH_TRY(
        edges_.store.invite_add({.lookup_id = base::to_bytes(keys.lookup_id),
                                 .record = encode_record({.certificate = std::move(certificate),
                                                          .wrapped_secret = std::move(wrapped)}),
                                 .uses_max = options.uses_max,
                                 .created = base::seconds(now),
                                 .expires = base::seconds(token.expires),
                                 .note = options.note}));
    return IssuedInvite{.token = membership::format_token(token),
                        .lookup_id = keys.lookup_id,
                        .uses_max = options.uses_max,
                        .expires = token.expires};
}

base::Result<std::vector<ports::InviteRow>> Coordinator::invites() {
    return edges_.store.invites(invites_max);
}

base::Result<membership::LookupId> Coordinator::revoke_invite(std::string_view prefix) {
    if (prefix.size() < prefix_chars_min)
        return fail(Code::invalid,
                    "give at least 8 characters of the invite's id (see: kith invite list)");
    std::optional<membership::LookupId> found;
    for (auto const& invite : KITH_TRY(invites())) {
        if (!base::to_hex(invite.lookup_id).starts_with(prefix)) continue;
        if (found)
            return fail(Code::conflict, "these characters fit several invites; give more of them");
        found.emplace();
        std::ranges::copy(invite.lookup_id, found->begin());
    }
    if (!found) return fail(Code::not_found, "there is no such invite (see: kith invite list)");
    KITH_TRY(edges_.store.invite_revoke(*found));
    return *found;
}

// Checks everything that can be checked without counting, and encodes the log entry. Whoever has a
// link may ask: what costs little comes first, and the signatures of roots come last.
base::Result<base::Bytes> Coordinator::entry_for(wire::v1::JoinRequest const& request,
                                                 AuthenticatedPeer const& peer,
                                                 base::UnixTime now) const {
    if (request.lookup_id().size() != 32 || request.statement_signature().size() != 64)
        return fail(Code::invalid, "the join request is malformed");
    auto binding = KITH_TRY(identity::decode_binding(base::as_bytes(request.binding())));
    bool const is_its_own = binding.body.operational == peer.peer().public_key();
    if (!KITH_GUARD("E4.link_key", is_its_own))
        return fail(Code::unauthorized, "the identity binding is not of the machine that sent it");
    auto const row = KITH_TRY(edges_.store.invite(base::as_bytes(request.lookup_id())));
    if (!row) return fail(Code::not_found, "this invite is not known here");
    auto const record = KITH_TRY(parse_record(row->record));
    auto const certificate = KITH_TRY(membership::check_certificate(
        record.certificate, edges_.identity.root_public_key(), swarm_id_));
    membership::Entry entry{.binding = base::to_bytes(base::as_bytes(request.binding())),
                            .certificate = record.certificate,
                            .joined = now};
    std::ranges::copy(base::as_bytes(request.statement_signature()),
                      entry.statement_signature.begin());
    auto const statement = membership::join_statement(swarm_id_, certificate->lookup_id,
                                                      identity::RootId::of(binding.body.root));
    bool const holds_token = crypto::ed25519_verify(certificate->invite_public_key, statement,
                                                    entry.statement_signature);
    if (!KITH_GUARD("P2.token", holds_token))
        return fail(Code::unauthorized, "this invite is not known here");
    KITH_TRY(identity::verify_binding(std::move(binding), now));
    return membership::encode_entry(entry);
}

base::Result<wire::v1::Grant> Coordinator::redeem(wire::v1::JoinRequest const& request,
                                                  AuthenticatedPeer const& peer, Swarm const& swarm,
                                                  base::UnixTime now) {
    auto const entry = KITH_TRY(entry_for(request, peer, now));
    auto const binding = KITH_TRY(identity::decode_binding(base::as_bytes(request.binding())));
    auto const root_id = identity::RootId::of(binding.body.root);
    if (root_id == edges_.identity.root_id())
        return fail(Code::conflict, "the operator is a member already");
    KITH_TRY(check_not_removed(root_id));
    auto value = entry;
    bool const is_known = KITH_TRY(known_by(binding)).standing != Standing::stranger;
    bool const is_new = KITH_GUARD("P5.join_again", !is_known);
    if (is_new && keys_.size() + 1 >= membership::members_max)
        return fail(Code::too_large, "this swarm is full");
    if (!is_new) {
        // The member has it all; it may have lost it, but its place on the list stays as it is.
        KITH_TRY(update_binding(base::as_bytes(request.binding()), now));
        value = KITH_TRY(edges_.store.get(member_table, root_id.bytes)).value_or(entry);
    }
    auto const invite = KITH_TRY(edges_.store.invite_redeem(
        base::as_bytes(request.lookup_id()), root_id.bytes, now, member_table, value));
    if (is_new) {
        keys_[binding.body.operational] = root_id;
        KITH_TRY(rebuild(now));
    }
    set_addresses(peer.peer().node_id(), acceptable_addresses(request.addresses()));
    auto const record = KITH_TRY(parse_record(invite.record));
    wire::v1::Grant grant;
    grant.set_swarm_name(swarm.name);
    grant.set_certificate(base::to_text(record.certificate));
    grant.set_wrapped_secret(base::to_text(record.wrapped_secret));
    grant.set_member_list(base::to_text(encoded_));
    return grant;
}

base::Status Coordinator::check_not_removed(identity::RootId const& root) const {
    bool const removed = KITH_TRY(edges_.store.get(revocation_table, root.bytes)).has_value();
    if (!KITH_GUARD("P19.stays_out", !removed))
        return fail(Code::forbidden, "this machine was removed from this swarm for good");
    return {};
}

// The key is nobody's any more, nor is where it listened.
void Coordinator::forget_key(crypto::Ed25519PublicKey const& key) {
    keys_.erase(key);
    addresses_.erase(identity::NodeId{key});
}

base::Result<bool> Coordinator::update_binding(base::ByteView encoded, base::UnixTime now) {
    auto binding = KITH_TRY(identity::decode_binding(encoded));
    auto const root_id = identity::RootId::of(binding.body.root);
    KITH_TRY(check_not_removed(root_id));
    auto known = KITH_TRY(known_by(binding));
    if (known.standing == Standing::stranger)
        return fail(Code::forbidden, "this machine is no member of this swarm");
    if (known.standing == Standing::known && !is_behind_) return false;
    if (known.standing == Standing::known) {
        KITH_TRY(rebuild(now));
        return true;
    }
    auto const last = updated_.find(root_id);
    bool const is_soon =
        last != updated_.end() && last->second <= now &&
        base::seconds(now) < base::seconds(last->second) + binding_update_interval_s;
    if (!KITH_GUARD("E5.update_rate", !is_soon))
        return fail(Code::unavailable, "a new binding is taken once a minute; try again later");
    auto const operational = binding.body.operational;
    KITH_TRY(identity::verify_binding(std::move(binding), now));
    auto const before = std::exchange(known.entry.binding, base::to_bytes(encoded));
    KITH_TRY(edges_.store.put(member_table, root_id.bytes, membership::encode_entry(known.entry)));
    if (auto const old = identity::decode_binding(before);
        old && old->body.operational != operational)
        forget_key(old->body.operational);
    keys_[operational] = root_id;
    updated_[root_id] = now;  // of members only, so at most members_max
    KITH_TRY(rebuild(now));
    return true;
}

base::Result<wire::v1::Grant> Coordinator::refresh(wire::v1::JoinRequest const& request,
                                                   AuthenticatedPeer const& peer,
                                                   Swarm const& swarm, base::UnixTime now) {
    auto const encoded = base::as_bytes(request.binding());
    auto const binding = KITH_TRY(identity::decode_binding(encoded));
    bool const is_its_own = binding.body.operational == peer.peer().public_key();
    if (!KITH_GUARD("E4.refresh_key", is_its_own))
        return fail(Code::unauthorized, "the identity binding is not of the machine that sent it");
    // Keys that have run out may be in other hands by now.
    bool const is_current = binding.body.not_before <= now && now < binding.body.not_after;
    if (!KITH_GUARD("E5.refresh_current", is_current))
        return fail(Code::unauthorized,
                    "the identity binding is not valid now; compare the clocks of both machines");
    KITH_TRY(update_binding(encoded, now));
    set_addresses(peer.peer().node_id(), acceptable_addresses(request.addresses()));
    wire::v1::Grant grant;
    grant.set_swarm_name(swarm.name);
    if (request.have_version() != version_) grant.set_member_list(base::to_text(encoded_));
    return grant;
}

base::Status Coordinator::check_can_remove(identity::RootId const& root) const {
    if (root == edges_.identity.root_id())
        return fail(Code::invalid, "the operator cannot be removed from the swarm");
    auto const before = edges_.store.scan(revocation_table, membership::revocations_max);
    if (KITH_TRY(before).size() >= membership::revocations_max)
        return fail(Code::too_large,
                    "1024 members were removed from this swarm already; found a new one");
    return {};
}

base::Status Coordinator::remove(identity::RootId const& root, base::UnixTime now) {
    KITH_TRY(check_can_remove(root));
    membership::Revocation revocation{.root_id = root, .time = now, .signature = {}};
    auto const body = membership::revocation_body(swarm_id_, root, now);
    revocation.signature = base::to_bytes(KITH_TRY(edges_.identity.sign_root(
        identity::context::revocation, body, KITH_TRY(random_secret<32>(edges_.rng)))));
    KITH_TRY(edges_.store.put(revocation_table, root.bytes, encode_revocation(revocation)));
    KITH_TRY(edges_.store.erase(member_table, root.bytes));
    auto const key = std::ranges::find(keys_, root, [](auto const& one) { return one.second; });
    if (key != keys_.end()) forget_key(crypto::Ed25519PublicKey(key->first));
    updated_.erase(root);
    return rebuild(now);
}

wire::v1::ListReply Coordinator::answer_poll(wire::v1::ListRequest const& request,
                                             identity::NodeId const& from) {
    wire::v1::ListReply reply;
    membership::Nonce nonce{};
    if (request.nonce().size() == nonce.size())
        std::ranges::copy(base::as_bytes(request.nonce()), nonce.begin());
    auto const signature = edges_.identity.sign_operational(
        membership::fresh_statement(swarm_id_, nonce, version_, hash_));
    reply.set_fresh(base::to_text(membership::encode_fresh(nonce, version_, hash_, signature)));
    if (request.have_version() != version_) reply.set_member_list(base::to_text(encoded_));
    auto const known = addresses_.find(from);
    bool const same =
        known != addresses_.end() && std::ranges::equal(known->second, request.addresses());
    if (!same) set_addresses(from, acceptable_addresses(request.addresses()));
    add_addresses(reply);
    return reply;
}

wire::v1::ListReply Coordinator::push() const {
    wire::v1::ListReply reply;
    reply.set_push(true);
    reply.set_member_list(base::to_text(encoded_));
    add_addresses(reply);
    return reply;
}

void Coordinator::set_addresses(identity::NodeId const& node, std::vector<std::string> addresses) {
    if (addresses.empty()) return;
    if (addresses_.size() >= membership::members_max && !addresses_.contains(node)) return;
    addresses_[node] = std::move(addresses);
}

std::vector<std::string> Coordinator::addresses_of(identity::NodeId const& node) const {
    auto const found = addresses_.find(node);
    return found == addresses_.end() ? std::vector<std::string>{} : found->second;
}

void Coordinator::add_addresses(wire::v1::ListReply& reply) const {
    for (auto const& [node, addresses] : addresses_) {
        auto* member = reply.add_addresses();
        member->set_node_id(base::to_text(node.bytes));
        for (auto const& address : addresses) member->add_addresses(address);
    }
}

}  // namespace kith::node
