// One machine, fed by hand.
#include "proto/kad/kad.h"

#include <doctest/doctest.h>

#include "base/code_of.h"
#include "proto/kad/kad_sim.h"

using namespace kith::proto::kad;
using kith::base::as_bytes;
using kith::base::Bytes;
using kith::base::ByteView;
using kith::base::Code;
using kith::base::code_of;
using kith::identity::PeerId;
using kith::wire::Multiaddr;
using namespace std::chrono_literals;

namespace {

struct Machine {
    explicit Machine(sim::Network::Tweak const& tweak = {}) : id(net.add("20.0.0.1", tweak)) {}

    sim::Network net{1};
    PeerId id;
    kith::base::Duration passed{};

    Kad& kad() { return net.kad(id); }
    Now now() const {
        return {.instant = kith::base::Instant{} + passed,
                .wall = kith::base::UnixTime{
                    sim::epoch + std::chrono::duration_cast<std::chrono::seconds>(passed).count()}};
    }
    PeerInfo peer(std::uint8_t number) {
        kith::base::ByteArray<32> key;
        key.fill(number);
        return {
            .id = PeerId(key),
            .addresses = {Multiaddr::tcp("30.0." + std::to_string(number) + ".1", 4001).value()}};
    }
    PeerInfo ready(std::uint8_t number, ServesKad serves = ServesKad::yes) {
        auto const info = peer(number);
        kad().on_peer_ready({.peer = info, .remote = {}, .serves = serves}, now());
        return info;
    }
    kith::base::Result<std::optional<Bytes>> ask(std::uint8_t number, Message const& message) {
        return kad().on_request(peer(number).id, encode(message), now());
    }
    template <class T>
    std::vector<T> outputs() {
        std::vector<T> found;
        while (auto output = kad().poll_output())
            if (auto* const one = std::get_if<T>(&*output)) found.push_back(std::move(*one));
        return found;
    }
};

Message find_node(Bytes key) {
    Message message;
    message.type = MessageType::find_node;
    message.key = std::move(key);
    return message;
}

Message put(std::string const& key, std::string const& value) {
    Message message;
    message.type = MessageType::put_value;
    message.key = kith::base::to_bytes(as_bytes(key));
    message.record = Record{.key = message.key, .value = kith::base::to_bytes(as_bytes(value))};
    return message;
}

Bytes const multihash = [] {
    Bytes out{0x12, 0x20};
    out.resize(34, 5);
    return out;
}();

Message of_providers(MessageType type, std::vector<PeerInfo> const& providers) {
    Message message;
    message.type = type;
    message.key = multihash;
    for (auto const& one : providers) message.provider_peers.push_back({.peer = one, .proof = {}});
    return message;
}

auto const allow_unsigned = [](KadOptions& options) {
    options.unsigned_providers = UnsignedProviders::allowed;
};

}  // namespace

TEST_CASE(
    "a peer that does not serve the protocol never enters the table, and leaves it when it stops") {
    Machine machine;
    machine.ready(1, ServesKad::no);
    CHECK(machine.kad().table().size() == 0);
    machine.ready(2);
    CHECK(machine.kad().table().size() == 1);
    machine.ready(2, ServesKad::no);
    CHECK(machine.kad().table().size() == 0);
    // Asking us does not make anybody a server either.
    CHECK(machine.ask(3, find_node({1})).has_value());
    CHECK(machine.kad().table().size() == 0);
}

TEST_CASE(
    "FIND_NODE is answered with the nearest, without the asker, and with ourselves if asked for") {
    Machine machine;
    for (std::uint8_t i = 1; i <= 30; ++i) machine.ready(i);
    auto const key = kith::base::to_bytes(machine.peer(9).id.to_multihash());
    auto const answer = decode(**machine.ask(3, find_node(key))).value();
    CHECK(answer.closer_peers.size() == 20);
    CHECK((answer.closer_peers.front().id == machine.peer(9).id));
    for (auto const& peer : answer.closer_peers) CHECK((peer.id != machine.peer(3).id));
    auto const self = kith::base::to_bytes(machine.id.to_multihash());
    CHECK((decode(**machine.ask(3, find_node(self)))->closer_peers.front().id == machine.id));
    CHECK(code_of(machine.ask(3, find_node({}))) == Code::invalid);
    Message ping;
    CHECK(decode(**machine.ask(3, ping)).value() == ping);
}

