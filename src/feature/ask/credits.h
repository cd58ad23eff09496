// feature/ask/credits.h: who computed for whom, and what follows from it: this node pays the
// members that computed its questions, takes what members pay it, and weighs members by what it
// saw.
//
// After a question the asker owes each stage holder tokens times layers. One offer to a member is
// under way at a time; what is owed meanwhile goes into the next one.
//
//   owed --offer stored, then sent--> offered --receipt of the payee--> paid (both ledgers moved)
//                                        | no answer: said again each credit_beat, and at each
//                                        | new session, until it is answered
//
// The payee stores what it takes before it answers, and answers the same offer again with the same
// receipt; so a lost message or a crash at any place neither loses a payment nor doubles it.
//
// What a member weighs (C14, S39): the percentile of its standing among the members, times (0.5 +
// trust). Its standing is its balance in this node's own ledger less what this node computed for it
// without being paid: so who does not pay stands no better than who pays. What members say of
// their balances (CreditGossip) is shown and decides nothing (S89).
//
// A payment that is taken lifts the trust in its payer (S34). The payee's trust comes from the
// answer itself (S33).
//
// Limits: a row per member, offers_per_minute_max taken from one member, one report a credit_beat.
#pragma once

#include <map>
#include <optional>

#include "feature/ask/credit_row.h"
#include "feature/ask/refusal_log.h"
#include "node/node.h"
#include "proto/credit/report.h"
#include "schema/wire.pb.h"

namespace kith::ask {

inline constexpr base::Duration credit_beat = std::chrono::seconds(60);
inline constexpr std::size_t offers_per_minute_max = 60;  // each costs a write and a signature
// Members are weighed anew after this time.
inline constexpr base::Duration weights_live = std::chrono::seconds(1);

// Tokens times layers; an end of the model, embedding or head, counts as one layer.
std::uint64_t work_of(std::uint64_t tokens, wire::v1::RouteHop const& hop);

class Credits {
public:
    // `node` outlives it. Code::corrupt: what is stored is damaged; it is not silently begun anew,
    // since that would forget debts.
    static base::Result<Credits> create(node::Node& node);

    // This node's question `request` had `work` (tokens times layers) done by a member.
    void owe(identity::NodeId const& to, std::uint64_t work,
             proto::credit::RequestReference const& request);
    // This node did `work` for a member that asked for it itself.
    void note_served(identity::NodeId const& asker, std::uint64_t work);

    // A CreditTransaction or CreditGossip.
    void on_control(node::AuthenticatedControl const& message, base::Instant now);
    void on_peer_up(identity::NodeId const& peer);
    [[nodiscard]] base::Instant deadline() const { return beat_at_; }
    void on_deadline(base::Instant now);

    // Earned less spent, in this node's ledger. Its own is with all members together.
    [[nodiscard]] std::int64_t balance(identity::NodeId const& node) const;
    [[nodiscard]] std::int64_t standing(identity::NodeId const& node) const;
    // What the node says its balance is, as long as that is fresh.
    [[nodiscard]] std::optional<std::int64_t> reported(identity::NodeId const& node) const;
    // 0 to 1'500'000; trust::scheduling_weight().
    [[nodiscard]] std::uint32_t weight(identity::NodeId const& node, base::Instant now);
    [[nodiscard]] proto::credit::Ledger const& ledger() const { return ledger_; }

private:
    using AccountId = proto::credit::AccountId;
    struct Pair {  // what the ledger does not hold of the row
        std::uint64_t owed = 0;
        std::uint64_t unpaid = 0;
        proto::credit::RequestReference request{};
        base::Bytes offer;
        bool is_saved = true;
        base::Instant minute_began{};
        std::size_t offers_taken = 0;  // since then
    };

    explicit Credits(node::Node& node);
    [[nodiscard]] std::optional<AccountId> account_of(identity::NodeId const& node) const;
    [[nodiscard]] std::optional<proto::credit::Setting> setting() const;
    base::Status save(AccountId const& id, proto::credit::Account const& account,
                      Pair const& pair) const;
    base::Status save(AccountId const& id) const;
    base::Status apply(proto::credit::VerifiedTransaction const& transaction, Pair after);

    void offer_next(AccountId const& id, identity::NodeId const& to);
    void send_offer(AccountId const& id, identity::NodeId const& to);
    base::Status on_transaction(node::AuthenticatedControl const& message, base::Instant now);
    base::Status on_offer(identity::NodeId const& sender, proto::credit::VerifiedOffer const& offer,
                          base::Instant now);
    base::Status on_receipt(proto::credit::VerifiedTransaction const& transaction);
    base::Status on_report(node::AuthenticatedControl const& message);
    void send(identity::NodeId const& to, proto::credit::Transaction const& content,
              base::ByteView record);
    void report(base::Instant now);
    void forget_former_members();
    void weigh(base::Instant now);

    node::Node* node_;
    proto::credit::Ledger ledger_;
    std::map<AccountId, Pair> pairs_;
    proto::credit::ReportBook reports_;
    std::map<identity::NodeId, std::uint32_t> weights_;
    base::Instant weights_until_{};
    base::Instant beat_at_{};
    RefusalLog refusals_;
};

}  // namespace kith::ask
