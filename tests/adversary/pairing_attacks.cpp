// Peers outside the swarm: which links stay up, what is remembered of them, and what is said when
// one is refused.
#include <doctest/doctest.h>

#include <algorithm>
#include <deque>

#include "base/code_of.h"
#include "hostile.h"

using namespace kith;
using namespace kith::adversary;
using namespace std::chrono_literals;
using base::Code;
using trust::PairFailure;
using trust::Policy;

namespace {

std::string multiaddr_of(Address const& address) {
    return node::address_text(address);
}

// A machine under a policy of its own, in no swarm.
struct Loner {
    SwarmBench bench;
    Machine& machine;
    std::uint64_t next_accepted = 1'000'001;

    explicit Loner(node::TrustOptions const& trust) : machine(bench.add_machine({}, trust)) {}
    explicit Loner(Policy policy) : Loner(node::TrustOptions{.policy = policy, .allow_list = {}}) {}

    base::Result<identity::NodeId> pair(std::string const& address) {
        std::optional<base::Result<identity::NodeId>> outcome;
        machine.node->pair(
            address, [&](base::Result<identity::NodeId> result) { outcome = std::move(result); },
            bench.clock.now());
        bench.run_until([&] { return outcome.has_value(); }, 30s);
        REQUIRE(outcome.has_value());
        return *outcome;
    }
    [[nodiscard]] std::vector<node::PairFailed> const& failures() const {
        return machine.node->pairing().failures();
    }
    [[nodiscard]] std::vector<std::pair<base::Bytes, base::Bytes>> pins() const {
        std::vector<std::pair<base::Bytes, base::Bytes>> rows;
        auto const stored = machine.store->scan("pins", 10'000);
        REQUIRE(stored.has_value());
        for (auto const& row : *stored) rows.emplace_back(row.key, row.value);
        return rows;
    }
    // An inbound connection without a network around it: what it sent back.
    base::Bytes accept(std::string const& ip, base::ByteView bytes) {
        ports::ConnectionId const id{next_accepted};
        next_accepted += 2;
        machine.node->on_accepted(id, {ip, 40'000}, bench.clock.now());
        if (!bytes.empty()) machine.node->on_bytes(id, bytes, bench.clock.now());
        base::Bytes out;
        while (machine.node->poll_transmit(id, out, bench.clock.now())) {
        }
        while (machine.node->poll_output()) {
        }
        return out;
    }
};

// Something that listens, answers every connection with the same bytes, and never says more.
class Impostor final : public ports::NetworkCore {
public:
    explicit Impostor(base::Bytes answer) : answer_(std::move(answer)) {}
    void on_accepted(ports::ConnectionId id, ports::SocketAddress, base::Instant) override {
        if (!answer_.empty()) outputs_.push_back(ports::Transmit{id});
    }
    void on_connected(ports::ConnectionId, base::Instant) override {}
    void on_bytes(ports::ConnectionId, base::ByteView, base::Instant) override {}
    void on_closed(ports::ConnectionId, base::Error, base::Instant) override {}
    void on_deadline(base::Instant) override {}
    bool poll_transmit(ports::ConnectionId, base::Bytes& out, base::Instant) override {
        auto const some = std::exchange(answer_, {});
        base::append(out, some);
        return !some.empty();
    }
    std::optional<ports::NetworkOutput> poll_output() override {
        if (outputs_.empty()) return std::nullopt;
        auto const output = outputs_.front();
        outputs_.pop_front();
        return output;
    }
    [[nodiscard]] std::optional<base::Instant> deadline() const override { return std::nullopt; }

private:
    base::Bytes answer_;
    std::deque<ports::NetworkOutput> outputs_;
};

base::Bytes multistream(std::string const& protocol) {
    base::Bytes bytes;
    wire::append_frame(bytes, base::as_bytes("/multistream/1.0.0\n"));
    if (!protocol.empty()) wire::append_frame(bytes, base::as_bytes(protocol + "\n"));
    return bytes;
}

}  // namespace

TEST_CASE("M10: an address keeps the key it had first, and another one there is refused loudly") {
    Loner loner(Policy::tofu);
    Hostile friendly(loner.bench, 71);
    auto const address = multiaddr_of(friendly.address);
    auto const paired = loner.pair(address);
    REQUIRE(paired.has_value());
    CHECK(*paired == friendly.identity.node_id());
    CHECK(loner.pins().size() == 1);
    REQUIRE(loner.pair(address).has_value());  // again: the same key
    CHECK(loner.pins().size() == 1);

    auto const before = loner.pins();
    loner.bench.network.detach(friendly.address, loner.bench.clock.now());
    Hostile mallory(loner.bench, 72);
    mallory.listen_at(friendly.address);
    auto const refused = loner.pair(address);
    REQUIRE(base::code_of(refused) == Code::forbidden);
    CHECK(refused.error().message.find("STOP") != std::string::npos);
    CHECK(refused.error().message.find("man-in-the-middle") != std::string::npos);
    CHECK(loner.pins() == before);
    REQUIRE(loner.failures().size() == 1);
    CHECK(loner.failures()[0].reason == PairFailure::untrusted_peer);
    CHECK(loner.failures()[0].peer == mallory.identity.node_id());
    CHECK(loner.failures()[0].sentence.starts_with("STOP"));
}

TEST_CASE(
    "M10: whatever does not finish the handshake leaves the pins byte for byte as they were") {
    Loner loner(Policy::tofu);
    Hostile friendly(loner.bench, 71);
    REQUIRE(loner.pair(multiaddr_of(friendly.address)).has_value());
    auto const before = loner.pins();
    REQUIRE(before.size() == 1);
    std::uint64_t number = 0;
    for (auto const& bytes :
         {base::Bytes{}, base::Bytes{0xff, 0xff}, multistream(""), multistream("/noise"),
          multistream("/plaintext/2.0.0"), base::Bytes(3000, 0x41)}) {
        loner.accept(friendly.address.ip, bytes);  // dialling in from the pinned host
        Address const at{"10.8.0." + std::to_string(++number), 8810};
        Impostor impostor(bytes);
        loner.bench.network.attach(at, impostor, [] {});
        CHECK_FALSE(loner.pair(multiaddr_of(at)).has_value());
        loner.bench.network.detach(at, loner.bench.clock.now());
        CHECK(loner.pins() == before);
    }
    // Half a Noise handshake, from a peer that is real.
    auto offer = multistream("/noise");
    base::append(offer, base::Bytes{0, 32});
    base::append(offer, base::Bytes(32, 9));
    loner.accept("10.8.1.1", offer);
    loner.bench.run_for(10s);
    CHECK(loner.pins() == before);
}

TEST_CASE("M10: pins outlive the process") {
    Loner loner(Policy::tofu);
    Hostile friendly(loner.bench, 71);
    REQUIRE(loner.pair(multiaddr_of(friendly.address)).has_value());
    auto const again = node::Node::create({.identity = loner.machine.identity,
                                           .rng = loner.machine.rng,
                                           .clock = loner.bench.clock,
                                           .store = *loner.machine.store,
                                           .secrets = loner.machine.secrets,
                                           .log = [](std::string const&) {},
                                           .trust = {.policy = Policy::tofu, .allow_list = {}}},
                                          loner.bench.clock.now());
    REQUIRE(again.has_value());
    CHECK((*again)->pairing().pinned() == std::vector{friendly.identity.node_id()});
}

TEST_CASE("M11: under allow_list only whole ids count, and only theirs are let in") {
    SeededRng rng(71);
    auto const listed = new_identity(rng, base::UnixTime{1'800'000'000});
    auto const id = listed.node_id().to_hex();
    for (auto const& near : {id.substr(0, 16), id.substr(0, 63), id + "0", std::string(),
                             std::string("*"), "g" + id.substr(1), " " + id})
        CHECK_FALSE(node::parse_allow_list({near}).has_value());
    CHECK(node::parse_allow_list({id, id, listed.peer_id().to_text()})->size() == 1);
    CHECK(node::parse_allow_list({})->empty());
    CHECK(node::parse_allow_list(std::vector(node::allow_list_max, id)).has_value());
    CHECK(base::code_of(node::parse_allow_list(std::vector(node::allow_list_max + 1, id))) ==
          Code::too_large);

    auto one_bit_off = listed.node_id();
    one_bit_off.bytes[31] ^= 1;
    for (auto const& list :
         {std::vector<std::string>{}, std::vector{one_bit_off.to_hex()}, std::vector{id}}) {
        Loner loner(node::TrustOptions{.policy = Policy::allow_list, .allow_list = list});
        Hostile peer(loner.bench, 71);
        REQUIRE(peer.identity.node_id() == listed.node_id());
        bool const is_listed = !list.empty() && list.front() == id;
        CHECK(loner.pair(multiaddr_of(peer.address)).has_value() == is_listed);
        Hostile other(loner.bench, 72);
        auto& visit = other.visit(loner.machine, std::string(node::protocol_peer));
        loner.bench.run_for(1s);
        CHECK(visit.down);  // who comes in is judged by the same list
        CHECK(loner.pins().empty());
        for (auto const& failure : loner.failures())
            CHECK(failure.reason == PairFailure::untrusted_peer);
    }
}

TEST_CASE("M12: under allow_all a stranger keeps its link, encrypted, and gets nothing else") {
    Loner loner(Policy::allow_all);
    Hostile stranger(loner.bench, 71);
    for (auto const protocol : {node::protocol_peer, node::protocol_join}) {
        auto& visit = stranger.visit(loner.machine, std::string(protocol), base::Bytes(64, 0x11));
        loner.bench.run_for(2 * node::stranger_stays);
        CHECK(visit.connected);
        CHECK_FALSE(visit.down);
        CHECK_FALSE(visit.agreed);
    }
    CHECK(loner.failures().empty());
    CHECK(loner.machine.recorder.controls.empty());
    for (auto const* const plain : {"/plaintext/2.0.0", "/yamux/1.0.0"})
        CHECK_FALSE(contains(loner.accept("10.9.0.1", multistream(plain)), base::as_bytes(plain)));
}

TEST_CASE("M12: strangers that may stay take only so many connections") {
    Loner loner(Policy::allow_all);
    std::deque<Hostile> strangers;  // each as often as one peer may come
    auto const often = node::HostLimits{}.inbound_per_peer_max;
    std::vector<Hostile::Visit*> visits;
    for (std::size_t i = 0; i <= node::tolerated_max; ++i) {
        if (i % often == 0) strangers.emplace_back(loner.bench, static_cast<unsigned>(71 + i));
        visits.push_back(&strangers.back().visit(loner.machine, std::string(node::protocol_peer)));
    }
    loner.bench.run_for(1s);
    for (std::size_t i = 0; i < node::tolerated_max; ++i) CHECK_FALSE(visits[i]->down);
    CHECK(visits[node::tolerated_max]->down);
}

TEST_CASE("M12: no policy makes a stranger in the swarm out of a stranger outside of it") {
    for (auto const policy : {Policy::tofu, Policy::allow_all}) {
        SwarmBench bench;
        auto& op = bench.add_machine({}, {.policy = policy, .allow_list = {}});
        REQUIRE(op.node->create_swarm("kin", bench.clock.now()).has_value());
        Hostile stranger(bench, 71);
        auto const& visit =
            stranger.visit(op, std::string(node::protocol_peer), base::Bytes(64, 0x11));
        bench.run_for(1s);
        CHECK(visit.connected);
        CHECK_FALSE(visit.agreed);
        CHECK(op.recorder.controls.empty());
        CHECK(op.node->peers(bench.clock.now()).size() == 1);  // itself
    }
}

TEST_CASE("M13: each way in which a pairing fails is one event with its reason") {
    struct Row {
        PairFailure reason;
        std::function<void(Loner&)> attack;
    };
    std::vector<Row> const rows{
        {PairFailure::untrusted_peer,
         [](Loner& loner) {
             Hostile peer(loner.bench, 71);
             CHECK_FALSE(loner.pair(multiaddr_of(peer.address)).has_value());
         }},
        {PairFailure::handshake_rejected,
         [](Loner& loner) {
             Impostor impostor(multistream("/tls/1.0.0"));
             loner.bench.network.attach({"10.8.0.1", 1}, impostor, [] {});
             CHECK_FALSE(loner.pair("/ip4/10.8.0.1/tcp/1").has_value());
             loner.bench.network.detach({"10.8.0.1", 1}, loner.bench.clock.now());
         }},
        {PairFailure::handshake_rejected,
         [](Loner& loner) { loner.accept("10.8.0.2", base::Bytes(100, 0xee)); }},
        {PairFailure::timeout,
         [](Loner& loner) {
             Impostor impostor({});
             loner.bench.network.attach({"10.8.0.3", 1}, impostor, [] {});
             CHECK_FALSE(loner.pair("/ip4/10.8.0.3/tcp/1").has_value());
             loner.bench.network.detach({"10.8.0.3", 1}, loner.bench.clock.now());
         }},
    };
    for (auto const& row : rows) {
        Loner loner(Policy::allow_list);
        row.attack(loner);
        loner.bench.run_for(30s);
        REQUIRE(loner.failures().size() == 1);
        CHECK(loner.failures()[0].reason == row.reason);
        CHECK(loner.failures()[0].times == 1);
        CHECK(std::ranges::count_if(loner.machine.log, [&](auto const& line) {
                  return line.starts_with("pair failed: " +
                                          std::string(trust::words_of(row.reason)));
              }) == 1);
    }
}

TEST_CASE("M13: a flood of failures is counted, and hides none of another kind") {
    Loner loner(Policy::tofu);
    Impostor impostor({});
    loner.bench.network.attach({"10.8.0.3", 1}, impostor, [] {});
    CHECK_FALSE(loner.pair("/ip4/10.8.0.3/tcp/1").has_value());
    for (std::uint64_t i = 0; i < 1000; ++i)
        loner.accept("10.7." + std::to_string(i % 250) + ".1", base::Bytes(10, 0xee));
    CHECK(loner.failures().size() == node::failures_per_reason_max + 1);
    CHECK(loner.failures().front().reason == PairFailure::timeout);
    for (std::uint64_t i = 0; i < 1000; ++i) loner.accept("10.6.0.1", base::Bytes(10, 0xee));
    CHECK(loner.failures().back().times == 1000);
    CHECK(loner.machine.log.size() < 20);
}

TEST_CASE(
    "M14: under members a stranger is told off once, after its time to be recognised is over") {
    SwarmBench bench;
    auto& op = bench.add_operator();
    auto& ada = bench.add_member(op);
    Hostile stranger(bench, 71);
    auto& visit = stranger.visit(ada, std::string(node::protocol_peer));
    bench.run_for(node::stranger_stays + 1s);
    CHECK(visit.down);
    auto const& failures = ada.node->pairing().failures();
    REQUIRE(failures.size() == 1);
    CHECK(failures[0].reason == PairFailure::untrusted_peer);
    CHECK(failures[0].peer == stranger.identity.node_id());
    CHECK(failures[0].address.port == 0);
}

TEST_CASE("M15: whoever answers for a peer that was named must prove to be it") {
    Loner loner(Policy::allow_all);
    Hostile mallory(loner.bench, 72);
    SeededRng rng(71);
    auto const wanted = new_identity(rng, loner.bench.clock.unix_now());
    auto const paired =
        loner.pair(multiaddr_of(mallory.address) + "/p2p/" + wanted.peer_id().to_text());
    REQUIRE_FALSE(paired.has_value());
    CHECK(paired.error().message.starts_with("noise handshake rejected: STOP"));
    REQUIRE(loner.failures().size() == 1);
    CHECK(loner.failures()[0].reason == PairFailure::handshake_rejected);
    CHECK(loner.failures()[0].peer == wanted.node_id());
}

TEST_CASE("M16: a handshake has five seconds, also when it dribbles") {
    for (auto const dribbles : {false, true}) {
        Loner loner(Policy::tofu);
        ports::ConnectionId const id{loner.next_accepted};
        auto const bytes = multistream("/noise");
        loner.machine.node->on_accepted(id, {"10.8.0.4", 5}, loner.bench.clock.now());
        for (std::size_t tenth = 1; tenth <= 49; ++tenth) {
            loner.bench.skip(100ms);
            if (dribbles && tenth <= bytes.size())
                loner.machine.node->on_bytes(id, base::ByteView(bytes).subspan(tenth - 1, 1),
                                             loner.bench.clock.now());
            loner.machine.node->on_deadline(loner.bench.clock.now());
        }
        CHECK(loner.failures().empty());  // 4.9 s
        loner.bench.skip(200ms);
        loner.machine.node->on_deadline(loner.bench.clock.now());
        REQUIRE(loner.failures().size() == 1);  // 5.1 s
        CHECK(loner.failures()[0].reason == PairFailure::timeout);
    }
}

TEST_CASE("M19: a forgotten peer is cut off, and its address may prove another key from then on") {
    Loner loner(Policy::tofu);
    Hostile before(loner.bench, 71);
    auto const address = multiaddr_of(before.address);
    REQUIRE(loner.pair(address).has_value());
    REQUIRE(before.callers.size() == 1);
    Hostile visitor(loner.bench, 71);  // the same identity, coming in
    auto& link = visitor.visit(loner.machine, std::string(node::protocol_peer));
    CHECK(link.connected);

    auto const short_id = before.identity.node_id().to_short();
    auto const now = loner.bench.clock.now();
    CHECK(base::code_of(loner.machine.node->forget_peer("0123456789abcdef", now)) ==
          Code::not_found);
    CHECK(base::code_of(loner.machine.node->forget_peer(short_id.substr(0, 7), now)) ==
          Code::invalid);
    CHECK(base::code_of(loner.machine.node->forget_peer("not hex at all!!", now)) == Code::invalid);
    CHECK(loner.pins().size() == 1);
    auto const forgotten = loner.machine.node->forget_peer(short_id, now);
    REQUIRE(forgotten.has_value());
    CHECK(forgotten->pins_count == 1);
    CHECK(forgotten->links_count == 2);
    loner.bench.settle();
    CHECK(link.down);
    CHECK(loner.pins().empty());

    loner.bench.network.detach(before.address, loner.bench.clock.now());
    Hostile after(loner.bench, 73);
    after.listen_at(before.address);
    auto const paired = loner.pair(address);
    REQUIRE(paired.has_value());
    CHECK(*paired == after.identity.node_id());
}

TEST_CASE("M19: forgetting a member cuts its session; its score stays") {
    SwarmBench bench;
    auto& op = bench.add_operator();
    auto& ada = bench.add_member(op);
    auto const id = ada.identity.node_id();
    REQUIRE(op.node->is_ready(id));
    op.recorder.lost.clear();
    auto const forgotten = op.node->forget_peer(id.to_short(), bench.clock.now());
    REQUIRE(forgotten.has_value());
    CHECK(forgotten->pins_count == 0);
    CHECK_FALSE(op.node->is_ready(id));
    CHECK(op.recorder.lost == std::vector{id});
    CHECK(bench.run_until([&] { return op.node->is_ready(id); }, 60s));  // still a member
}

TEST_CASE("M19: a beginning that several peers share names none of them") {
    identity::NodeId one{{0xaa, 0xbb, 0xcc, 0xdd, 0x01}};
    identity::NodeId two{{0xaa, 0xbb, 0xcc, 0xdd, 0x02}};
    std::set<identity::NodeId> const both{one, two};
    auto const ambiguous = node::resolve_short_id("aabbccdd", both);
    REQUIRE(base::code_of(ambiguous) == Code::conflict);
    CHECK(ambiguous.error().message.find(one.to_hex()) != std::string::npos);
    CHECK(ambiguous.error().message.find(two.to_hex()) != std::string::npos);
    CHECK(node::resolve_short_id("AABBCCDD01", both) == one);
    CHECK(node::resolve_short_id(two.to_hex(), both) == two);
    CHECK(node::resolve_short_id(identity::PeerId(two).to_text(), both) == two);
}