TEST_CASE(
    "addresses outside our reach are neither told nor kept, and who has no other is not named") {
    Machine machine(allow_unsigned);
    auto info = machine.peer(1);
    auto const loopback = Multiaddr::tcp("127.0.0.1", 22).value();
    info.addresses.insert(info.addresses.begin(), loopback);
    auto hidden = machine.peer(2);
    hidden.addresses = {loopback};
    for (auto const& peer : {info, hidden})
        machine.kad().on_peer_ready({.peer = peer, .remote = {}, .serves = ServesKad::yes},
                                    machine.now());
    CHECK(machine.kad().table().size() == 2);
    auto const told = decode(**machine.ask(3, find_node({1})))->closer_peers;
    REQUIRE(told.size() == 1);
    CHECK(told[0] == machine.peer(1));

    CHECK(machine.ask(1, of_providers(MessageType::add_provider, {info})).has_value());
    CHECK(code_of(machine.ask(2, of_providers(MessageType::add_provider, {hidden}))) ==
          Code::invalid);
    auto const found = decode(**machine.ask(3, of_providers(MessageType::get_providers, {})));
    REQUIRE(found->provider_peers.size() == 1);
    CHECK(found->provider_peers[0].peer == machine.peer(1));
}

TEST_CASE("PUT_VALUE is verified, kept and echoed; GET_VALUE hands it out") {
    Machine machine;
    auto const good = put("/plain/a", "value");
    CHECK(decode(**machine.ask(1, good)).value() == good);
    Message get;
    get.type = MessageType::get_value;
    get.key = good.key;
    CHECK(decode(**machine.ask(2, get))->record == good.record);
    get.key.push_back('x');
    CHECK_FALSE(decode(**machine.ask(2, get))->record.has_value());

    CHECK(code_of(machine.ask(1, put("/unknown/a", "value"))) == Code::unsupported);
    CHECK(code_of(machine.ask(1, put("/own/a", "value"))) == Code::invalid);  // not signed
    auto moved = good;
    moved.record->key.push_back('x');
    CHECK(code_of(machine.ask(1, moved)) == Code::invalid);
    auto missing = good;
    missing.record.reset();
    CHECK(code_of(machine.ask(1, missing)) == Code::invalid);
    CHECK(machine.kad().store().values_count() == 1);
    auto const bad = machine.outputs<BadRecord>();
    CHECK(bad.size() == 4);
    CHECK((bad.front().from == machine.peer(1).id));
}

TEST_CASE("S24: ADD_PROVIDER counts for its sender alone") {
    Machine machine(allow_unsigned);
    auto const other = of_providers(MessageType::add_provider, {machine.peer(2)});
    CHECK(code_of(machine.ask(1, other)) == Code::invalid);
    CHECK(machine.kad().store().providers_count() == 0);
    auto const both = of_providers(MessageType::add_provider, {machine.peer(2), machine.peer(1)});
    auto const answer = machine.ask(1, both);
    REQUIRE(answer.has_value());
    CHECK_FALSE(answer->has_value());  // there is no answer to ADD_PROVIDER
    auto const found =
        decode(**machine.ask(3, of_providers(MessageType::get_providers, {}))).value();
    REQUIRE(found.provider_peers.size() == 1);
    CHECK((found.provider_peers[0].peer.id == machine.peer(1).id));
    auto without_address = machine.peer(4);
    without_address.addresses.clear();
    CHECK_FALSE(
        machine.ask(4, of_providers(MessageType::add_provider, {without_address})).has_value());
}

TEST_CASE("S24: where signatures are required an unsigned provider is ignored and reported") {
    Machine machine;
    CHECK(code_of(machine.ask(1, of_providers(MessageType::add_provider, {machine.peer(1)}))) ==
          Code::unauthorized);
    CHECK(machine.kad().store().providers_count() == 0);
    CHECK(machine.outputs<BadRecord>().size() == 1);
}

TEST_CASE("keys of providers are multihashes of at most 80 bytes") {
    Machine machine(allow_unsigned);
    auto message = of_providers(MessageType::add_provider, {machine.peer(1)});
    message.key.resize(provider_key_bytes_max);
    CHECK(machine.ask(1, message).has_value());
    message.key.resize(provider_key_bytes_max + 1);
    CHECK(code_of(machine.ask(1, message)) == Code::invalid);
    message.type = MessageType::get_providers;
    CHECK(code_of(machine.ask(1, message)) == Code::invalid);
    message.key.clear();
    CHECK(code_of(machine.ask(1, message)) == Code::invalid);
}

