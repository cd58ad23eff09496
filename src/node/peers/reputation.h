// node/peers/reputation.h: the trust scores of this node's peers, kept across restarts.
//
// Scores change in memory at once and reach the store at the next save(), which Node calls every
// housekeeping_interval: so a member that floods this node with offences causes two writes a
// second, and a crash forgets half a second of them at most.
#pragma once

#include "identity/node_id.h"
#include "ports/clock.h"
#include "ports/store.h"
#include "trust/trust_manager.h"

namespace kith::node {

class Reputation {
public:
    // Both outlive it. Code::corrupt: what is stored is damaged; it is not silently begun anew,
    // since that would wash every penalised peer clean.
    static base::Result<Reputation> create(ports::Store& store, ports::Clock const& clock,
                                           base::Instant now);

    // `what` tells this event from every other of its kind and peer (a request id, a counter).
    trust::Counted note(identity::NodeId const& peer, trust::TrustEvent kind, base::ByteView what,
                        base::Instant now);
    // S34: a transaction of the peer with `counterparty` was verified and applied.
    trust::Counted note_transaction(identity::NodeId const& peer,
                                    identity::NodeId const& counterparty, base::ByteView what,
                                    base::Instant now);
    // Charges whoever must answer for a bad message; every call is an event of its own.
    void charge(trust::Fault fault, identity::NodeId const& sender,
                std::optional<identity::NodeId> const& origin, base::Instant now);
    void set_connected(identity::NodeId const& peer, base::Instant now);
    void set_disconnected(identity::NodeId const& peer);
    // Who exchanged its keys keeps its score, good or bad.
    void carry_over(identity::NodeId const& from, identity::NodeId const& to);
    [[nodiscard]] trust::Score score(identity::NodeId const& peer) const;

    // Lets time pass and writes what has changed since the last save.
    base::Status save(base::Instant now);

private:
    trust::Counted record(identity::NodeId const& peer, trust::TrustEvent kind, base::ByteView what,
                          std::optional<trust::PeerKey> const& counterparty, base::Instant now);
    Reputation(trust::TrustManager manager, ports::Store& store, ports::Clock const& clock)
        : manager_(std::move(manager)), store_(&store), clock_(&clock) {}
    [[nodiscard]] trust::Moment moment(base::Instant now) const {
        return {now, clock_->unix_now()};
    }

    trust::TrustManager manager_;
    ports::Store* store_;
    ports::Clock const* clock_;
    std::uint64_t charges_count_ = 0;
    bool is_saved_ = true;
};

}  // namespace kith::node
