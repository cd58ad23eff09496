#include "proto/credit/ledger.h"

#include <doctest/doctest.h>

#include <random>
#include <vector>

#include "base/code_of.h"
#include "proto/credit/credit_test_bench.h"

using namespace kith;
using namespace kith::proto::credit;
using base::Code;
using base::code_of;

namespace {

AccountId numbered(std::uint32_t number) {
    AccountId id;
    base::store_be(id.bytes, number);
    return id;
}

}  // namespace

TEST_CASE("a payment moves its amount from one balance to the other, in the ledgers of both") {
    Bench bench;
    Ledger of_ada(bench.ada.root_id());
    Ledger of_bo(bench.bo.root_id());
    for (auto* ledger : {&of_ada, &of_bo}) {
        REQUIRE(bench.apply(*ledger, bench.payment(7, 1)).has_value());
        REQUIRE(bench.apply(*ledger, bench.payment(5, 2)).has_value());
        CHECK(ledger->balance(bench.ada.root_id()) == -12);
        CHECK(ledger->balance(bench.bo.root_id()) == 12);
        CHECK(ledger->sum() == 0);
    }
    CHECK(of_bo.find(bench.ada.root_id())->last_receipt == bench.receipt(bench.payment(5, 2)));
}

TEST_CASE("S63: a transaction is applied once, however often and in whichever ledger it is shown") {
    Bench bench;
    for (auto const& owner : {bench.ada.root_id(), bench.bo.root_id()}) {
        Ledger ledger(owner);
        REQUIRE(bench.apply(ledger, bench.payment(7, 1)).has_value());
        CHECK(code_of(bench.apply(ledger, bench.payment(7, 1))) == Code::conflict);
        // Another one under a number that was used.
        CHECK(code_of(bench.apply(ledger, bench.payment(8, 1))) == Code::conflict);
        REQUIRE(bench.apply(ledger, bench.payment(7, 2)).has_value());
        CHECK(code_of(bench.apply(ledger, bench.payment(7, 1))) == Code::conflict);
        CHECK(ledger.balance(bench.bo.root_id()) == 14);
        CHECK(ledger.sum() == 0);
    }
}

TEST_CASE("S63: of one payer no transaction is left out") {
    Bench bench;
    Ledger ledger(bench.bo.root_id());
    CHECK(code_of(bench.apply(ledger, bench.payment(7, 2))) == Code::conflict);
    REQUIRE(bench.apply(ledger, bench.payment(7, 1)).has_value());
    CHECK(code_of(bench.apply(ledger, bench.payment(7, 3))) == Code::conflict);
    CHECK(code_of(bench.apply(ledger, bench.payment(7, ~std::uint64_t{0}))) == Code::conflict);
    CHECK(bench.apply(ledger, bench.payment(7, 2)).has_value());
}

TEST_CASE("the two directions of a pair count for themselves") {
    Bench bench;
    Ledger ledger(bench.bo.root_id());
    REQUIRE(bench.apply(ledger, bench.payment(7, 1)).has_value());
    auto back = bench.payment(3, 1);
    std::swap(back.from, back.to);
    REQUIRE(bench.apply(ledger, back).has_value());
    CHECK(code_of(bench.apply(ledger, back)) == Code::conflict);
    CHECK(ledger.balance(bench.ada.root_id()) == -4);
    CHECK(ledger.find(bench.ada.root_id())->sequence_from_it == 1);
    CHECK(ledger.find(bench.ada.root_id())->sequence_to_it == 1);
}

TEST_CASE("S89: what others paid each other counts for nothing") {
    Bench bench;
    Ledger ledger(bench.eve.root_id());
    CHECK(code_of(bench.apply(ledger, bench.payment(7, 1))) == Code::forbidden);
    CHECK(ledger.balance(bench.bo.root_id()) == 0);
    CHECK(ledger.accounts().size() == 1);
}

