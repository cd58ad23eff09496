// What a member can do with credit: in whose name it pays, what it claims, and what it gains.
#include <doctest/doctest.h>

#include <algorithm>

#include "hostile.h"
#include "proto/credit/report.h"
#include "trust/score.h"

using namespace kith;
using namespace kith::adversary;
using namespace std::chrono_literals;
namespace credit = proto::credit;

namespace {

constexpr ask::PrivacyFlags boomerang{.local_embedding_privacy = true, .encrypted_pipeline = true};

wire::v1::Control transaction(identity::NodeId const& from, identity::NodeId const& to,
                              base::ByteView record) {
    wire::v1::Control control;
    control.mutable_credit_transaction()->set_from(base::to_text(from.bytes));
    control.mutable_credit_transaction()->set_to(base::to_text(to.bytes));
    control.mutable_credit_transaction()->set_record(base::to_text(record));
    return control;
}

// A judge, an honest member, and a hostile one with a session to the judge.
struct Market {
    SwarmBench bench;
    Machine& judge = bench.add_operator();
    Machine& ada = bench.add_member(judge);
    Hostile mallory{bench};

    Market() {
        mallory.join(judge, bench.invite(judge));
        mallory.open_session(judge);
        REQUIRE(mallory.session_ready());
    }
    [[nodiscard]] credit::Transaction payment(identity::Identity const& from,
                                              identity::Identity const& to, std::uint64_t amount,
                                              std::uint64_t sequence) const {
        return {.swarm = judge.node->swarm()->id,
                .from = from.node_id(),
                .to = to.node_id(),
                .amount = amount,
                .sequence = sequence,
                .time = bench.clock.unix_now(),
                .request = {}};
    }
    // An offer of mallory to the judge, in a message that says so.
    void pay(std::uint64_t amount, std::uint64_t sequence) {
        auto const offer = credit::sign_offer(
            mallory.identity, payment(mallory.identity, judge.identity, amount, sequence));
        mallory.send(transaction(mallory.identity.node_id(), judge.identity.node_id(), offer));
    }
    [[nodiscard]] base::Bytes receipt(identity::Identity const& from, identity::Identity const& to,
                                      std::uint64_t amount, std::uint64_t sequence) const {
        auto const offer = credit::sign_offer(from, payment(from, to, amount, sequence));
        return credit::TransactionChecker::check_offer(
                   offer, {.swarm = judge.node->swarm()->id, .now = bench.clock.unix_now()})
            .value()
            .countersign(to);
    }
    void report(identity::Identity const& of, identity::NodeId const& claimed,
                std::int64_t offset) {
        auto const record = credit::sign_report(
            of, {.swarm = judge.node->swarm()->id,
                 .node = of.node_id(),
                 .time = base::UnixTime{base::seconds(bench.clock.unix_now()) + offset},
                 .earned = 1'000'000,
                 .spent = 0});
        wire::v1::Control control;
        control.mutable_credit_gossip()->set_node_id(base::to_text(claimed.bytes));
        control.mutable_credit_gossip()->set_record(base::to_text(record));
        mallory.send(control);
    }
    [[nodiscard]] ask::Credits const& credits() const { return judge.ask->credits(); }
    [[nodiscard]] double trust_in(identity::Identity const& who) const {
        return judge.node->trust_in(who.node_id()).to_double();
    }
    [[nodiscard]] std::vector<base::Bytes> receipts() const {
        std::vector<base::Bytes> found;
        for (auto const& control : mallory.controls)
            if (control.has_credit_transaction())
                found.push_back(
                    base::to_bytes(base::as_bytes(control.credit_transaction().record())));
        return found;
    }
};

}  // namespace

