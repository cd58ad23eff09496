#include "node/peers/reputation.h"

#include "crypto/hash.h"
#include "wire/writer.h"

namespace kith::node {
namespace {

constexpr std::string_view trust_table = "trust";
constexpr std::string_view event_tag = "kith/trust-event/v1";

base::ByteView current_key() {
    return base::as_bytes("current");
}

trust::EventId event_id(identity::NodeId const& peer, trust::TrustEvent kind, base::ByteView what) {
    wire::Writer writer;
    writer.bytes(base::as_bytes(event_tag))
        .u8(static_cast<std::uint8_t>(kind))
        .bytes(peer.bytes)
        .bytes(what);
    return crypto::sha256(writer.view());
}

}  // namespace

base::Result<Reputation> Reputation::create(ports::Store& store, ports::Clock const& clock,
                                            base::Instant now) {
    trust::Moment const moment{now, clock.unix_now()};
    auto const stored = KITH_TRY(store.get(trust_table, current_key()));
    if (!stored) return Reputation(trust::TrustManager(moment), store, clock);
    auto manager = trust::TrustManager::import_state(*stored, moment);
    if (!manager)
        return base::fail(base::Code::corrupt,
                          "state.db holds unusable trust scores: " + manager.error().message);
    return Reputation(std::move(*manager), store, clock);
}

trust::Counted Reputation::record(identity::NodeId const& peer, trust::TrustEvent kind,
                                  base::ByteView what,
                                  std::optional<trust::PeerKey> const& counterparty,
                                  base::Instant now) {
    auto const counted = manager_.record(peer.bytes,
                                         {.kind = kind,
                                          .id = event_id(peer, kind, what),
                                          .at = clock_->unix_now(),
                                          .counterparty = counterparty},
                                         moment(now));
    if (counted == trust::Counted::yes) is_saved_ = false;
    return counted;
}

trust::Counted Reputation::note(identity::NodeId const& peer, trust::TrustEvent kind,
                                base::ByteView what, base::Instant now) {
    return record(peer, kind, what, {}, now);
}

trust::Counted Reputation::note_transaction(identity::NodeId const& peer,
                                            identity::NodeId const& counterparty,
                                            base::ByteView what, base::Instant now) {
    return record(peer, trust::TrustEvent::valid_transaction, what, counterparty.bytes, now);
}

void Reputation::charge(trust::Fault fault, identity::NodeId const& sender,
                        std::optional<identity::NodeId> const& origin, base::Instant now) {
    auto const blamed = trust::blame(
        fault, sender.bytes,
        origin ? std::optional<trust::PeerKey>(origin->bytes) : std::optional<trust::PeerKey>());
    base::ByteArray<8> number;
    base::store_be(number, ++charges_count_);
    note(identity::NodeId{blamed.peer}, blamed.event, number, now);
}

void Reputation::set_connected(identity::NodeId const& peer, base::Instant now) {
    manager_.set_connected(peer.bytes, moment(now));
}

void Reputation::set_disconnected(identity::NodeId const& peer) {
    manager_.set_disconnected(peer.bytes);
}

void Reputation::carry_over(identity::NodeId const& from, identity::NodeId const& to) {
    manager_.carry_over(from.bytes, to.bytes);
    is_saved_ = false;
}

trust::Score Reputation::score(identity::NodeId const& peer) const {
    return manager_.score(peer.bytes);
}

base::Status Reputation::save(base::Instant now) {
    if (manager_.advance(moment(now))) is_saved_ = false;
    if (is_saved_) return {};
    KITH_TRY(store_->put(trust_table, current_key(), manager_.export_state(moment(now))));
    is_saved_ = true;
    return {};
}

}  // namespace kith::node