TEST_CASE(
    "S89: fifty free keys that pay each other in a ring leave no trace in a ledger of others") {
    Bench bench;
    std::vector<identity::Identity> ring;
    for (std::uint8_t i = 0; i < 50; ++i) ring.push_back(Bench::member(100 + i));
    Ledger ledger(bench.eve.root_id());
    for (std::size_t i = 0; i < ring.size(); ++i) {
        auto const& payer = ring[i];
        auto const& payee = ring[(i + 1) % ring.size()];
        auto payment = bench.payment(amount_max, 1);
        payment.from = payer.node_id();
        payment.to = payee.node_id();
        auto const offer =
            TransactionChecker::check_offer(sign_offer(payer, payment), bench.setting());
        auto const taken =
            TransactionChecker::check(offer.value().countersign(payee), bench.setting());
        REQUIRE(taken.has_value());  // all of it is signed as it should be
        CHECK(code_of(ledger.prepare(*taken, {payer.root_id(), payee.root_id()})) ==
              Code::forbidden);
    }
    CHECK(ledger.accounts().size() == 1);
}

TEST_CASE("two keys of one member cannot pay each other") {
    Bench bench;
    Ledger ledger(bench.ada.root_id());
    auto const same = Parties{bench.ada.root_id(), bench.ada.root_id()};
    CHECK(code_of(ledger.prepare(bench.taken(bench.payment(7, 1)), same)) == Code::forbidden);
}

TEST_CASE("S63: no sum of payments passes total_max, at the limit and one past it") {
    Bench bench;
    for (auto const& owner : {bench.ada.root_id(), bench.bo.root_id()}) {
        bool const pays = owner == bench.ada.root_id();
        Ledger ledger(owner);
        Account account{.earned = pays ? total_max - 1 : 0, .spent = pays ? 0 : total_max - 1};
        REQUIRE(ledger.restore(pays ? bench.bo.root_id() : bench.ada.root_id(), account));
        CHECK(code_of(bench.apply(ledger, bench.payment(2, 1))) == Code::too_large);
        CHECK(bench.apply(ledger, bench.payment(1, 1)).has_value());
        CHECK(code_of(bench.apply(ledger, bench.payment(1, 2))) == Code::too_large);
        CHECK(ledger.sum() == 0);
    }
}

TEST_CASE("a ledger has accounts_max accounts, and one that is forgotten makes room") {
    Bench bench;
    Ledger ledger(bench.bo.root_id());
    for (std::uint32_t i = 1; i < accounts_max; ++i)
        REQUIRE(ledger.restore(numbered(i), {.earned = total_max, .spent = 0}));
    CHECK(ledger.sum() == 0);
    CHECK(code_of(ledger.restore(numbered(accounts_max), {})) == Code::too_large);
    CHECK(code_of(bench.apply(ledger, bench.payment(7, 1))) == Code::too_large);
    ledger.forget(numbered(5));
    CHECK(ledger.sum() == 0);
    CHECK(bench.apply(ledger, bench.payment(7, 1)).has_value());
    ledger.forget(bench.bo.root_id());  // nobody forgets himself
    CHECK(ledger.find(bench.bo.root_id()) != nullptr);
    CHECK(ledger.sum() == 0);
}

TEST_CASE("a stored account comes back once, and not with impossible numbers") {
    Bench bench;
    Ledger ledger(bench.bo.root_id());
    REQUIRE(ledger.restore(numbered(1), {.earned = 5, .spent = 9}));
    CHECK(ledger.balance(bench.bo.root_id()) == 4);
    CHECK(code_of(ledger.restore(numbered(1), {})) == Code::conflict);
    CHECK(code_of(ledger.restore(bench.bo.root_id(), {})) == Code::conflict);
    CHECK(code_of(ledger.restore(numbered(2), {.earned = total_max + 1})) == Code::corrupt);
    CHECK(code_of(ledger.restore(numbered(2), {.spent = ~std::uint64_t{0}})) == Code::corrupt);
    CHECK(ledger.sum() == 0);
}

TEST_CASE("whatever is paid in whatever order, the balances add up to nothing") {
    Bench bench;
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
        CAPTURE(seed);
        std::mt19937_64 random(seed);
        Ledger ledger(bench.ada.root_id());
        for (int i = 0; i < 40; ++i) {
            auto payment = bench.payment(random() % 50 + 1, random() % 8 + 1);
            identity::NodeId const members[] = {bench.ada.node_id(), bench.bo.node_id(),
                                                bench.eve.node_id()};
            payment.from = members[random() % 3];
            payment.to = members[random() % 3];
            if (payment.from == payment.to) continue;
            auto const before = ledger.accounts();
            if (!bench.apply(ledger, payment)) CHECK(ledger.accounts() == before);
            REQUIRE(ledger.sum() == 0);
        }
    }
}