TEST_CASE(
    "S18: a transaction that its sender is no party of is dropped and costs the sender 0.20") {
    Market market;
    auto const before = market.credits().ledger().accounts();
    auto const offer = credit::sign_offer(
        market.ada.identity, market.payment(market.ada.identity, market.judge.identity, 7, 1));
    market.mallory.send(
        transaction(market.ada.identity.node_id(), market.judge.identity.node_id(), offer));
    CHECK(market.trust_in(market.mallory.identity) == doctest::Approx(0.3));
    CHECK(market.credits().ledger().accounts() == before);
    CHECK(market.trust_in(market.ada.identity) == 0.5);
    CHECK(market.receipts().empty());
}

TEST_CASE("S18: a record of other parties than the message names costs the sender 0.20") {
    Market market;
    auto const before = market.credits().ledger().accounts();
    auto const offer = credit::sign_offer(
        market.ada.identity, market.payment(market.ada.identity, market.judge.identity, 7, 1));
    market.mallory.send(
        transaction(market.mallory.identity.node_id(), market.judge.identity.node_id(), offer));
    CHECK(market.trust_in(market.mallory.identity) == doctest::Approx(0.3));
    CHECK(market.credits().ledger().accounts() == before);
    CHECK(market.trust_in(market.ada.identity) == 0.5);
}

TEST_CASE("S63: a payment is taken once, and the same answer is given each time it is sent again") {
    Market market;
    for (int i = 0; i < 3; ++i) market.pay(7, 1);
    CHECK(market.credits().balance(market.mallory.identity.node_id()) == -7);
    CHECK(market.credits().balance(market.judge.identity.node_id()) == 7);
    auto const receipts = market.receipts();
    REQUIRE(receipts.size() == 3);
    CHECK(receipts[0] == receipts[1]);
    CHECK(receipts[1] == receipts[2]);
    market.pay(9, 1);  // another one under the same number, and one beyond a gap
    market.pay(9, 3);
    CHECK(market.credits().balance(market.mallory.identity.node_id()) == -7);
    market.mallory.send(transaction(market.mallory.identity.node_id(),
                                    market.judge.identity.node_id(), receipts[0]));
    CHECK(market.credits().balance(market.mallory.identity.node_id()) == -7);
    CHECK(market.credits().ledger().sum() == 0);
    CHECK(market.receipts().size() == 3);
}

TEST_CASE(
    "S63: what the payer has not signed so does not reach the ledger, and costs who sent it") {
    Market market;
    auto offer =
        credit::sign_offer(market.mallory.identity,
                           market.payment(market.mallory.identity, market.judge.identity, 7, 1));
    offer.back() ^= 1;
    auto const self = market.mallory.identity.node_id();
    auto const to = market.judge.identity.node_id();
    market.mallory.send(transaction(self, to, offer));
    CHECK(market.trust_in(market.mallory.identity) == doctest::Approx(0.3));
    CHECK(market.credits().ledger().accounts().size() == 1);
    CHECK(market.receipts().empty());
}

TEST_CASE("S63: a receipt whose second signature is another's does not reach the ledger") {
    Market market;
    // The judge owes mallory nothing; it signs a receipt as if it did.
    auto record = market.receipt(market.mallory.identity, market.ada.identity, 7, 1);
    std::ranges::copy(market.mallory.identity.sign_operational(record),
                      record.end() - credit::signature_bytes);
    market.mallory.send(
        transaction(market.mallory.identity.node_id(), market.ada.identity.node_id(), record));
    CHECK(market.trust_in(market.mallory.identity) == doctest::Approx(0.3));
    CHECK(market.credits().ledger().accounts().size() == 1);
}

TEST_CASE("S34: a payment lifts its payer by 0.02 once, and many small ones by less than 0.04") {
    Market market;
    market.pay(1, 1);
    CHECK(market.trust_in(market.mallory.identity) == doctest::Approx(0.52));
    market.pay(1, 1);
    CHECK(market.trust_in(market.mallory.identity) == doctest::Approx(0.52));
    for (std::uint64_t sequence = 2; sequence <= 30; ++sequence) market.pay(1, sequence);
    CHECK(market.credits().balance(market.mallory.identity.node_id()) == -30);
    CHECK(market.trust_in(market.mallory.identity) < 0.54);
}

