#include "node/membership/joiner.h"

#include "base/sabotage.h"
#include "base/text.h"
#include "proto/membership/epoch.h"
#include "proto/membership/registry.h"
#include "proto/membership/secret_wrap.h"
#include "wire/multiaddr.h"

namespace kith::node {

using base::Code;
using base::fail;
namespace membership = proto::membership;

namespace {
// A peer's code is only a hint for the sentence; unknown numbers become a plain refusal.
Code code_from(std::uint32_t value) {
    auto const code = static_cast<Code>(value);
    return value <= static_cast<std::uint32_t>(Code::internal) ? code : Code::forbidden;
}

constexpr std::size_t shown_bytes_max = 200;  // of what the coordinator says

}  // namespace

base::Result<crypto::Secret<32>> open_epoch_secret(wire::v1::EpochSecret const& offered,
                                                   identity::Identity const& self,
                                                   membership::SwarmId const& swarm_id,
                                                   identity::RootPublicKey const& operator_root) {
    return membership::open_epoch({.swarm_id = swarm_id,
                                   .epoch = offered.epoch(),
                                   .root_id = self.root_id(),
                                   .static_key = self.static_public_key()},
                                  self.static_private_key(), operator_root,
                                  {.signature = base::as_bytes(offered.signature()),
                                   .sealed = base::as_bytes(offered.sealed())});
}

Joiner::Joiner(membership::Token token, base::Instant now)
    : token_(std::move(token)), started_(now), reader_(join_reply_bytes_max) {}

std::optional<ports::SocketAddress> Joiner::next_address() {
    while (next_ < token_.addresses.size()) {
        auto const parsed = wire::Multiaddr::from_text(token_.addresses[next_++]);
        if (!parsed) continue;
        if (auto const endpoint = parsed->tcp_endpoint())
            return ports::SocketAddress{endpoint->ip, endpoint->port};
    }
    return std::nullopt;
}

base::Bytes Joiner::request(identity::Identity const& identity,
                            std::vector<std::string> const& addresses) const {
    auto const keys = membership::derive_token_keys(token_.seed);
    auto const binding = identity::encode(identity.binding());
    auto const signature = keys.invite_key.sign(
        membership::join_statement(token_.swarm_id, keys.lookup_id, identity.root_id()));
    wire::v1::JoinRequest request;
    request.set_lookup_id(base::to_text(keys.lookup_id));
    request.set_binding(base::to_text(binding));
    request.set_statement_signature(base::to_text(signature));
    for (auto const& address : addresses) request.add_addresses(address);
    base::Bytes framed;
    wire::append_frame(framed, base::as_bytes(request.SerializeAsString()));
    return framed;
}

base::Result<std::optional<JoinOutcome>> Joiner::feed(base::ByteView bytes,
                                                      identity::Identity const& self,
                                                      base::UnixTime now) {
    auto const frame = KITH_TRY(reader_.next(bytes));
    if (!frame) return std::optional<JoinOutcome>{};
    wire::v1::JoinReply reply;
    if (!reply.ParseFromArray(frame->data(), static_cast<int>(frame->size())))
        return fail(Code::invalid, "the coordinator's answer is malformed");
    if (reply.has_refusal())
        return fail(code_from(reply.refusal().code()),
                    "the coordinator refuses: " +
                        base::one_line(reply.refusal().sentence(), shown_bytes_max) +
                        "; ask for a new invite");
    if (!reply.has_grant()) return fail(Code::invalid, "the coordinator's answer is empty");
    return std::optional<JoinOutcome>(KITH_TRY(check_grant(reply.grant(), self, now)));
}

// Nothing in the grant is believed because of who sent it: the token names the operator's root, the
// root signed the certificate, and only the token opens the secret.
base::Result<JoinOutcome> Joiner::check_grant(wire::v1::Grant const& grant,
                                              identity::Identity const& self,
                                              base::UnixTime now) const {
    auto const keys = membership::derive_token_keys(token_.seed);
    JoinOutcome outcome;
    outcome.swarm.id = token_.swarm_id;
    outcome.swarm.name = base::one_line(grant.swarm_name(), shown_bytes_max);
    outcome.swarm.operator_root = token_.operator_root;
    outcome.swarm.coordinator = token_.coordinator;
    outcome.swarm.coordinator_addresses = token_.addresses;
    KITH_TRY(check_swarm_name(outcome.swarm.name));

    membership::ListChecker checker(outcome.swarm.anchors());
    auto const list =
        KITH_TRY(checker.check(base::to_bytes(base::as_bytes(grant.member_list())), now));
    auto const head = KITH_TRY(identity::decode_binding(list.document().operator_binding));
    auto const certificate = KITH_TRY(membership::check_certificate(
        base::as_bytes(grant.certificate()), head.body.root, token_.swarm_id));
    if (!KITH_GUARD("P25.certificate", certificate->lookup_id == keys.lookup_id))
        return fail(Code::unauthorized,
                    "the coordinator answered with another invite's certificate");
    outcome.swarm.secret = KITH_TRY(membership::unwrap_secret(
        keys.wrap_key, token_.swarm_id, base::as_bytes(grant.wrapped_secret())));
    // The invite has the secret of the day it was made; a later one is sealed for this machine.
    if (grant.has_epoch_secret()) {
        outcome.swarm.secret = KITH_TRY(
            open_epoch_secret(grant.epoch_secret(), self, token_.swarm_id, head.body.root));
        outcome.swarm.epoch = grant.epoch_secret().epoch();
    }
    outcome.list = list.encoded();
    return outcome;
}

}  // namespace kith::node
