// tests/interop/gossip_peer.cpp: GossipSub on our Host, GossipService and TcpDriver, steered by
// lines on standard input and answering in JSON lines, so that a script can build a mesh of ours
// and js.
//
//   gossip_peer sign|nosign        -> listening {peer, port}
//   <- dial IP PORT PEER_ID        -> connected {peer} on both ends, later perhaps down {message}
//   <- subscribe TOPIC
//   <- publish TOPIC NAME BYTES    publishes "NAME:" and so many more bytes
//   <- status TOPIC                -> status {mesh, subscribers, duplicates, idontwant_received,
//   ...} whenever one comes             -> message {topic, name, bytes, author, intact} end of
//   input: exit
//
// Admits everybody and accepts every message. Answers identify: js opens its streams only then.
#include <unistd.h>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/streambuf.hpp>

#include <functional>
#include <iostream>
#include <map>
#include <sstream>

#include "io/net/os.h"
#include "io/net/tcp_driver.h"
#include "node/link/host.h"
#include "node/services/gossip_service.h"
#include "proto/identify/identify.h"

namespace asio = boost::asio;
using namespace kith;
namespace gossip = proto::gossip;

namespace {

std::vector<std::string> protocols() {
    auto list = node::GossipService::protocols();
    list.emplace_back(proto::identify::protocol);
    return list;
}

void say(std::string const& event, std::string const& fields) {
    std::cout << "{\"event\":\"" << event << "\"" << (fields.empty() ? "" : ",") << fields << "}"
              << std::endl;
}

class Peer {
public:
    Peer(node::Host& host, gossip::Options options, identity::Identity const& self,
         ports::Clock const& clock)
        : host_(host),
          service_(host, std::move(options), clock.now()),
          self_(self),
          clock_(clock) {}

    void on_turn() {
        while (auto const event = host_.poll_event()) {
            auto const handled = service_.on_event(*event, clock_.now());
            drain();
            if (handled == node::Handled::no) on(*event);
        }
    }
    void on_deadline() {
        service_.on_deadline(clock_.now());
        drain();
    }
    [[nodiscard]] base::Instant deadline() const { return service_.deadline(); }

    void command(std::string const& line) {
        std::istringstream words(line);
        std::string verb, first, name;
        std::size_t number = 0;
        words >> verb >> first;
        if (verb == "dial") {
            words >> number >> name;
            auto const peer = identity::PeerId::parse(name);
            if (!peer ||
                !host_.dial({first, static_cast<std::uint16_t>(number)}, *peer, clock_.now()))
                say("down", "\"message\":\"cannot dial\"");
        }
        if (verb == "subscribe" && !service_.subscribe(first, clock_.now()))
            say("failed", "\"message\":\"subscribe\"");
        if (verb == "publish") {
            words >> name >> number;
            auto const text = name + ":" + std::string(number, 'x');
            if (!service_.publish(first, base::as_bytes(text), clock_.now()))
                say("failed", "\"message\":\"publish\"");
        }
        if (verb == "status") status(first);
        drain();
    }

private:
    void on(node::HostEvent const& event) {
        if (auto const* const up = std::get_if<node::PeerConnected>(&event.what)) {
            say("connected", "\"peer\":\"" + up->peer.peer().to_text() + "\"");
            service_.admit(event.connection, *up, clock_.now());
            drain();
        }
        if (auto const* const down = std::get_if<node::LinkDown>(&event.what))
            say("down", "\"message\":\"" + down->reason.message + "\"");
        auto const* const opened = std::get_if<node::StreamOpened>(&event.what);
        if (!opened || opened->protocol != proto::identify::protocol ||
            opened->direction != node::Direction::inbound)
            return;
        proto::identify::Info info;
        info.protocol_version = "ipfs/0.1.0";
        info.agent_version = "kith-interop/1";
        info.protocols = protocols();
        host_.write(event.connection, opened->id,
                    proto::identify::build(info, self_.operational_public_key()));
        host_.close_write(event.connection, opened->id);
    }