TEST_CASE("S63: a member that pays too often is not answered until the minute is over") {
    Market market;
    for (std::uint64_t i = 1; i <= ask::offers_per_minute_max + 1; ++i) market.pay(1, i);
    CHECK(market.receipts().size() == ask::offers_per_minute_max);
    market.bench.run_for(61s);
    market.mallory.open_session(market.judge);
    REQUIRE(market.mallory.session_ready());
    market.pay(1, ask::offers_per_minute_max + 1);
    REQUIRE(market.receipts().size() == 1);  // in the new session
    CHECK(market.credits().balance(market.judge.identity.node_id()) ==
          ask::offers_per_minute_max + 1);
}

TEST_CASE("S89: members that pay each other gain no standing with somebody who was no party") {
    Market market;
    Hostile eve(market.bench, 123);
    eve.join(market.judge, market.bench.invite(market.judge));
    market.bench.run_for(1s);
    auto const self = market.mallory.identity.node_id();
    for (std::uint64_t sequence = 1; sequence <= 5; ++sequence)
        market.mallory.send(transaction(
            eve.identity.node_id(), self,
            market.receipt(eve.identity, market.mallory.identity, credit::amount_max, sequence)));
    CHECK(market.credits().balance(self) == 0);
    CHECK(market.credits().standing(self) == 0);
    CHECK(market.credits().ledger().accounts().size() == 1);
    // What it says of itself changes nothing either.
    market.report(market.mallory.identity, self, 0);
    CHECK(market.credits().reported(self) == 1'000'000);
    CHECK(market.credits().standing(self) == 0);
    auto credits = ask::Credits::create(*market.judge.node).value();
    auto const now = market.bench.clock.now();
    CHECK(credits.weight(self, now) <= credits.weight(market.ada.identity.node_id(), now));
}

TEST_CASE("S41: a report counts only in the message, and with the signature, of its node") {
    Market market;
    auto const ada = market.ada.identity.node_id();
    market.report(market.ada.identity, market.mallory.identity.node_id(), 0);
    CHECK_FALSE(market.credits().reported(ada).has_value());
    CHECK(market.trust_in(market.mallory.identity) == doctest::Approx(0.3));
    market.report(market.ada.identity, ada, 0);  // S19: and in her name
    CHECK_FALSE(market.credits().reported(ada).has_value());
    CHECK(market.trust_in(market.mallory.identity) == doctest::Approx(0.1));
    CHECK(market.trust_in(market.ada.identity) == 0.5);
}

TEST_CASE("S42: a report that is five minutes old is shown, an older one and one ahead are not") {
    Market market;
    auto const self = market.mallory.identity.node_id();
    for (auto const offset : {-301, 31, 300}) {
        market.report(market.mallory.identity, self, offset);
        CHECK_FALSE(market.credits().reported(self).has_value());
    }
    market.report(market.mallory.identity, self, -300);
    CHECK(market.credits().reported(self).has_value());
    market.bench.skip(2s);
    CHECK_FALSE(market.credits().reported(self).has_value());
}

