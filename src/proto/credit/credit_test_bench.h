// Three members, a swarm and a time.
#pragma once

#include <doctest/doctest.h>

#include "proto/credit/ledger.h"
#include "proto/credit/report.h"
#include "proto/credit/transaction.h"

namespace kith::proto::credit {

struct Bench {
    static identity::Identity member(std::uint8_t seed) {
        base::ByteArray<identity::identity_random_bytes> random;
        random.fill(seed);
        return identity::Identity::create(crypto::Secret<identity::identity_random_bytes>(random),
                                          base::UnixTime{1'800'000'000})
            .value();
    }
    [[nodiscard]] Setting setting() const { return {.swarm = swarm, .now = now}; }
    [[nodiscard]] Transaction payment(std::uint64_t amount, std::uint64_t sequence) const {
        return {.swarm = swarm,
                .from = ada.node_id(),
                .to = bo.node_id(),
                .amount = amount,
                .sequence = sequence,
                .time = now,
                .request = {3}};
    }
    // Signed by the payer, whoever of the three that is.
    [[nodiscard]] base::Result<VerifiedOffer> check_offer(Transaction const& payment) const {
        return TransactionChecker::check_offer(sign_offer(of(payment.from), payment), setting());
    }
    [[nodiscard]] base::Bytes receipt(Transaction const& payment) const {
        return check_offer(payment).value().countersign(of(payment.to));
    }
    [[nodiscard]] VerifiedTransaction taken(Transaction const& payment) const {
        return TransactionChecker::check(receipt(payment), setting()).value();
    }
    [[nodiscard]] identity::Identity const& of(identity::NodeId const& node) const {
        if (node == ada.node_id()) return ada;
        return node == bo.node_id() ? bo : eve;
    }
    [[nodiscard]] Parties parties(Transaction const& payment) const {
        return {of(payment.from).root_id(), of(payment.to).root_id()};
    }
    // Prepared and committed.
    base::Status apply(Ledger& ledger, Transaction const& payment) const {
        ledger.commit(KITH_TRY(ledger.prepare(taken(payment), parties(payment))));
        return {};
    }

    identity::Identity ada = member(1), bo = member(2), eve = member(3);
    SwarmId swarm{1};
    base::UnixTime now{1'800'000'000};
};

}  // namespace kith::proto::credit
