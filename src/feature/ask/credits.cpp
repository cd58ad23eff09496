#include "feature/ask/credits.h"

#include <algorithm>

#include "base/sabotage.h"
#include "trust/score.h"

namespace kith::ask {

using base::Code;
using base::fail;
using identity::NodeId;
namespace credit = proto::credit;

namespace {

constexpr std::string_view credits_table = "credits";

std::uint64_t capped_sum(std::uint64_t total, std::uint64_t more) {
    auto const room = credit::total_max - std::min(total, credit::total_max);
    return total + std::min(room, more);
}

bool begins_with(base::ByteView record, base::ByteView offer) {
    return !offer.empty() && record.size() >= offer.size() &&
           base::equal(record.first(offer.size()), offer);
}

// The dispatcher has compared the sender with what the message names; the record must name the
// same.
base::Status check_named(wire::v1::CreditTransaction const& named,
                         credit::Transaction const& content) {
    bool const is_same = named.from() == base::as_text(content.from.bytes) &&
                         named.to() == base::as_text(content.to.bytes);
    if (!KITH_GUARD("S18.record", is_same))
        return fail(Code::unauthorized, "a transaction is of other parties than its message names");
    return {};
}

}  // namespace

std::uint64_t work_of(std::uint64_t tokens, wire::v1::RouteHop const& hop) {
    std::uint64_t const layers = hop.layers_end() - std::min(hop.layers_begin(), hop.layers_end());
    return tokens * (layers + (hop.does_embedding() ? 1U : 0U) + (hop.does_head() ? 1U : 0U));
}

Credits::Credits(node::Node& node) : node_(&node), ledger_(node.identity().root_id()) {}

base::Result<Credits> Credits::create(node::Node& node) {
    Credits credits(node);
    for (auto const& stored : KITH_TRY(node.store().scan(credits_table, credit::accounts_max))) {
        auto const damaged = [](std::string const& how) {
            return fail(Code::corrupt, "state.db holds an unusable balance: " + how);
        };
        AccountId id;
        if (stored.key.size() != id.bytes.size()) return damaged("it is nobody's");
        std::ranges::copy(stored.key, id.bytes.begin());
        auto row = decode_row(stored.value);
        if (!row) return damaged(row.error().message);
        if (auto const back = credits.ledger_.restore(id, std::move(row->account)); !back)
            return damaged(back.error().message);
        credits.pairs_[id] = {.owed = row->owed,
                              .unpaid = row->unpaid,
                              .request = row->request,
                              .offer = std::move(row->offer)};
    }
    return credits;
}

// ---- whose account, in which swarm

std::optional<credit::AccountId> Credits::account_of(NodeId const& node) const {
    if (node == node_->identity().node_id()) return ledger_.owner();
    auto const* list = node_->registry() != nullptr ? node_->registry()->list() : nullptr;
    auto const* member = list != nullptr ? list->find(node) : nullptr;
    if (member == nullptr) return std::nullopt;
    return member->root_id();
}

std::optional<credit::Setting> Credits::setting() const {
    if (node_->swarm() == nullptr) return std::nullopt;
    return credit::Setting{.swarm = node_->swarm()->id, .now = node_->clock().unix_now()};
}

// ---- on disk

base::Status Credits::save(AccountId const& id, credit::Account const& account,
                           Pair const& pair) const {
    return node_->store().put(credits_table, id.bytes,
                              encode_row({.account = account,
                                          .owed = pair.owed,
                                          .unpaid = pair.unpaid,
                                          .request = pair.request,
                                          .offer = pair.offer}));
}

base::Status Credits::save(AccountId const& id) const {
    auto const* const account = ledger_.find(id);
    return save(id, account != nullptr ? *account : credit::Account{}, pairs_.at(id));
}

// The row is on disk before the ledger moves and before anybody is answered.
base::Status Credits::apply(credit::VerifiedTransaction const& transaction, Pair after) {
    auto const from = account_of(transaction.content().from);
    auto const to = account_of(transaction.content().to);
    if (!from || !to) return fail(Code::forbidden, "a party of a transaction is no member");
    auto entry = KITH_TRY(ledger_.prepare(transaction, {*from, *to}));
    KITH_TRY(save(entry.counterparty(), entry.account(), after));
    after.is_saved = true;
    pairs_[entry.counterparty()] = std::move(after);
    ledger_.commit(std::move(entry));
    weights_until_ = {};
    return {};
}

// ---- paying

void Credits::owe(NodeId const& to, std::uint64_t work, credit::RequestReference const& request) {
    auto const id = account_of(to);
    if (!id || *id == ledger_.owner() || work == 0) return;
    auto& pair = pairs_[*id];
    pair.owed = capped_sum(pair.owed, work);
    pair.request = request;
    if (pair.offer.empty()) return offer_next(*id, to);
    if (auto const saved = save(*id); !saved)
        node_->log("what is owed was not saved: " + saved.error().message);
}

void Credits::offer_next(AccountId const& id, NodeId const& to) {
    auto const where = setting();
    auto& pair = pairs_[id];
    if (!where || !pair.offer.empty() || pair.owed == 0) return;
    auto const* const account = ledger_.find(id);
    auto after = pair;
    auto const amount = std::min(pair.owed, credit::amount_max);
    after.owed -= amount;
    after.offer = credit::sign_offer(
        node_->identity(), {.swarm = where->swarm,
                            .from = node_->identity().node_id(),
                            .to = to,
                            .amount = amount,
                            .sequence = (account != nullptr ? account->sequence_to_it : 0) + 1,
                            .time = where->now,
                            .request = pair.request});
    auto const saved = save(id, account != nullptr ? *account : credit::Account{}, after);
    if (!saved)
        return node_->log("a payment waits, for it was not saved: " + saved.error().message);
    pair = std::move(after);
    send_offer(id, to);
}

void Credits::send_offer(AccountId const& id, NodeId const& to) {
    auto const where = setting();
    auto& pair = pairs_[id];
    if (!where || pair.offer.empty()) return;
    auto const offer = credit::TransactionChecker::check_offer(pair.offer, *where);
    if (!offer && offer.error().code == Code::timeout) return;  // our clock was set back
    bool const fits =
        offer && offer->content().to == to && offer->content().from == node_->identity().node_id();
    if (fits) return send(to, offer->content(), pair.offer);
    // One of the two has other keys by now: the same debt again, under the same number.
    if (offer) pair.owed = capped_sum(pair.owed, offer->content().amount);
    pair.offer.clear();
    offer_next(id, to);
}

void Credits::send(NodeId const& to, credit::Transaction const& content, base::ByteView record) {
    wire::v1::Control control;
    auto* transaction = control.mutable_credit_transaction();
    transaction->set_from(base::to_text(content.from.bytes));
    transaction->set_to(base::to_text(content.to.bytes));
    transaction->set_record(base::to_text(record));
    (void)node_->send(to, control);  // without a session: at the next one
}

void Credits::note_served(NodeId const& asker, std::uint64_t work) {
    auto const id = account_of(asker);
    if (!id || *id == ledger_.owner()) return;
    auto& pair = pairs_[*id];
    pair.unpaid = capped_sum(pair.unpaid, work);
    pair.is_saved = false;
}

// ---- what members say

void Credits::on_control(node::AuthenticatedControl const& message, base::Instant now) {
    if (!setting()) return;
    auto const heard =
        message->has_credit_transaction() ? on_transaction(message, now) : on_report(message);
    if (heard) return;
    auto const& error = heard.error();
    auto const& sender = message.sender();
    if (error.code == Code::unauthorized)
        return node_->note_fault(trust::Fault::bad_signature, sender, error.message, now);
    if (error.code == Code::invalid)
        return node_->note_fault(trust::Fault::nonsense_content, sender, error.message, now);
    // An honest member says such things too, after a crash or with a clock that is wrong.
    if (auto const times = refusals_.note(sender))
        node_->log("member " + sender.to_short() + ", credit refused " + std::to_string(*times) +
                   ": " + error.message);
}

base::Status Credits::on_transaction(node::AuthenticatedControl const& message, base::Instant now) {
    auto const& named = message->credit_transaction();
    auto const record = base::as_bytes(named.record());
    if (record.size() == credit::offer_bytes) {
        auto const offer = KITH_TRY(credit::TransactionChecker::check_offer(record, *setting()));
        KITH_TRY(check_named(named, offer.content()));
        return on_offer(message.sender(), offer, now);
    }
    auto const transaction = KITH_TRY(credit::TransactionChecker::check(record, *setting()));
    KITH_TRY(check_named(named, transaction.content()));
    return on_receipt(transaction);
}

base::Status Credits::on_offer(NodeId const& sender, credit::VerifiedOffer const& offer,
                               base::Instant now) {
    auto const& content = offer.content();
    auto const id = account_of(sender);
    if (content.from != sender || content.to != node_->identity().node_id() || !id)
        return fail(Code::forbidden, "an offer of credit is not of its sender to this node");
    auto& pair = pairs_[*id];
    if (now >= pair.minute_began + std::chrono::minutes(1)) {
        pair.minute_began = now;
        pair.offers_taken = 0;
    }
    if (pair.offers_taken >= offers_per_minute_max)
        return fail(Code::too_large, "a member pays too often");
    ++pair.offers_taken;
    auto const* const known = ledger_.find(*id);
    if (known != nullptr && begins_with(known->last_receipt, offer.encoded())) {
        send(sender, content, known->last_receipt);  // the answer before was lost
        return {};
    }
    auto const receipt = offer.countersign(node_->identity());
    auto const transaction = KITH_TRY(credit::TransactionChecker::check(receipt, *setting()));
    auto after = pair;
    after.unpaid -= std::min(after.unpaid, content.amount);
    KITH_TRY(apply(transaction, std::move(after)));
    send(sender, content, receipt);
    node_->note_transaction(sender, transaction.id(), now);
    return {};
}

base::Status Credits::on_receipt(credit::VerifiedTransaction const& transaction) {
    auto const& content = transaction.content();
    auto const from = account_of(content.from);
    auto const to = account_of(content.to);
    if (!from || !to) return fail(Code::forbidden, "a party of a transaction is no member");
    // What others paid each other, and what we took ourselves: the ledger says no to both.
    if (*from != ledger_.owner()) return apply(transaction, pairs_[*from]);
    auto after = pairs_[*to];
    if (!begins_with(transaction.encoded(), after.offer)) {
        auto const* const known = ledger_.find(*to);
        if (known != nullptr && content.sequence <= known->sequence_to_it) return {};  // twice
        return fail(Code::conflict, "a receipt answers no offer of this node");
    }
    after.offer.clear();
    KITH_TRY(apply(transaction, std::move(after)));
    offer_next(*to, content.to);
    return {};
}

base::Status Credits::on_report(node::AuthenticatedControl const& message) {
    auto const report = KITH_TRY(credit::ReportChecker::check(
        base::as_bytes(message->credit_gossip().record()), *setting()));
    bool const is_own = report.content().node == message.sender();
    if (!KITH_GUARD("S41.node", is_own))
        return fail(Code::unauthorized, "a balance report is of another node than its message");
    KITH_TRY(reports_.take(report));
    return {};
}

// ---- from time to time

void Credits::on_peer_up(NodeId const& peer) {
    if (auto const id = account_of(peer); id && pairs_.contains(*id)) {
        send_offer(*id, peer);
        offer_next(*id, peer);
    }
}

void Credits::on_deadline(base::Instant now) {
    if (now < beat_at_) return;
    beat_at_ = now + credit_beat;
    auto const* list = node_->registry() != nullptr ? node_->registry()->list() : nullptr;
    if (list == nullptr) return;
    forget_former_members();
    for (auto& [id, pair] : pairs_) {
        auto const* const member = list->find(id);
        if (member != nullptr && node_->is_ready(member->node_id())) on_peer_up(member->node_id());
        if (!pair.is_saved) pair.is_saved = save(id).has_value();
    }
    report(now);
}

void Credits::report(base::Instant now) {
    auto const where = setting();
    auto const* const own = ledger_.find(ledger_.owner());
    if (!where || (own->earned == 0 && own->spent == 0)) return;  // nothing to tell
    wire::v1::Control control;
    auto* gossip = control.mutable_credit_gossip();
    gossip->set_node_id(base::to_text(node_->identity().node_id().bytes));
    gossip->set_record(
        base::to_text(credit::sign_report(node_->identity(), {.swarm = where->swarm,
                                                              .node = node_->identity().node_id(),
                                                              .time = where->now,
                                                              .earned = own->earned,
                                                              .spent = own->spent})));
    node_->broadcast(control, now);
}

// Who was removed is removed for good.
void Credits::forget_former_members() {
    auto const& list = *node_->registry()->list();
    std::erase_if(pairs_, [&](auto const& entry) {
        if (list.find(entry.first) != nullptr) return false;
        ledger_.forget(entry.first);
        if (auto const erased = node_->store().erase(credits_table, entry.first.bytes); !erased)
            node_->log("a balance was not erased: " + erased.error().message);
        return true;
    });
    reports_.keep([&](NodeId const& node) { return list.find(node) != nullptr; });
}

// ---- what follows

std::int64_t Credits::balance(NodeId const& node) const {
    auto const id = account_of(node);
    return id ? ledger_.balance(*id) : 0;
}

std::int64_t Credits::standing(NodeId const& node) const {
    auto const id = account_of(node);
    auto const pair = id ? pairs_.find(*id) : pairs_.end();
    auto const unpaid = pair == pairs_.end() ? std::uint64_t{0} : pair->second.unpaid;
    return balance(node) - static_cast<std::int64_t>(unpaid);
}

std::optional<std::int64_t> Credits::reported(NodeId const& node) const {
    auto const* const report = reports_.find(node);
    auto const now = base::seconds(node_->clock().unix_now());
    if (report == nullptr || base::seconds(report->time) < now - credit::report_age_max)
        return std::nullopt;
    return report->balance();
}

std::uint32_t Credits::weight(NodeId const& node, base::Instant now) {
    if (now >= weights_until_) weigh(now);
    auto const known = weights_.find(node);
    return known == weights_.end() ? 0 : known->second;
}

void Credits::weigh(base::Instant now) {
    weights_until_ = now + weights_live;
    weights_.clear();
    auto const* list = node_->registry() != nullptr ? node_->registry()->list() : nullptr;
    if (list == nullptr) return;
    std::vector<std::int64_t> standings;
    for (auto const& member : list->members())
        if (member.root_id() != ledger_.owner()) standings.push_back(standing(member.node_id()));
    for (auto const& member : list->members()) {
        auto const node = member.node_id();
        weights_[node] = trust::scheduling_weight(
            trust::balance_percentile(standing(node), standings), node_->trust_in(node));
    }
}

}  // namespace kith::ask
