// tests/interop/relay_peer.cpp: our Host with its relay and identify services over TCP, steered by
// lines on standard input and answering in JSON lines on standard output.
//
//   relay_peer unlimited|limited|refused [IP]     what this peer lets others use it as a relay for,
//   and where it listens (127.0.0.1)
//   -> listening {peer, port}
//   <- dial MULTIADDR       also one through a relay   -> connected {peer, path, direction} | down
//   {message}
//   <- reserve              at the last direct peer    -> reserved {address}
//   <- upgrade              of the last relayed one    -> connected {path: direct} | nothing
//   <- ping                 on the last connection     -> pinged
//   <- echo BYTES           on the last connection     -> echoed {bytes, ok}
//   end of input: exit
//
// Serves ping, identify and /kith-interop/echo/1.0.0 to everybody.
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
#include "node/services/dcutr_service.h"
#include "node/services/identify_service.h"
#include "node/services/relay_service.h"

namespace asio = boost::asio;
using namespace kith;
using node::StreamId;
using proto::relay::Grant;

namespace {

constexpr std::string_view echo_protocol = "/kith-interop/echo/1.0.0";
constexpr std::size_t write_bytes = 64 * 1024;
constexpr auto tick = std::chrono::milliseconds(200);

std::vector<std::string> protocols() {
    return {std::string(proto::relay::hop_protocol),
            std::string(proto::relay::stop_protocol),
            std::string(proto::identify::protocol),
            std::string(proto::ping::protocol),
            std::string(proto::identify::push_protocol),
            std::string(proto::dcutr::protocol),
            std::string(echo_protocol)};
}

std::uint8_t pattern(std::size_t position) {
    return static_cast<std::uint8_t>(position * 31 + (position >> 13));
}

// An echo or ping stream: what is asked is counted, what is answered sent back.
struct Stream {
    enum class Job { answer_echo, ask_echo, ask_ping } job = Job::answer_echo;
    proto::ping::Requester ping;
    base::Bytes pending;
    std::size_t left = 0, total = 0, received = 0;
    bool intact = true, ended = false;
};

class Peer {
public:
    Peer(node::Host& host, identity::Identity const& self, ports::Rng& rng,
         ports::Clock const& clock, Grant grant)
        : host_(host),
          rng_(rng),
          clock_(clock),
          relay_({.host = host,
                  .identity = self,
                  .clock = clock,
                  .grant = [grant](auto const&) { return grant; }}),
          identify_({.host = host, .identity = self, .clock = clock}),
          dcutr_({.host = host,
                  .own_addresses =
                      [this] {
                          auto own = identify_.seen();
                          own.push_back(own_);
                          return own;
                      },
                  .known_addresses = [](auto) { return std::vector<wire::Multiaddr>{}; },
                  .may = [](auto const&) { return true; },
                  .reach = wire::Reach::loopback}) {}

    void listening(ports::SocketAddress const& at) {
        auto const address = *wire::Multiaddr::tcp(at.ip, at.port);
        own_ = address;
        relay_.set_addresses({address});
        identify_.set_addresses({address}, clock_.now());
    }

    void on_turn() {
        while (auto event = host_.poll_event()) {
            auto const now = clock_.now();
            if (dcutr_.on_event(*event, now)) continue;
            if (relay_.on_event(*event, now) || identify_.on_event(*event, now)) continue;
            connection_ = event->connection;
            std::visit([this](auto& what) { on(what); }, event->what);
        }
        if (relay_.take_changed())
            for (auto const& address : relay_.addresses(clock_.now()))
                say("reserved", "\"address\":\"" + address.to_text() + "\"");
    }

    void on_tick() {
        relay_.on_deadline(clock_.now());
        identify_.on_deadline(clock_.now());
        dcutr_.on_deadline(clock_.now());
    }

    void command(std::string const& line) {
        std::istringstream words(line);
        std::string verb, argument;
        words >> verb >> argument;
        if (verb == "dial") return dial(argument);
        if (verb == "reserve") {
            if (auto const asked = relay_.reserve_at(direct_, clock_.now()); !asked)
                say("down", "\"message\":\"" + asked.error().message + "\"");
        }
        if (verb == "upgrade") dcutr_.upgrade(relayed_, clock_.now());
        if (verb == "ping") ask(Stream::Job::ask_ping, proto::ping::protocol, 1);
        if (verb == "echo") ask(Stream::Job::ask_echo, echo_protocol, std::stoul(argument));
    }

    static void say(std::string const& event, std::string const& fields) {
        std::cout << "{\"event\":\"" << event << "\"" << (fields.empty() ? "" : ",") << fields
                  << "}" << std::endl;
    }

private:
    using Key = std::pair<ports::ConnectionId, StreamId>;

    void dial(std::string const& text) {
        auto const dialled = [&]() -> base::Result<ports::ConnectionId> {
            auto const address = KITH_TRY(wire::Multiaddr::from_text(text));
            auto const multihash = address.peer_multihash();
            if (!multihash) return base::fail(base::Code::invalid, "no peer id");
            auto const peer = KITH_TRY(identity::PeerId::from_multihash(*multihash));
            if (address.circuit())
                return relay_.dial(KITH_TRY(node::parse_circuit(address)), peer, clock_.now());
            auto const at = *address.tcp_endpoint();
            return host_.dial({at.ip, at.port}, peer, clock_.now(),
                              {.from = ports::DialFrom::listen_port_if_possible});
        }();
        if (!dialled) say("down", "\"message\":\"" + dialled.error().message + "\"");
    }

