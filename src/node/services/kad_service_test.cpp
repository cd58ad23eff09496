#include "node/services/kad_service.h"

#include <doctest/doctest.h>

#include <random>

#include "wire/frame.h"

using namespace kith::node;
using kith::base::as_bytes;
using kith::base::Bytes;
using kith::base::ByteView;
using kith::base::Code;
using kith::identity::Identity;
using kith::identity::PeerId;
using kith::ports::ConnectionId;
using kith::wire::Multiaddr;
namespace kad = kith::proto::kad;
using namespace std::chrono_literals;

namespace {

constexpr std::string_view protocol = "/kith-test/kad/1.0.0";
constexpr std::uint16_t port = 4001;

struct SeededRng final : kith::ports::Rng {
    explicit SeededRng(unsigned seed) : random(seed) {}
    kith::base::Status fill(kith::base::MutableByteView out) override {
        for (auto& byte : out) byte = static_cast<std::uint8_t>(random());
        return {};
    }
    std::mt19937 random;
};

Identity identity_of(SeededRng& rng) {
    kith::crypto::Secret<kith::identity::identity_random_bytes> seed;
    REQUIRE(rng.fill(seed.mutable_view()).has_value());
    return Identity::create(seed, kith::base::UnixTime{1'800'000'000}).value();
}

Bytes text(std::string_view characters) {
    return kith::base::to_bytes(as_bytes(characters));
}

struct Machine {
    Machine(unsigned seed, std::string ip_in)
        : rng(seed), identity(identity_of(rng)), ip(std::move(ip_in)) {
        HostOptions options;
        options.accepted_protocols = {std::string(protocol)};
        host = Host::create(identity, rng, options).value();
        kad::KadOptions settings;
        settings.self = {.id = identity.peer_id(), .addresses = {Multiaddr::tcp(ip, port).value()}};
        settings.domain = std::string(protocol);
        settings.signer = {
            .public_key = identity.operational_public_key(),
            .sign = [this](ByteView bytes) { return identity.sign_operational(bytes); }};
        settings.namespaces.resize(1);
        settings.namespaces[0].name = "v";
        settings.namespaces[0].form = kad::Namespace::Form::plain;
        service.emplace(*host, std::move(settings), std::string(protocol), rng);
    }

    kad::PeerInfo info() const {
        return {.id = identity.peer_id(), .addresses = {Multiaddr::tcp(ip, port).value()}};
    }
    template <class T>
    std::vector<T> results() {
        std::vector<T> found;
        while (auto event = service->poll_event())
            if (auto* const done = std::get_if<kad::QueryFinished>(&*event))
                if (auto* const one = std::get_if<T>(&done->result)) found.push_back(*one);
        return found;
    }

    SeededRng rng;
    Identity identity;
    std::string ip;
    std::unique_ptr<Host> host;
    std::optional<KadService> service;
    std::vector<HostEvent> events;  // that the service did not take
    bool is_reading = true;         // off: nobody looks at what arrives here
};

// Machines on wires. A dial of an address that nobody has fails; of one in 99.0.0.0/8 nothing is
// ever heard.
struct Fabric {
    Machine& add(std::string const& ip) {
        machines.push_back(
            std::make_unique<Machine>(static_cast<unsigned>(machines.size() + 1), ip));
        return *machines.back();
    }
    kad::Now now() const {
        auto const passed =
            std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch());
        return {.instant = time, .wall = kith::base::UnixTime{1'800'000'000 + passed.count()}};
    }
    ConnectionId connect(Machine& a, Machine& b) {
        auto const id =
            a.host->dial({.ip = b.ip, .port = port}, b.identity.peer_id(), time).value();
        run();
        return id;
    }
    void run() {
        bool moved = true;
        while (moved) {
            moved = false;
            for (auto const& machine : machines) moved = step(*machine) || moved;
        }
    }
    // In steps, so that everybody's deadlines are kept.
    void pass(kith::base::Duration duration) {
        auto const end = time + duration;
        while (time < end) {
            time = std::min(end, time + 5s);
            for (auto const& machine : machines) {
                machine->host->on_deadline(time);
                machine->service->on_deadline(now());
            }
            run();
        }
    }
    template <class T>
    T finish(Machine& machine) {
        machine.service->pump(now());
        run();
        auto results = machine.results<T>();
        REQUIRE(results.size() == 1);
        return results.front();
    }

    kith::base::Instant time{};
    std::vector<std::unique_ptr<Machine>> machines;
    std::vector<std::string> dialled;

private:
    using End = std::pair<Machine*, ConnectionId>;

    bool step(Machine& machine) {
        bool moved = false;
        while (auto output = machine.host->poll_output()) {
            moved = true;
            std::visit([&](auto const& one) { carry_out(machine, one); }, *output);
        }
        while (machine.is_reading) {
            auto event = machine.host->poll_event();
            if (!event) break;
            moved = true;
            if (machine.service->on_event(*event, now()) == Taken::no)
                machine.events.push_back(*event);
            if (auto const* const up = std::get_if<PeerConnected>(&event->what))
                for (auto const& other : machines)
                    if (other->identity.peer_id() == up->peer.peer())
                        machine.service->on_identified(event->connection, other->info().addresses,
                                                       kad::ServesKad::yes, now());
        }
        return moved;
    }

    void carry_out(Machine& from, kith::ports::Dial const& dial) {
        dialled.push_back(dial.to.ip);
        if (dial.to.ip.starts_with("99.")) return;
        for (auto const& other : machines) {
            if (other->ip != dial.to.ip) continue;
            ConnectionId const far{next_odd_};
            next_odd_ += 2;
            ends_[{&from, dial.id}] = {other.get(), far};
            ends_[{other.get(), far}] = {&from, dial.id};
            other->host->on_accepted(far, {.ip = from.ip, .port = 1}, time);
            return from.host->on_connected(dial.id, time);
        }
        from.host->on_closed(dial.id, {.code = Code::unavailable, .message = "refused"}, time);
    }
    void carry_out(Machine& from, kith::ports::Transmit const& transmit) {
        Bytes bytes;
        while (from.host->poll_transmit(transmit.id, bytes, time)) {
        }
        auto const end = ends_.find({&from, transmit.id});
        if (end != ends_.end() && !bytes.empty())
            end->second.first->host->on_bytes(end->second.second, bytes, time);
    }
    void carry_out(Machine& from, kith::ports::Close const& closed) {
        auto const end = ends_.find({&from, closed.id});
        if (end == ends_.end()) return;
        auto const [other, id] = end->second;
        ends_.erase({other, id});
        ends_.erase({&from, closed.id});
        other->host->on_closed(id, {.code = Code::unavailable, .message = "eof"}, time);
    }

    std::map<End, End> ends_;
    std::uint64_t next_odd_ = 1;
};

Bytes frame_of(kad::Message const& message) {
    Bytes out;
    kith::wire::append_frame(out, kad::encode(message));
    return out;
}

template <class T>
std::size_t count(Machine const& machine) {
    return static_cast<std::size_t>(std::ranges::count_if(
        machine.events, [](auto const& event) { return std::holds_alternative<T>(event.what); }));
}

}  // namespace

TEST_CASE("values and providers are found through a third machine, which is all that both know") {
    Fabric fabric;
    auto& author = fabric.add("20.0.0.1");
    auto& middle = fabric.add("20.0.1.1");
    auto& reader = fabric.add("20.0.2.1");
    fabric.connect(author, middle);
    REQUIRE(author.service->kad().put_value(text("/v/a"), text("hello"), fabric.now()).has_value());
    CHECK(fabric.finish<kad::Stored>(author).peers_count == 1);
    Bytes key{0x12, 0x20};
    key.resize(34, 7);
    REQUIRE(author.service->kad().provide(key, fabric.now()).has_value());
    CHECK(fabric.finish<kad::Stored>(author).peers_count == 1);

    fabric.connect(reader, middle);
    REQUIRE(reader.service->kad().get_value(text("/v/a"), fabric.now()).has_value());
    auto const found = fabric.finish<kad::ValueFound>(reader);
    REQUIRE(found.record.has_value());
    CHECK(kith::base::as_text(found.record->body()) == "hello");
    REQUIRE(reader.service->kad().find_providers(key, fabric.now()).has_value());
    auto const providers = fabric.finish<kad::ProvidersFound>(reader).providers;
    REQUIRE(providers.size() == 1);
    CHECK(providers[0].peer == author.info());
    CHECK(reader.host->links_count() == 2);  // the author was dialled on the way
    fabric.pass(15s);
    for (auto const& machine : fabric.machines) {
        CHECK(machine->service->streams_count() == 0);
        CHECK(machine->service->dials_count() == 0);
        CHECK(count<StreamData>(*machine) == 0);  // nothing of it was anybody else's concern
    }
}

TEST_CASE("a connection dialled for Kademlia alone is closed when idle; the owner's stay") {
    Fabric fabric;
    auto& target = fabric.add("20.0.0.1");
    auto& middle = fabric.add("20.0.1.1");
    auto& reader = fabric.add("20.0.2.1");
    fabric.connect(target, middle);
    auto const owned = fabric.connect(reader, middle);
    REQUIRE(reader.service->kad().find_peer(target.identity.peer_id(), fabric.now()).has_value());
    CHECK(fabric.finish<kad::PeerFound>(reader).peer == target.info());
    CHECK(reader.host->links_count() == 2);
    fabric.pass(kad_connection_idle_max - 5s);
    CHECK(reader.host->links_count() == 2);
    // The first refresh of the tables, after a minute, has used it once more.
    fabric.pass(5s + kad::tick_interval);
    CHECK(reader.host->links_count() == 1);
    REQUIRE(reader.events.back().connection != owned);

    REQUIRE(reader.service->kad().find_peer(target.identity.peer_id(), fabric.now()).has_value());
    fabric.finish<kad::PeerFound>(reader);
    for (auto const& event : reader.events)
        if (std::holds_alternative<PeerConnected>(event.what))
            reader.service->keep(event.connection);
    fabric.pass(2 * kad_connection_idle_max);
    CHECK(reader.host->links_count() == 2);
}

TEST_CASE("the addresses of a peer are dialled one after another until one proves to be it") {
    Fabric fabric;
    auto& target = fabric.add("20.0.0.1");
    auto& other = fabric.add("20.0.1.1");
    auto& reader = fabric.add("20.0.2.1");
    kad::PeerInfo info = target.info();
    info.addresses = {Multiaddr::tcp("20.9.9.9", port).value(), other.info().addresses[0],
                      target.info().addresses[0]};
    reader.service->kad().on_peer_ready({.peer = info, .remote = {}, .serves = kad::ServesKad::yes},
                                        fabric.now());
    reader.service->kad().on_peer_gone(info.id, fabric.now());
    REQUIRE(reader.service->kad().find_peer(target.identity.peer_id(), fabric.now()).has_value());
    CHECK(fabric.finish<kad::PeerFound>(reader).peer.has_value());
    CHECK(fabric.dialled == std::vector<std::string>{"20.9.9.9", "20.0.1.1", "20.0.0.1"});
    CHECK(reader.service->dials_count() == 0);
}

TEST_CASE("dials have a limit; those nobody answers end, and all queries with them") {
    Fabric fabric;
    auto& reader = fabric.add("20.0.2.1");
    for (std::uint8_t i = 0; i < 60; ++i) {
        kith::base::ByteArray<32> key;
        key.fill(i);
        kad::PeerInfo const info{
            .id = PeerId(key),
            .addresses = {Multiaddr::tcp("99.0." + std::to_string(i) + ".1", port).value()}};
        reader.service->kad().on_peer_ready(
            {.peer = info, .remote = {}, .serves = kad::ServesKad::yes}, fabric.now());
        reader.service->kad().on_peer_gone(info.id, fabric.now());
    }
    std::size_t most = 0;
    for (std::size_t i = 0; i < kad::queries_max; ++i) {
        auto const key = text("/v/" + std::to_string(i));
        REQUIRE(reader.service->kad().get_value(key, fabric.now()).has_value());
        reader.service->pump(fabric.now());
        most = std::max(most, reader.service->dials_count());
    }
    CHECK(most == kad_dials_max);
    fabric.pass(70s);
    CHECK(reader.service->dials_count() == 0);
    CHECK(reader.host->links_count() == 0);
    CHECK(reader.results<kad::ValueFound>().size() == kad::queries_max);
}

TEST_CASE("a connection gets 32 streams and not one more; each that keeps silent ends") {
    Fabric fabric;
    auto& server = fabric.add("20.0.0.1");
    auto& client = fabric.add("20.0.1.1");
    auto const id = fabric.connect(client, server);
    auto const open = [&] {
        auto const stream =
            client.host->open_stream(id, std::string(protocol), fabric.time).value();
        client.host->write(id, stream, Bytes{2});  // the first byte of a frame
        fabric.run();
    };
    for (std::size_t i = 0; i < kad_streams_per_connection_max; ++i) open();
    CHECK(count<StreamReset>(client) == 0);
    CHECK(server.service->streams_count() == kad_streams_per_connection_max);
    open();
    CHECK(count<StreamReset>(client) == 1);
    CHECK(server.service->streams_count() == kad_streams_per_connection_max);
    fabric.pass(kad_stream_idle_max - 5s);
    CHECK(count<StreamReset>(client) == 1);
    fabric.pass(5s);
    CHECK(count<StreamReset>(client) == 1 + kad_streams_per_connection_max);
    CHECK(server.service->streams_count() == 0);
    open();
    CHECK(server.service->streams_count() == 1);
    client.host->disconnect(id, {.code = Code::cancelled, .message = ""});
    fabric.run();
    CHECK(server.service->streams_count() == 0);
}

TEST_CASE("many requests on one stream are answered in order; nonsense resets that stream alone") {
    Fabric fabric;
    auto& server = fabric.add("20.0.0.1");
    auto& client = fabric.add("20.0.1.1");
    auto const id = fabric.connect(client, server);
    kad::Message ping;
    auto const stream = client.host->open_stream(id, std::string(protocol), fabric.time).value();
    Bytes both = frame_of(ping);
    kith::base::append(both, frame_of(ping));
    for (auto const byte : both) {
        client.host->write(id, stream, ByteView(&byte, 1));
        fabric.run();
    }
    Bytes answers;
    for (auto const& event : client.events)
        if (auto const* const data = std::get_if<StreamData>(&event.what))
            kith::base::append(answers, data->bytes);
    CHECK(answers == both);
    client.host->close_write(id, stream);
    fabric.run();
    CHECK(count<StreamEnded>(client) == 1);
    CHECK(server.service->streams_count() == 0);

    std::size_t resets = 0;
    for (Bytes const& bad : {Bytes{0xff, 0xff, 0x7f}, Bytes{0x80, 0x00}, Bytes{2, 0xff, 0xff},
                             Bytes{0x81, 0x80, 0x04}}) {  // 65537 bytes: one past the limit
        auto const one = client.host->open_stream(id, std::string(protocol), fabric.time).value();
        client.host->write(id, one, bad);
        fabric.run();
        CHECK(count<StreamReset>(client) == ++resets);
    }
    CHECK(server.service->streams_count() == 0);
    CHECK(client.host->links_count() == 1);
}

TEST_CASE("a peer that asks and never reads is cut off before its answers fill our memory") {
    Fabric fabric;
    auto& server = fabric.add("20.0.0.1");
    auto& client = fabric.add("20.0.1.1");
    auto const id = fabric.connect(client, server);
    kad::Message put;
    put.type = kad::MessageType::put_value;
    put.key = text("/v/big");
    put.record = kad::Record{.key = put.key, .value = Bytes(kad::value_bytes_max, 1)};
    auto const stream = client.host->open_stream(id, std::string(protocol), fabric.time).value();
    client.host->write(id, stream, frame_of(put));
    fabric.run();
    client.events.clear();
    client.is_reading = false;
    kad::Message get;
    get.type = kad::MessageType::get_value;
    get.key = put.key;
    std::size_t asked = 0;
    for (; asked < 300 && server.service->streams_count() > 0; ++asked) {
        client.host->write(id, stream, frame_of(get));
        fabric.time += 50ms;
        fabric.run();
    }
    CHECK(server.service->streams_count() == 0);
    CHECK(asked < 200);
    CHECK(asked > 256 * 1024 / kad::value_bytes_max);
}

TEST_CASE("a peer that refuses the protocol, or ends without an answer, fails the request") {
    Fabric fabric;
    auto& silent = fabric.add("20.0.0.1");
    auto& reader = fabric.add("20.0.1.1");
    fabric.connect(reader, silent);
    for (auto const& accepted : {std::vector<std::string>{}, {std::string(protocol)}}) {
        for (auto const& event : silent.events)
            if (std::holds_alternative<PeerConnected>(event.what))
                silent.host->set_accepted_protocols(event.connection, accepted);
        if (!accepted.empty()) silent.is_reading = false;
        REQUIRE(reader.service->kad().get_value(text("/v/a"), fabric.now()).has_value());
        reader.service->pump(fabric.now());
        fabric.pass(15s);
        auto const results = reader.results<kad::ValueFound>();
        REQUIRE(results.size() == 1);
        CHECK_FALSE(results[0].record.has_value());
        CHECK(reader.service->streams_count() == 0);
    }
}