TEST_CASE("S39: less trust, or a lower balance, weighs less") {
    Market market;
    auto credits = ask::Credits::create(*market.judge.node).value();
    auto const weight = [&](identity::Identity const& who) {
        market.bench.skip(ask::weights_live);
        return credits.weight(who.node_id(), market.bench.clock.now());
    };
    CHECK(weight(market.mallory.identity) == weight(market.ada.identity));
    CHECK(weight(market.ada.identity) == 1'000'000);
    // Something in another's name.
    market.report(market.ada.identity, market.ada.identity.node_id(), 0);
    CHECK(weight(market.mallory.identity) < weight(market.ada.identity));
    credits.note_served(market.ada.identity.node_id(), 5);  // and not paid for
    CHECK(credits.standing(market.ada.identity.node_id()) == -5);
    CHECK(weight(market.mallory.identity) == doctest::Approx(800'000).epsilon(0.01));
    CHECK(weight(market.ada.identity) == doctest::Approx(500'000).epsilon(0.01));
    CHECK(weight(new_identity(market.judge.rng, {})) == 0);  // no member
}

TEST_CASE("S39: a busy machine computes more for who stands better with it, and for others too") {
    Market market;
    market.bench.add_model(market.judge);
    auto const model = market.judge.ask->models().at(0).id;
    Hostile rich(market.bench, 123);
    rich.join(market.judge, market.bench.invite(market.judge));
    rich.open_session(market.judge);
    REQUIRE(rich.session_ready());
    auto& poor = market.mallory;
    auto const to = market.judge.identity.node_id();
    auto const step = [&](Hostile const& asker, char id, std::uint32_t number) {
        auto made = forward_to(asker.identity.node_id(), to, model, 0, 1);
        made.mutable_forward()->set_request_id(std::string(16, id));
        made.mutable_forward()->set_step(number);
        made.mutable_forward()->set_position(number);
        return made;
    };
    auto const content = [&](wire::v1::StageMessage const& message) {
        return seal_content(message.forward(), market.judge.identity.static_public_key(),
                            base::Bytes(64 * 4));
    };
    // It had something computed that it did not pay, and spoke in another's name, twice.
    poor.send(step(poor, 'a', 0), content(step(poor, 'a', 0)));
    REQUIRE(poor.activations.size() == 1);
    for (int i = 0; i < 2; ++i)
        market.report(market.ada.identity, market.ada.identity.node_id(), 0);
    market.bench.run_for(ask::weights_live);
    // Both ask for eight steps, the poor one first.
    for (auto* asker : {&poor, &rich})
        for (std::uint32_t i = 0; i < ask::forwards_waiting_max; ++i)
            asker->queue(step(*asker, 'b', i), content(step(*asker, 'b', i)));
    auto const deliver = [&] {
        while (market.bench.network.step(market.bench.clock.now())) {
        }
    };
    deliver();
    for (int i = 0; i < 9; ++i) REQUIRE(market.judge.pool.run_one());
    deliver();
    // Two of the poor one's were under way before the rich one's came; then 5 of 7.
    CHECK(rich.activations.size() == 5);
    CHECK(poor.activations.size() == 1 + 4);
    market.bench.settle();
    CHECK(rich.activations.size() == ask::forwards_waiting_max);
    CHECK(poor.activations.size() == 1 + ask::forwards_waiting_max);
}

TEST_CASE(
    "S63: after an answer each machine that computed is paid tokens times layers, in both "
    "ledgers") {
    Boomerang route(boomerang);
    auto const answer = route.bench.ask(route.asker, "who computes this?", 3);
    REQUIRE(answer.finished.has_value());
    route.bench.settle();
    // The last token is not computed on.
    std::int64_t const tokens =
        answer.finished->prompt_tokens + answer.finished->completion_tokens - 1;
    auto const asker = route.asker.identity.node_id();
    for (auto* machine : {&route.first, &route.second}) {
        auto const node = machine->identity.node_id();
        CHECK(route.asker.ask->credits().balance(node) == 2 * tokens);
        CHECK(machine->ask->credits().balance(node) == 2 * tokens);
        CHECK(machine->ask->credits().balance(asker) == -2 * tokens);
        CHECK(machine->ask->credits().standing(asker) == -2 * tokens);  // nothing is unpaid
        CHECK(machine->ask->credits().ledger().sum() == 0);
        CHECK(machine->node->trust_in(asker).to_double() == doctest::Approx(0.52));
        // What S33 gives, and no more.
        CHECK(route.asker.node->trust_in(node).to_double() == doctest::Approx(0.51));
        // What is on disk says the same.
        auto const again = ask::Credits::create(*machine->node);
        REQUIRE(again.has_value());
        CHECK(again->ledger().accounts() == machine->ask->credits().ledger().accounts());
    }
    CHECK(route.asker.ask->credits().balance(asker) == -4 * tokens);
    CHECK(route.asker.ask->credits().ledger().sum() == 0);
    // Told to everybody, signed.
    route.bench.run_for(2 * ask::credit_beat);
    CHECK(route.second.ask->credits().reported(asker) == -4 * tokens);
    CHECK(route.asker.ask->credits().reported(route.first.identity.node_id()) == 2 * tokens);
}

TEST_CASE(
    "S63: a payment that could not be delivered is made once the member is back, and only once") {
    Boomerang route(boomerang);
    auto const second = route.second.identity.node_id();
    bool cut = false;
    // The answer arrives, the receipt does not.
    route.asker.recorder.on_result = [&](node::AuthenticatedActivation const&) {
        if (!std::exchange(cut, true)) route.bench.network.unplug(route.second.address);
    };
    (void)route.bench.ask(route.asker, "one token", 1);
    CHECK(route.second.ask->credits().balance(second) == 0);
    route.bench.network.plug(route.second.address);
    REQUIRE(route.bench.run_until([&] { return route.asker.ask->credits().balance(second) != 0; },
                                  180s));
    route.bench.run_for(2 * ask::credit_beat);
    CHECK(route.second.ask->credits().balance(second) > 0);
    CHECK(route.asker.ask->credits().balance(second) ==
          route.second.ask->credits().balance(second));
    CHECK(route.asker.ask->credits().ledger().sum() == 0);
}

TEST_CASE(
    "S63: a member that exchanges its keys keeps its balance, and is paid on under the new ones") {
    Boomerang route(boomerang);
    auto const balance = [&] {
        return route.asker.ask->credits().balance(route.first.identity.node_id());
    };
    REQUIRE(route.bench.ask(route.asker, "before", 1).finished.has_value());
    auto const before = balance();
    CHECK(before > 0);
    REQUIRE(route.first.node->rotate_identity(route.bench.clock.now()).has_value());
    REQUIRE(route.bench.run_until(
        [&] {
            auto const renewed = route.first.identity.node_id();
            return route.asker.node->is_ready(renewed) && route.second.node->is_ready(renewed) &&
                   !route.asker.ask->serving(renewed).empty();
        },
        120s));
    CHECK(balance() == before);
    REQUIRE(route.bench.ask(route.asker, "after", 1).finished.has_value());
    CHECK(balance() > before);
    CHECK(route.first.ask->credits().balance(route.first.identity.node_id()) == balance());
}

TEST_CASE("S63: who is removed takes its balance along, and what is left adds up to nothing") {
    Market market;
    market.pay(7, 1);
    auto const id = market.mallory.identity.root_id();
    REQUIRE(market.judge.store->get("credits", id.bytes).value().has_value());
    REQUIRE(market.judge.node
                ->kick(market.mallory.identity.node_id().to_hex(), market.bench.clock.now())
                .has_value());
    market.bench.run_for(ask::credit_beat);
    CHECK(market.credits().ledger().accounts().size() == 1);
    CHECK(market.credits().balance(market.judge.identity.node_id()) == 0);
    CHECK_FALSE(market.judge.store->get("credits", id.bytes).value().has_value());
}

TEST_CASE("S63: a balance that was damaged on disk is not silently begun anew") {
    Market market;
    market.pay(7, 1);
    auto const id = market.mallory.identity.root_id();
    auto row = market.judge.store->get("credits", id.bytes).value().value();
    CHECK(ask::Credits::create(*market.judge.node).has_value());
    row[3] ^= 1;
    REQUIRE(market.judge.store->put("credits", id.bytes, row).has_value());
    auto const damaged = ask::Credits::create(*market.judge.node);
    REQUIRE_FALSE(damaged.has_value());
    CHECK(damaged.error().code == base::Code::corrupt);
}
