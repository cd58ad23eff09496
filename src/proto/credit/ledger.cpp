#include "proto/credit/ledger.h"

#include <utility>

#include "base/check.h"
#include "base/sabotage.h"

namespace kith::proto::credit {

using base::Code;
using base::fail;

namespace {

bool has_room(std::uint64_t total, std::uint64_t amount) {
    return amount <= total_max && total <= total_max - amount;
}

base::Status check_sequence(std::uint64_t sequence, std::uint64_t last) {
    if (!KITH_GUARD("S63.not_replayed", sequence > last))
        return fail(Code::conflict, "a transaction was applied already");
    if (!KITH_GUARD("S63.no_gap", sequence == last + 1 || sequence <= last))
        return fail(Code::conflict, "a transaction is not the next one of its payer");
    return {};
}

}  // namespace

Ledger::Ledger(AccountId const& owner) : owner_(owner) {
    accounts_.try_emplace(owner);
}

base::Result<Entry> Ledger::prepare(VerifiedTransaction const& transaction,
                                    Parties const& parties) const {
    auto const& content = transaction.content();
    if (parties.from == parties.to)
        return fail(Code::forbidden, "both parties of a transaction are one member");
    bool const is_own = parties.from == owner_ || parties.to == owner_;
    if (!KITH_GUARD("S89.own_party", is_own))
        return fail(Code::forbidden, "a transaction of others counts for nothing here");
    bool const owner_pays = parties.from == owner_;
    Entry entry;
    entry.counterparty_ = owner_pays ? parties.to : parties.from;
    entry.parties_ = parties;
    entry.amount_ = content.amount;
    entry.generation_ = generation_;
    auto const* const known = find(entry.counterparty_);
    if (known == nullptr && accounts_.size() >= accounts_max)
        return fail(Code::too_large, "the ledger has no room for another member");
    if (known != nullptr) entry.after_ = *known;
    auto& after = entry.after_;
    KITH_TRY(check_sequence(content.sequence,
                            owner_pays ? after.sequence_to_it : after.sequence_from_it));
    auto& total = owner_pays ? after.earned : after.spent;
    if (!KITH_GUARD("S63.overflow", has_room(total, content.amount)))
        return fail(Code::too_large, "a balance would pass every measure");
    total += content.amount;
    (owner_pays ? after.sequence_to_it : after.sequence_from_it) = content.sequence;
    if (!owner_pays) after.last_receipt = transaction.encoded();
    return entry;
}

void Ledger::commit(Entry entry) {
    KITH_ASSERT(entry.generation_ == generation_);
    ++generation_;
    auto const other =
        entry.counterparty_ == entry.parties_.from ? entry.parties_.to : entry.parties_.from;
    accounts_[entry.counterparty_] = std::move(entry.after_);
    auto& account = accounts_[other];  // the owner's
    (other == entry.parties_.from ? account.spent : account.earned) += entry.amount_;
}

base::Status Ledger::restore(AccountId const& id, Account account) {
    if (account.earned > total_max || account.spent > total_max)
        return fail(Code::corrupt, "a stored balance is impossible");
    if (accounts_.size() >= accounts_max)
        return fail(Code::too_large, "the ledger has no room for another member");
    if (accounts_.contains(id)) return fail(Code::conflict, "a stored account is there already");
    ++generation_;
    auto& own = accounts_[owner_];
    own.earned += account.spent;
    own.spent += account.earned;
    accounts_.emplace(id, std::move(account));
    return {};
}

void Ledger::forget(AccountId const& id) {
    auto const found = accounts_.find(id);
    if (found == accounts_.end() || id == owner_) return;
    ++generation_;
    auto& own = accounts_[owner_];
    own.earned -= found->second.spent;
    own.spent -= found->second.earned;
    accounts_.erase(found);
}

Account const* Ledger::find(AccountId const& id) const {
    auto const found = accounts_.find(id);
    return found == accounts_.end() ? nullptr : &found->second;
}

std::int64_t Ledger::balance(AccountId const& id) const {
    auto const* const account = find(id);
    return account == nullptr ? 0 : account->balance();
}

std::int64_t Ledger::sum() const {
    std::int64_t sum = 0;
    for (auto const& [id, account] : accounts_) sum += account.balance();
    return sum;
}

}  // namespace kith::proto::credit