    void on(node::PeerConnected& up) {
        identify_.set_audience(connection_, node::Audience::member, protocols(), clock_.now());
        bool const direct = up.path == node::Path::direct;
        (direct ? direct_ : relayed_) = connection_;
        last_ = connection_;
        say("connected", "\"peer\":\"" + up.peer.peer().to_text() + "\",\"path\":\"" +
                             (direct ? "direct" : "relayed") + "\",\"direction\":\"" +
                             (up.direction == node::Direction::inbound ? "inbound" : "outbound") +
                             "\"");
    }
    void on(node::LinkDown& down) {
        std::erase_if(streams_,
                      [this](auto const& entry) { return entry.first.first == connection_; });
        say("down", "\"message\":\"" + down.reason.message + "\"");
    }
    void on(node::StreamOpened& opened) {
        if (opened.direction == node::Direction::inbound) streams_[{connection_, opened.id}];
    }
    void on(node::StreamData& data) {
        host_.consumed(connection_, data.id, data.bytes.size());
        auto const found = streams_.find({connection_, data.id});
        if (found == streams_.end()) return;
        auto& stream = found->second;
        switch (stream.job) {
            case Stream::Job::answer_echo:
                base::append(stream.pending, data.bytes);
                break;
            case Stream::Job::ask_echo:
                for (auto const byte : data.bytes)
                    stream.intact = byte == pattern(stream.received++) && stream.intact;
                break;
            case Stream::Job::ask_ping:
                if (auto const pong = stream.ping.feed(data.bytes, clock_.now()); pong && *pong) {
                    host_.close_write(connection_, data.id);
                    say("pinged", "");
                }
                return;
        }
        write(stream, found->first);
    }
    void on(node::StreamEnded& ended) {
        auto const found = streams_.find({connection_, ended.id});
        if (found == streams_.end()) return;
        auto& stream = found->second;
        stream.ended = true;
        if (stream.job == Stream::Job::ask_echo)
            say("echoed",
                "\"bytes\":" + std::to_string(stream.received) + ",\"ok\":" +
                    (stream.intact && stream.received == stream.total ? "true" : "false"));
        write(stream, found->first);
    }
    void on(node::StreamReset& reset) {
        if (streams_.erase({connection_, reset.id}) > 0)
            say("reset", "\"message\":\"" + reset.reason.message + "\"");
    }
    void on(node::StreamWritable& writable) {
        auto const found = streams_.find({connection_, writable.id});
        if (found != streams_.end()) write(found->second, found->first);
    }

    void ask(Stream::Job job, std::string_view protocol, std::size_t count) {
        auto const id = host_.open_stream(last_, std::string(protocol), clock_.now());
        if (!id) return say("reset", "\"message\":\"" + id.error().message + "\"");
        auto& stream = streams_[{last_, *id}];
        stream.job = job;
        stream.left = stream.total = job == Stream::Job::ask_echo ? count : 0;
        if (job == Stream::Job::ask_ping) {
            proto::ping::Payload payload;
            if (!rng_.fill(payload)) std::abort();
            base::append(stream.pending, stream.ping.start(payload, clock_.now()));
        }
        write(stream, {last_, *id});
    }

    void write(Stream& stream, Key const& key) {
        for (std::size_t taken = 1; taken > 0;) {
            while (stream.left > 0 && stream.pending.size() < write_bytes)
                stream.pending.push_back(pattern(stream.total - stream.left--));
            taken = stream.pending.empty() ? 0 : host_.write(key.first, key.second, stream.pending);
            stream.pending.erase(stream.pending.begin(),
                                 stream.pending.begin() + static_cast<std::ptrdiff_t>(taken));
        }
        bool const over = stream.job == Stream::Job::ask_echo ? stream.left == 0 : stream.ended;
        if (stream.job != Stream::Job::ask_ping && stream.pending.empty() && over)
            host_.close_write(key.first, key.second);
    }

    node::Host& host_;
    ports::Rng& rng_;
    ports::Clock const& clock_;
    node::RelayService relay_;
    node::IdentifyService identify_;
    node::DcutrService dcutr_;
    wire::Multiaddr own_;
    ports::ConnectionId connection_{};  // of the event in hand
    ports::ConnectionId direct_{}, relayed_{}, last_{};
    std::map<Key, Stream> streams_;
};

Grant grant_of(std::string_view word) {
    if (word == "unlimited") return Grant::unlimited;
    return word == "limited" ? Grant::limited : Grant::refused;
}

int run(Grant grant, std::string const& ip) {
    io::OsRng rng;
    io::OsClock clock;
    crypto::Secret<identity::identity_random_bytes> random;
    if (!rng.fill(random.mutable_view())) return 1;
    auto const self = identity::Identity::create(random, clock.unix_now());
    if (!self) return 1;
    auto host = node::Host::create(*self, rng, {.limits = {}, .accepted_protocols = protocols()});
    if (!host) return 1;
    asio::io_context context;
    Peer peer(**host, *self, rng, clock, grant);
    io::TcpDriver driver(context, **host, clock, [&peer] { peer.on_turn(); });
    auto const bound = driver.listen({ip, 0});
    if (!bound) return 1;
    peer.listening(*bound);
    Peer::say("listening", "\"peer\":\"" + self->peer_id().to_text() +
                               "\",\"port\":" + std::to_string(bound->port));

    asio::steady_timer timer(context);
    std::function<void()> next_tick = [&] {
        timer.expires_after(tick);
        timer.async_wait([&](boost::system::error_code code) {
            if (code) return;
            peer.on_tick();
            driver.pump();
            next_tick();
        });
    };
    next_tick();
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

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2 || argc > 3) return 2;
    return run(grant_of(argv[1]), argc == 3 ? argv[2] : "127.0.0.1");
}