TEST_CASE("a peer may ask a hundred times at once, then twenty times a second") {
    Machine machine;
    Message const ping;
    for (std::size_t i = 0; i < requests_burst_max; ++i) CHECK(machine.ask(1, ping).has_value());
    CHECK(code_of(machine.ask(1, ping)) == Code::too_large);
    CHECK(machine.ask(2, ping).has_value());
    machine.passed += request_refill;
    CHECK(machine.ask(1, ping).has_value());
    CHECK(code_of(machine.ask(1, ping)) == Code::too_large);
    machine.passed += 24h;
    for (std::size_t i = 0; i < requests_burst_max; ++i) CHECK(machine.ask(1, ping).has_value());
    CHECK(code_of(machine.ask(1, ping)) == Code::too_large);
}

TEST_CASE("a client serves nobody") {
    Machine machine([](KadOptions& options) { options.mode = Mode::client; });
    CHECK(code_of(machine.ask(1, Message{})) == Code::unsupported);
}

TEST_CASE(
    "a request that is not answered ends after ten seconds, and a late answer changes nothing") {
    Machine machine;
    machine.ready(1);
    auto const query = machine.kad().find_peer(machine.peer(2).id, machine.now());
    REQUIRE(query.has_value());
    auto const sent = machine.outputs<SendRequest>();
    REQUIRE(sent.size() == 1);
    CHECK((sent[0].peer == machine.peer(1).id));
    CHECK(sent[0].addresses == machine.peer(1).addresses);
    machine.passed = request_timeout - 1us;
    machine.kad().on_deadline(machine.now());
    CHECK(machine.kad().requests_count() == 1);
    machine.passed = request_timeout;
    CHECK(machine.kad().deadline() == machine.now().instant);
    machine.kad().on_deadline(machine.now());
    CHECK(machine.kad().requests_count() == 0);
    CHECK(machine.kad().queries_count() == 0);
    machine.kad().on_response(sent[0].id, encode(find_node({1})), machine.now());
    machine.kad().on_request_failed(sent[0].id, {.code = Code::io, .message = ""}, machine.now());
    std::size_t cancelled = 0, finished = 0;
    while (auto output = machine.kad().poll_output()) {
        if (std::holds_alternative<CancelRequest>(*output)) ++cancelled;
        if (std::holds_alternative<QueryFinished>(*output)) ++finished;
    }
    CHECK(cancelled == 1);
    CHECK(finished == 1);
}

TEST_CASE("queries have a limit, and so have the requests of all of them together") {
    Machine machine;
    for (std::uint8_t i = 1; i <= 40; ++i) machine.ready(i);
    for (std::size_t i = 0; i < queries_max; ++i) {
        auto const key = kith::base::to_bytes(as_bytes("/plain/" + std::to_string(i)));
        CHECK(machine.kad().get_value(key, machine.now()).has_value());
    }
    CHECK(code_of(machine.kad().get_value(kith::base::to_bytes(as_bytes("/plain/x")),
                                          machine.now())) == Code::too_large);
    CHECK(machine.kad().requests_count() == requests_max);
    CHECK(machine.outputs<SendRequest>().size() == requests_max);
    // All of them end, whatever happens.
    machine.passed += query_duration_max;
    machine.kad().on_deadline(machine.now());
    CHECK(machine.kad().queries_count() == 0);
    CHECK(machine.outputs<QueryFinished>().size() == queries_max);
}

