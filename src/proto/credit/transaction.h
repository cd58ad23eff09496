// proto/credit/transaction.h: one payment for computed layers, signed by both of its parties (S63).
//
//   offer    signed by the payer: "I pay you this for that request"
//   receipt  the offer, and the signature of the payee over both: "taken"
//
// Layout (big endian): version u8 = 1, swarm 32, from 32, to 32, amount u64, sequence u64, unix
// time i64, request 16: the body. Then the payer's Ed25519 signature 64 over "kith/credit-offer/v1"
// || body, and in a receipt the payee's signature 64 over "kith/credit-receipt/v1" || body || the
// payer's signature. So neither signature is of use in the place of the other one, in another swarm
// or for anything else that these keys sign.
//
// The id of a transaction is a hash of its body: two that differ anywhere have different ids, and
// nobody can use an id twice. `sequence` counts the transactions from one payer to one payee from
// 1, without gaps; the ledger holds them to it (proto/credit/ledger.h).
//
// Pure: time and swarm are arguments.
#pragma once

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "identity/identity.h"
#include "identity/node_id.h"

namespace kith::proto::credit {

using SwarmId = base::ByteArray<32>;
using RequestReference = base::ByteArray<16>;  // of the question that is paid for
using TransactionId = base::ByteArray<16>;

inline constexpr std::size_t body_bytes = 1 + 3 * 32 + 8 + 8 + 8 + 16;
inline constexpr std::size_t signature_bytes = 64;
inline constexpr std::size_t offer_bytes = body_bytes + signature_bytes;
inline constexpr std::size_t receipt_bytes = offer_bytes + signature_bytes;
// Tokens times layers. The longest question (131,072 tokens through 1,000 layers) is 1.3e8.
inline constexpr std::uint64_t amount_max = 1'000'000'000'000;
inline constexpr std::int64_t transaction_future_max = 30;  // s, as everywhere (C23)

struct Transaction {
    SwarmId swarm{};
    identity::NodeId from;
    identity::NodeId to;
    std::uint64_t amount = 0;    // 1 to amount_max
    std::uint64_t sequence = 0;  // from 1
    base::UnixTime time{};
    RequestReference request{};
};

// What a transaction is judged by.
struct Setting {
    SwarmId swarm{};
    base::UnixTime now{};
};

// The payer's half. Asserts that the identity is the payer.
base::Bytes sign_offer(identity::Identity const& payer, Transaction const& transaction);

// Rules and the payer's signature hold; the payee has not agreed yet. Changes no ledger.
class VerifiedOffer {
public:
    [[nodiscard]] Transaction const& content() const { return content_; }
    [[nodiscard]] TransactionId const& id() const { return id_; }
    [[nodiscard]] base::Bytes const& encoded() const { return encoded_; }
    // The receipt. Asserts that the identity is the payee.
    [[nodiscard]] base::Bytes countersign(identity::Identity const& payee) const;

private:
    friend class TransactionChecker;
    VerifiedOffer(Transaction content, base::ByteView encoded);
    Transaction content_;
    base::Bytes encoded_;
    TransactionId id_;
};

// Both signatures hold: the only thing a ledger takes.
class VerifiedTransaction {
public:
    [[nodiscard]] Transaction const& content() const { return content_; }
    [[nodiscard]] TransactionId const& id() const { return id_; }
    [[nodiscard]] base::Bytes const& encoded() const { return encoded_; }

private:
    friend class TransactionChecker;
    VerifiedTransaction(VerifiedOffer const& offer, base::ByteView encoded)
        : content_(offer.content()), encoded_(base::to_bytes(encoded)), id_(offer.id()) {}
    Transaction content_;
    base::Bytes encoded_;
    TransactionId id_;
};

class TransactionChecker {
public:
    // Code::invalid: not an offer, or it breaks a rule that its signer knew (another swarm, a
    // transfer to oneself, an amount of zero or above amount_max, sequence 0). Code::unauthorized:
    // a signature fails. Code::timeout: dated in the future. There is no age limit: the sequence
    // stops replays, and a payee may have been away for long.
    static base::Result<VerifiedOffer> check_offer(base::ByteView record, Setting const& setting);
    static base::Result<VerifiedTransaction> check(base::ByteView record, Setting const& setting);
};

}  // namespace kith::proto::credit
