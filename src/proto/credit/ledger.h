// proto/credit/ledger.h: who has computed how much for whom, as its owner saw it.
//
// A ledger belongs to one member and takes only transactions in which the owner is a party (S89):
// what others say that they paid each other costs them nothing, so it counts for nothing here. In
// this ledger a balance rises only by work that the owner asked for and paid with its own
// signature.
//
// An account belongs to a root (identity/ids.h), so that a member that exchanges its keys keeps it.
//
// Invariants: 1. the sum of all balances is 0 (sum()). 2. of one payer the transactions come in
// order: the sequence is the next one, never one that was there, never one beyond a gap. 3. at most
// accounts_max accounts, no total above total_max. 4. nothing but commit(), restore() and forget()
// changes it.
//
// Sans-IO: an entry is prepared, stored by the caller, then committed.
#pragma once

#include <map>

#include "base/bytes.h"
#include "base/result.h"
#include "identity/ids.h"
#include "proto/credit/transaction.h"

namespace kith::proto::credit {

using AccountId = identity::RootId;

inline constexpr std::size_t accounts_max = 1024;  // members of a swarm, the owner included
// Of one account, in each direction. 1024 of them still fit the sum.
inline constexpr std::uint64_t total_max = 900'000'000'000'000;

struct Account {
    std::uint64_t earned = 0;
    std::uint64_t spent = 0;
    // Of the last transaction with the owner; 0: none yet. The owner's own account has neither.
    std::uint64_t sequence_to_it = 0;    // the owner paid
    std::uint64_t sequence_from_it = 0;  // it paid
    base::Bytes last_receipt;            // of the last one that it paid, to be said again

    [[nodiscard]] std::int64_t balance() const {
        return static_cast<std::int64_t>(earned) - static_cast<std::int64_t>(spent);
    }
    bool operator==(Account const&) const = default;
};

// The members behind the two keys of a transaction, as the member list says.
struct Parties {
    AccountId from;
    AccountId to;
};

// A transaction that fits a ledger, and what it makes of the account of the owner's counterparty.
class Entry {
public:
    [[nodiscard]] AccountId const& counterparty() const { return counterparty_; }
    [[nodiscard]] Account const& account() const { return after_; }

private:
    friend class Ledger;
    Entry() = default;
    AccountId counterparty_;
    Account after_;
    Parties parties_;
    std::uint64_t amount_ = 0;
    std::uint64_t generation_ = 0;  // of the ledger that it fits
};

class Ledger {
public:
    explicit Ledger(AccountId const& owner);

    // Changes nothing. Code::forbidden: the owner is no party, or both are one member.
    // Code::conflict: applied already, or not the next one of its payer. Code::too_large: a total
    // would pass total_max, or there is no room for another account.
    [[nodiscard]] base::Result<Entry> prepare(VerifiedTransaction const& transaction,
                                              Parties const& parties) const;
    // Asserts that the ledger has not changed since the entry was prepared.
    void commit(Entry entry);

    // An account as it was stored. Code::corrupt: its numbers are impossible. Code::too_large: at
    // accounts_max. Code::conflict: the account is there, or is the owner's.
    base::Status restore(AccountId const& id, Account account);
    // A member that is gone for good takes its balance, and the owner's share in it, along.
    void forget(AccountId const& id);

    [[nodiscard]] AccountId const& owner() const { return owner_; }
    [[nodiscard]] Account const* find(AccountId const& id) const;
    [[nodiscard]] std::int64_t balance(AccountId const& id) const;  // 0 where there is no account
    [[nodiscard]] std::map<AccountId, Account> const& accounts() const { return accounts_; }
    [[nodiscard]] std::int64_t sum() const;  // always 0

private:
    AccountId owner_;
    std::map<AccountId, Account> accounts_;  // with the owner's
    std::uint64_t generation_ = 0;
};

}  // namespace kith::proto::credit