    void drain() {
        while (auto const event = service_.poll_event()) {
            if (auto const* const fault = std::get_if<node::GossipFault>(&*event)) {
                say("fault", "\"message\":\"" + fault->reason.message + "\"");
                host_.disconnect(fault->connection, fault->reason);
                continue;
            }
            auto const& message = std::get<gossip::Deliver>(*event);
            auto const text = base::as_text(message.data);
            auto const name = text.substr(0, text.find(':'));
            bool const intact =
                text.size() > name.size() &&
                text.find_first_not_of('x', name.size() + 1) == std::string_view::npos;
            say("message", "\"topic\":\"" + message.topic + "\",\"name\":\"" + std::string(name) +
                               "\",\"bytes\":" + std::to_string(text.size() - name.size() - 1) +
                               ",\"author\":\"" +
                               (message.author ? message.author->to_text() : "") +
                               "\",\"intact\":" + (intact ? "true" : "false"));
            service_.validated(message.handle, gossip::Verdict::accept, clock_.now());
        }
    }

    void status(std::string const& topic) const {
        auto const& router = service_.router();
        auto const& counters = router.counters();
        say("status", "\"mesh\":" + std::to_string(router.mesh(topic).size()) +
                          ",\"subscribers\":" + std::to_string(router.subscribers_count(topic)) +
                          ",\"duplicates\":" + std::to_string(counters.duplicates_received) +
                          ",\"invalid\":" + std::to_string(counters.messages_invalid) +
                          ",\"iwant_served\":" + std::to_string(counters.iwant_served) +
                          ",\"idontwant_sent\":" + std::to_string(counters.idontwant_sent) +
                          ",\"idontwant_received\":" + std::to_string(counters.idontwant_received));
    }

    node::Host& host_;
    node::GossipService service_;
    identity::Identity const& self_;
    ports::Clock const& clock_;
};

// Heartbeats on the real clock.
class Heart {
public:
    Heart(asio::io_context& context, Peer& peer, io::TcpDriver& driver, ports::Clock const& clock)
        : timer_(context), peer_(peer), driver_(driver), clock_(clock) {
        wait();
    }

private:
    void wait() {
        timer_.expires_after(std::max(base::Duration::zero(), peer_.deadline() - clock_.now()));
        timer_.async_wait([this](boost::system::error_code code) {
            if (code) return;
            peer_.on_deadline();
            driver_.pump();
            wait();
        });
    }

    asio::steady_timer timer_;
    Peer& peer_;
    io::TcpDriver& driver_;
    ports::Clock const& clock_;
};

}  // namespace

int main(int count, char** arguments) {
    bool const signs = count < 2 || std::string_view(arguments[1]) != "nosign";
    io::OsRng rng;
    io::OsClock clock;
    crypto::Secret<identity::identity_random_bytes> random;
    if (!rng.fill(random.mutable_view())) return 1;
    auto const self = identity::Identity::create(random, clock.unix_now());
    if (!self) return 1;
    auto host = node::Host::create(*self, rng, {.limits = {}, .accepted_protocols = protocols()});
    if (!host) return 1;

    gossip::Options options;
    options.author = &*self;
    options.policy =
        signs ? gossip::SignaturePolicy::strict_sign : gossip::SignaturePolicy::strict_no_sign;
    options.first_seqno =
        static_cast<std::uint64_t>(base::seconds(clock.unix_now())) * 1'000'000'000U;
    options.seed = options.first_seqno;
    options.flood_publish = gossip::FloodPublish::off;  // so that messages need relays
    asio::io_context context;
    Peer peer(**host, std::move(options), *self, clock);
    io::TcpDriver driver(context, **host, clock, [&peer] { peer.on_turn(); });
    auto const bound = driver.listen({"127.0.0.1", 0});
    if (!bound) return 1;
    say("listening",
        "\"peer\":\"" + self->peer_id().to_text() + "\",\"port\":" + std::to_string(bound->port));
    Heart heart(context, peer, driver, clock);

    asio::posix::stream_descriptor input(context, dup(0));
    asio::streambuf buffer;
    std::function<void()> read_line = [&] {
        asio::async_read_until(input, buffer, '\n',
                               [&](boost::system::error_code code, std::size_t) {
                                   if (code) return context.stop();
                                   std::istream stream(&buffer);
                                   std::string line;
                                   std::getline(stream, line);
                                   peer.command(line);
                                   driver.pump();
                                   read_line();
                               });
    };
    read_line();
    context.run();
    driver.stop();
    return 0;
}