TEST_CASE("an answer of another type, or none at all, counts as a failure of the peer") {
    Machine machine;
    machine.ready(1);
    for (auto const& bytes : {encode(put("/plain/a", "v")), Bytes{0xff, 0xff}, Bytes(70'000, 8)}) {
        REQUIRE(machine.kad().find_peer(machine.peer(2).id, machine.now()).has_value());
        for (auto const& sent : machine.outputs<SendRequest>())
            machine.kad().on_response(sent.id, bytes, machine.now());
        auto const finished = machine.outputs<QueryFinished>();
        REQUIRE(finished.size() == 1);
        CHECK(std::get<PeerFound>(finished[0].result).closest.empty());
        machine.ready(1);
    }
}

TEST_CASE("a limit of our own is not held against the peer") {
    Machine machine;
    machine.ready(1);
    for (int i = 0; i < 5; ++i) {
        REQUIRE(machine.kad().find_peer(machine.peer(2).id, machine.now()).has_value());
        for (auto const& sent : machine.outputs<SendRequest>())
            machine.kad().on_request_failed(sent.id, {.code = Code::too_large, .message = ""},
                                            machine.now());
    }
    CHECK(machine.kad().table().size() == 1);
    for (int i = 0; i < 2; ++i) {
        REQUIRE(machine.kad().find_peer(machine.peer(2).id, machine.now()).has_value());
        for (auto const& sent : machine.outputs<SendRequest>())
            machine.kad().on_request_failed(sent.id, {.code = Code::timeout, .message = ""},
                                            machine.now());
    }
    CHECK(machine.kad().table().size() == 0);
}

TEST_CASE(
    "addresses in answers are dialled only within reach, and not again right after they failed") {
    Machine machine;
    machine.ready(1);
    auto const named = [](PeerId const& id, std::string const& ip) {
        return PeerInfo{.id = id, .addresses = {Multiaddr::tcp(ip, 4001).value()}};
    };
    auto const look = [&] {
        REQUIRE(machine.kad()
                    .get_value(kith::base::to_bytes(as_bytes("/plain/a")), machine.now())
                    .has_value());
        auto const first = machine.outputs<SendRequest>();
        REQUIRE(first.size() == 1);
        Message answer;
        answer.type = MessageType::get_value;
        answer.closer_peers = {named(machine.peer(2).id, "127.0.0.1"),
                               named(machine.peer(3).id, "0.0.0.0"),
                               named(machine.peer(4).id, "10.0.0.1"),
                               named(machine.peer(5).id, "8.8.8.8"), named(machine.id, "8.8.4.4")};
        machine.kad().on_response(first[0].id, encode(answer), machine.now());
        auto const second = machine.outputs<SendRequest>();
        for (auto const& sent : second)
            machine.kad().on_request_failed(sent.id, {.code = Code::unavailable, .message = ""},
                                            machine.now());
        CHECK(machine.kad().queries_count() == 0);
        return second.size();
    };
    CHECK(look() == 2);
    CHECK(look() == 0);
    machine.passed += failed_address_ttl;
    CHECK(look() == 2);
}

TEST_CASE("events about bad records are bounded when nobody fetches them") {
    Machine machine;
    for (std::uint8_t peer = 1; peer < 5; ++peer)
        for (int i = 0; i < 60; ++i)
            static_cast<void>(machine.ask(peer, put("/unknown/a", "v")).has_value());
    CHECK(machine.outputs<BadRecord>().size() == bad_records_queued_max);
    static_cast<void>(machine.ask(1, put("/unknown/a", "v")).has_value());
    CHECK(machine.outputs<BadRecord>().size() == 1);
}

TEST_CASE("commands that make no sense are refused at once") {
    Machine machine([](KadOptions& options) { options.self.addresses.clear(); });
    auto const key = kith::base::to_bytes(as_bytes("/nowhere/x"));
    CHECK(code_of(machine.kad().get_value(key, machine.now())) == Code::unsupported);
    CHECK(code_of(machine.kad().put_value(key, {1}, machine.now())) == Code::unsupported);
    auto const plain = kith::base::to_bytes(as_bytes("/plain/x"));
    CHECK(code_of(machine.kad().put_value(plain, {}, machine.now())) == Code::invalid);
    CHECK(code_of(machine.kad().put_value(plain, Bytes(value_bytes_max, 1), machine.now())) ==
          Code::too_large);
    CHECK(code_of(machine.kad().provide(multihash, machine.now())) == Code::conflict);
    CHECK(code_of(machine.kad().find_providers({}, machine.now())) == Code::invalid);
    CHECK(code_of(machine.kad().bootstrap(machine.now())) == Code::unavailable);
    CHECK(code_of(machine.kad().import_state(Bytes{9}, machine.now())) == Code::corrupt);
    machine.kad().set_addresses(machine.peer(1).addresses);
    CHECK(code_of(machine.kad().provide(Bytes(provider_key_bytes_max + 1, 1), machine.now())) ==
          Code::invalid);
    CHECK(machine.kad().queries_count() == 0);
    CHECK(machine.kad().deadline() == std::nullopt);
}
