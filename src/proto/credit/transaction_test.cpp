#include "proto/credit/transaction.h"

#include <doctest/doctest.h>

#include <type_traits>

#include "base/code_of.h"
#include "proto/credit/credit_test_bench.h"

using namespace kith;
using namespace kith::proto::credit;
using base::Code;
using base::code_of;

static_assert(!std::is_default_constructible_v<VerifiedTransaction>);
static_assert(!std::is_constructible_v<VerifiedTransaction, Transaction>);
static_assert(!std::is_constructible_v<VerifiedOffer, Transaction, base::ByteView>);

TEST_CASE("S63: a transaction that both parties signed is taken as they signed it") {
    Bench bench;
    auto const receipt = bench.receipt(bench.payment(7, 1));
    CHECK(receipt.size() == receipt_bytes);
    auto const taken = TransactionChecker::check(receipt, bench.setting());
    REQUIRE(taken.has_value());
    CHECK(taken->content().amount == 7);
    CHECK(taken->content().from == bench.ada.node_id());
    CHECK(taken->content().to == bench.bo.node_id());
    CHECK(taken->encoded() == receipt);
}

TEST_CASE("S63: without the payee's signature, or with another one in its place, it is refused") {
    Bench bench;
    auto const payment = bench.payment(7, 1);
    auto const offer = sign_offer(bench.ada, payment);
    CHECK(code_of(TransactionChecker::check(offer, bench.setting())) == Code::invalid);
    auto doubled = offer;  // the payer's own signature twice
    base::append(doubled, base::ByteView(offer).last(signature_bytes));
    CHECK(code_of(TransactionChecker::check(doubled, bench.setting())) == Code::unauthorized);
    auto other = offer;  // a third member's
    base::append(other, bench.eve.sign_operational(offer));
    CHECK(code_of(TransactionChecker::check(other, bench.setting())) == Code::unauthorized);
    auto bare = offer;  // the payee's, but without its context
    base::append(bare, bench.bo.sign_operational(offer));
    CHECK(code_of(TransactionChecker::check(bare, bench.setting())) == Code::unauthorized);
}

TEST_CASE("S63: what the payer did not sign is refused, whoever signs for the payee") {
    Bench bench;
    auto offer = sign_offer(bench.ada, bench.payment(7, 1));
    offer[offer_bytes - 1] ^= 1;
    CHECK(code_of(TransactionChecker::check_offer(offer, bench.setting())) == Code::unauthorized);
    // The payee raises the amount of an offer and signs what it made of it.
    auto raised = bench.receipt(bench.payment(7, 1));
    raised[97 + 7] = 200;
    CHECK(code_of(TransactionChecker::check(raised, bench.setting())) == Code::unauthorized);
}

TEST_CASE("S63: no byte of a receipt can be changed, and none left out or added") {
    Bench bench;
    auto const receipt = bench.receipt(bench.payment(7, 1));
    for (std::size_t i = 0; i < receipt.size(); ++i) {
        auto altered = receipt;
        altered[i] ^= 0x10;
        CHECK_FALSE(TransactionChecker::check(altered, bench.setting()).has_value());
    }
    auto longer = receipt;
    longer.push_back(0);
    CHECK(code_of(TransactionChecker::check(longer, bench.setting())) == Code::invalid);
    CHECK(code_of(TransactionChecker::check(base::ByteView(receipt).first(receipt_bytes - 1),
                                            bench.setting())) == Code::invalid);
}

TEST_CASE("S63: nobody pays itself") {
    Bench bench;
    auto payment = bench.payment(7, 1);
    payment.to = payment.from;
    CHECK(code_of(bench.check_offer(payment)) == Code::invalid);
}

TEST_CASE("S63: an amount is 1 to amount_max") {
    Bench bench;
    CHECK(code_of(bench.check_offer(bench.payment(0, 1))) == Code::invalid);
    CHECK(bench.check_offer(bench.payment(1, 1)).has_value());
    CHECK(bench.check_offer(bench.payment(amount_max, 1)).has_value());
    CHECK(code_of(bench.check_offer(bench.payment(amount_max + 1, 1))) == Code::invalid);
    CHECK(code_of(bench.check_offer(bench.payment(~std::uint64_t{0}, 1))) == Code::invalid);
}

TEST_CASE("S63: a transaction may be 30 s ahead of this clock and no further, or as old as it is") {
    Bench bench;
    auto const dated = [&](std::int64_t time) {
        auto payment = bench.payment(7, 1);
        payment.time = base::UnixTime{time};
        return code_of(bench.check_offer(payment));
    };
    auto const now = base::seconds(bench.now);
    CHECK(dated(now + 30) == std::nullopt);
    CHECK(dated(now + 31) == Code::timeout);
    CHECK(dated(std::numeric_limits<std::int64_t>::max()) == Code::timeout);
    CHECK(dated(now - 86400) == std::nullopt);
    CHECK(dated(std::numeric_limits<std::int64_t>::min()) == std::nullopt);
}

TEST_CASE("S63: a transaction of another swarm is worth nothing here") {
    Bench bench;
    auto payment = bench.payment(7, 1);
    payment.swarm.fill(9);
    CHECK(code_of(bench.check_offer(payment)) == Code::invalid);
}

TEST_CASE("sequence numbers begin at 1") {
    Bench bench;
    CHECK(code_of(bench.check_offer(bench.payment(7, 0))) == Code::invalid);
}

TEST_CASE(
    "two transactions that differ in anything have different ids, and the same one the same") {
    Bench bench;
    auto const id = [&](Transaction const& payment) { return bench.check_offer(payment)->id(); };
    auto const payment = bench.payment(7, 1);
    auto other = payment;
    CHECK(id(payment) == id(other));
    other.request[15] ^= 1;
    CHECK(id(payment) != id(other));
    CHECK(id(payment) != id(bench.payment(7, 2)));
    CHECK(bench.taken(payment).id() == id(payment));
}
