#include "proto/credit/transaction.h"

#include <algorithm>

#include "base/check.h"
#include "base/sabotage.h"
#include "crypto/ed25519.h"
#include "crypto/hash.h"
#include "identity/contexts.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace kith::proto::credit {

using base::Code;
using base::fail;

namespace {

constexpr std::uint8_t record_version = 1;

base::Bytes transcript(std::string_view context, base::ByteView record) {
    auto message = base::to_bytes(base::as_bytes(context));
    base::append(message, record);
    return message;
}

bool is_signed_by(identity::NodeId const& node, std::string_view context, base::ByteView record,
                  base::ByteView signature) {
    crypto::Ed25519Signature bytes;
    KITH_ASSERT(signature.size() == bytes.size());
    std::ranges::copy(signature, bytes.begin());
    return crypto::ed25519_verify(node.bytes, transcript(context, record), bytes);
}

base::Result<Transaction> parse_body(base::ByteView body) {
    wire::Reader reader(body);
    if (KITH_TRY(reader.u8()) != record_version)
        return fail(Code::invalid, "a transaction is of another version");
    Transaction transaction;
    transaction.swarm = KITH_TRY(reader.array<32>());
    transaction.from.bytes = KITH_TRY(reader.array<32>());
    transaction.to.bytes = KITH_TRY(reader.array<32>());
    transaction.amount = KITH_TRY(reader.u64());
    transaction.sequence = KITH_TRY(reader.u64());
    transaction.time = base::UnixTime{static_cast<std::int64_t>(KITH_TRY(reader.u64()))};
    transaction.request = KITH_TRY(reader.array<16>());
    KITH_TRY(reader.expect_end());
    return transaction;
}

base::Status check_rules(Transaction const& transaction, Setting const& setting) {
    if (!KITH_GUARD("S63.swarm", transaction.swarm == setting.swarm))
        return fail(Code::invalid, "a transaction is of another swarm");
    if (!KITH_GUARD("S63.self_transfer", transaction.from != transaction.to))
        return fail(Code::invalid, "a transaction pays its own payer");
    bool const is_amount = transaction.amount > 0 && transaction.amount <= amount_max;
    if (!KITH_GUARD("S63.amount", is_amount))
        return fail(Code::invalid, "a transaction has an impossible amount");
    if (transaction.sequence == 0)
        return fail(Code::invalid, "a transaction has an impossible sequence number");
    bool const is_now =
        base::seconds(transaction.time) <= base::seconds(setting.now) + transaction_future_max;
    if (!KITH_GUARD("S63.future", is_now))
        return fail(Code::timeout, "a transaction is dated in the future");
    return {};
}

}  // namespace

base::Bytes sign_offer(identity::Identity const& payer, Transaction const& transaction) {
    KITH_ASSERT(payer.node_id() == transaction.from);
    wire::Writer writer;
    writer.u8(record_version)
        .bytes(transaction.swarm)
        .bytes(transaction.from.bytes)
        .bytes(transaction.to.bytes)
        .u64(transaction.amount)
        .u64(transaction.sequence)
        .u64(static_cast<std::uint64_t>(base::seconds(transaction.time)))
        .bytes(transaction.request);
    auto const signature =
        payer.sign_operational(transcript(identity::context::credit_offer, writer.view()));
    return writer.bytes(signature).take();
}

VerifiedOffer::VerifiedOffer(Transaction content, base::ByteView encoded)
    : content_(content), encoded_(base::to_bytes(encoded)) {
    auto const hash = crypto::sha256(encoded.first(body_bytes));
    std::copy_n(hash.begin(), id_.size(), id_.begin());
}

base::Bytes VerifiedOffer::countersign(identity::Identity const& payee) const {
    KITH_ASSERT(payee.node_id() == content_.to);
    auto receipt = encoded_;
    base::append(receipt,
                 payee.sign_operational(transcript(identity::context::credit_receipt, encoded_)));
    return receipt;
}

base::Result<VerifiedOffer> TransactionChecker::check_offer(base::ByteView record,
                                                            Setting const& setting) {
    if (record.size() != offer_bytes)
        return fail(Code::invalid, "an offer of credit has the wrong size");
    auto const body = record.first(body_bytes);
    auto const transaction = KITH_TRY(parse_body(body));
    bool const is_signed = is_signed_by(transaction.from, identity::context::credit_offer, body,
                                        record.subspan(body_bytes));
    if (!KITH_GUARD("S63.payer_signature", is_signed))
        return fail(Code::unauthorized, "a transaction is not signed by its payer");
    KITH_TRY(check_rules(transaction, setting));
    return VerifiedOffer(transaction, record);
}

base::Result<VerifiedTransaction> TransactionChecker::check(base::ByteView record,
                                                            Setting const& setting) {
    if (record.size() != receipt_bytes)
        return fail(Code::invalid, "a receipt of credit has the wrong size");
    auto const offer = KITH_TRY(check_offer(record.first(offer_bytes), setting));
    bool const is_signed = is_signed_by(offer.content().to, identity::context::credit_receipt,
                                        record.first(offer_bytes), record.subspan(offer_bytes));
    if (!KITH_GUARD("S63.payee_signature", is_signed))
        return fail(Code::unauthorized, "a transaction is not signed by its payee");
    return VerifiedTransaction(offer, record);
}

}  // namespace kith::proto::credit
