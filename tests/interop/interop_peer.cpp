// tests/interop/interop_peer.cpp: a small peer on our Host and TcpDriver, steered by lines on
// standard input and answering in JSON lines on standard output, so that a script can play the
// other side.
//
//   -> listening {peer, port}      once at the start
//   <- dial IP PORT PEER_ID        -> connected {peer, direction} | down {code, message}
//   <- ping COUNT                  -> pinged {count, us_max}
//   <- identify                    -> identified {agent, protocols, observed}
//   <- echo BYTES                  -> echoed {bytes, ok}
//   <- handshakes IP PORT PEER_ID PARALLEL COUNT    -> handshaken {count}: dials that came up, each
//                                     ended at once; nothing is said of them one by one
//   end of input: exit; status 3 when more files are open than before the first socket
//
// Serves /ipfs/ping/1.0.0, /ipfs/id/1.0.0 and /kith-interop/echo/1.0.0 to everybody. With the
// argument --many it says nothing of single connections and takes any number. With --kad also
// /ipfs/kad/1.0.0: it then identifies every peer by itself, and takes the lines of interop_kad.h.
// With --late-muxer it announces no muxer inside the Noise handshake.
#include <unistd.h>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/streambuf.hpp>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <iostream>
#include <map>
#include <sstream>

#include "interop_kad.h"
#include "io/net/os.h"
#include "io/net/tcp_driver.h"
#include "node/link/host.h"
#include "proto/identify/identify.h"
#include "proto/ping/ping.h"

namespace asio = boost::asio;
using namespace kith;
using node::StreamId;

namespace {

constexpr std::string_view echo_protocol = "/kith-interop/echo/1.0.0";
constexpr std::size_t write_bytes = 64 * 1024;

enum class Mode { plain, kad, many };

std::vector<std::string> protocols(Mode mode) {
    std::vector<std::string> out{std::string(proto::ping::protocol),
                                 std::string(proto::identify::protocol),
                                 std::string(echo_protocol)};
    if (mode == Mode::kad) out.emplace_back(proto::kad::libp2p_protocol);
    return out;
}

// What one stream is for and how far it got.
struct Stream {
    enum class Job { answer_ping, answer_echo, ask_ping, ask_identify, ask_echo } job;
    proto::ping::Responder responder;
    proto::ping::Requester requester;
    std::optional<proto::identify::Reader> reader;
    base::Bytes pending;   // to be written
    std::size_t left = 0;  // pings to go, or bytes of the echo to send
    std::size_t received = 0, total = 0;
    base::Duration slowest{};
    bool intact = true, ended = false;
};

// What an echo sends, from any position on; it repeats after pattern_period. Built once, because
// this program also runs with sanitizers, where bytes one by one would take most of the time.
constexpr std::size_t pattern_period = 2 * 1024 * 1024;

base::Bytes make_pattern() {
    base::Bytes bytes(2 * pattern_period);
    for (std::size_t i = 0; i < bytes.size(); ++i)
        bytes[i] = static_cast<std::uint8_t>(i * 31 + (i >> 13));
    return bytes;
}

class Peer {
public:
    Peer(node::Host& host, identity::Identity const& self, ports::Rng& rng,
         ports::Clock const& clock, Mode mode)
        : mode_(mode), host_(host), self_(self), rng_(rng), clock_(clock) {
        if (mode == Mode::kad) kad_.emplace(host, self, rng, clock, say);
    }

    interop::KadPart* kad() { return kad_ ? &*kad_ : nullptr; }

    void set_port(std::uint16_t port) {
        auto const address = wire::Multiaddr::tcp("127.0.0.1", port);
        if (!kad_ || !address) return;
        address_ = *address;
        kad_->set_address(*address);
    }

    void on_turn() {
        while (auto event = host_.poll_event()) {
            connection_ = event->connection;
            if (kad_ && kad_->on_event(*event) == node::Taken::yes) continue;
            std::visit([this](auto& what) { on(what); }, event->what);
        }
        if (kad_) kad_->report();
    }

    void command(std::string const& line) {
        std::istringstream words(line);
        std::string verb, ip, peer;
        std::size_t number = 0;
        words >> verb;
        if (verb == "handshakes") {
            words >> ip >> number >> peer;
            flood_.to = {ip, static_cast<std::uint16_t>(number)};
            flood_.expected = *identity::PeerId::parse(peer);
            words >> number >> flood_.left;
            flood_.total = flood_.left;
            for (std::size_t i = 0; i < number; ++i) dial_next();
            return;
        }
        if (verb == "dial") {
            words >> ip >> number >> peer;
            auto const expected = identity::PeerId::parse(peer);
            if (!expected) return say("down", "\"code\":\"invalid\"");
            auto const dialled =
                host_.dial({ip, static_cast<std::uint16_t>(number)}, *expected, clock_.now());
            if (!dialled) say("down", "\"code\":\"too_large\"");
            return;
        }
        if (verb.starts_with("kad-")) {
            std::string first, second;
            words >> first >> second;
            if (kad_) kad_->command(verb, first, second);
            return;
        }
        words >> number;
        if (verb == "ping") ask(Stream::Job::ask_ping, proto::ping::protocol, number);
        if (verb == "identify") ask(Stream::Job::ask_identify, proto::identify::protocol, 0);
        if (verb == "echo") ask(Stream::Job::ask_echo, echo_protocol, number);
    }

    static void say(std::string const& event, std::string const& fields) {
        std::cout << "{\"event\":\"" << event << "\"," << fields << "}" << std::endl;
    }

private:
    using Key = std::pair<ports::ConnectionId, StreamId>;

    // Many dials, some at a time.
    struct Flood {
        ports::SocketAddress to;
        std::optional<identity::PeerId> expected;
        std::size_t left = 0, under_way = 0, total = 0;
    };

    void dial_next() {
        if (flood_.left == 0) {
            if (flood_.under_way == 0)
                say("handshaken", "\"count\":" + std::to_string(flood_.total));
            return;
        }
        --flood_.left;
        ++flood_.under_way;
        if (!host_.dial(flood_.to, flood_.expected, clock_.now())) std::abort();
    }

    void on(node::PeerConnected& up) {
        if (mode_ == Mode::many) {
            if (up.direction == node::Direction::inbound) return;
            return host_.disconnect(connection_, {base::Code::cancelled, "enough"});
        }
        observed_[connection_] = up.remote;
        peers_[connection_] = up.peer.peer();
        bool const inbound = up.direction == node::Direction::inbound;
        say("connected", "\"peer\":\"" + up.peer.peer().to_text() + "\",\"direction\":\"" +
                             (inbound ? "inbound" : "outbound") + "\"");
        if (kad_) ask(Stream::Job::ask_identify, proto::identify::protocol, 0);
    }
    void on(node::LinkDown& down) {
        std::erase_if(streams_,
                      [this](auto const& entry) { return entry.first.first == connection_; });
        if (mode_ == Mode::many) {
            if (down.direction == node::Direction::inbound) return;
            if (down.stage != trust::LinkStage::proved) std::abort();
            --flood_.under_way;
            return dial_next();
        }
        say("down", std::string("\"code\":\"") + base::code_name(down.reason.code) +
                        "\",\"message\":\"" + down.reason.message + "\"");
    }
    void on(node::StreamOpened& opened) {
        if (opened.direction == node::Direction::outbound) return;
        Key const key{connection_, opened.id};
        if (opened.protocol == proto::identify::protocol) return answer_identify(opened.id);
        streams_[key].job = opened.protocol == proto::ping::protocol ? Stream::Job::answer_ping
                                                                     : Stream::Job::answer_echo;
    }
    void on(node::StreamData& data) {
        auto const found = streams_.find({connection_, data.id});
        host_.consumed(connection_, data.id, data.bytes.size());
        if (found == streams_.end()) return;
        receive(found->second, data.id, data.bytes);
        write(found->second, data.id);
    }
    void on(node::StreamEnded& ended) {
        auto const found = streams_.find({connection_, ended.id});
        if (found == streams_.end()) return;
        auto& stream = found->second;
        stream.ended = true;
        if (stream.job == Stream::Job::ask_identify) report_identify(stream);
        if (stream.job == Stream::Job::ask_echo)
            say("echoed",
                "\"bytes\":" + std::to_string(stream.received) + ",\"ok\":" +
                    (stream.intact && stream.received == stream.total ? "true" : "false"));
        write(stream, ended.id);
    }
    void on(node::StreamReset& reset) {
        if (streams_.erase({connection_, reset.id}) > 0)
            say("reset", "\"message\":\"" + reset.reason.message + "\"");
    }
    void on(node::StreamWritable& writable) {
        auto const found = streams_.find({connection_, writable.id});
        if (found != streams_.end()) write(found->second, writable.id);
    }

    void answer_identify(StreamId id) {
        proto::identify::Info info{.protocol_version = "ipfs/0.1.0",
                                   .agent_version = "kith-interop/1",
                                   .protocols = protocols(kad_ ? Mode::kad : Mode::plain),
                                   .listen_addresses = {},
                                   .observed_address = {},
                                   .signed_peer_record = {}};
        if (address_) info.listen_addresses = {*address_};
        auto const& remote = observed_[connection_];
        if (auto const address = wire::Multiaddr::tcp(remote.ip, remote.port))
            info.observed_address = *address;
        host_.write(connection_, id, proto::identify::build(info, self_.operational_public_key()));
        host_.close_write(connection_, id);
    }

    void ask(Stream::Job job, std::string_view protocol, std::size_t count) {
        auto const id = host_.open_stream(connection_, std::string(protocol), clock_.now());
        if (!id) return say("reset", "\"message\":\"" + id.error().message + "\"");
        auto& stream = streams_[{connection_, *id}];
        stream.job = job;
        stream.left = stream.total = count;
        if (job == Stream::Job::ask_identify) stream.reader.emplace(peers_[connection_]);
        if (job == Stream::Job::ask_ping) next_ping(stream);
        write(stream, *id);
    }

    void next_ping(Stream& stream) {
        proto::ping::Payload payload;
        if (!rng_.fill(payload)) std::abort();
        base::append(stream.pending, stream.requester.start(payload, clock_.now()));
        --stream.left;
    }

    void receive(Stream& stream, StreamId id, base::ByteView bytes) {
        bool good = true;
        switch (stream.job) {
            case Stream::Job::answer_ping:
                good = stream.responder.feed(bytes).has_value();
                base::append(stream.pending, stream.responder.pending());
                stream.responder.sent(stream.responder.pending().size());
                break;
            case Stream::Job::answer_echo:
                base::append(stream.pending, bytes);
                break;
            case Stream::Job::ask_identify:
                good = stream.reader->feed(bytes).has_value();
                break;
            case Stream::Job::ask_echo:
                check_echo(stream, bytes);
                break;
            case Stream::Job::ask_ping:
                good = on_pong(stream, id, bytes);
                break;
        }
        if (!good) {
            say("reset", "\"message\":\"bad bytes\"");
            host_.reset(connection_, id);
        }
    }

    // `size` up to pattern_period.
    [[nodiscard]] base::ByteView expected(std::size_t position, std::size_t size) const {
        return base::ByteView(pattern_).subspan(position % pattern_period, size);
    }

    void check_echo(Stream& stream, base::ByteView bytes) {
        while (!bytes.empty()) {
            auto const part = bytes.first(std::min(bytes.size(), pattern_period));
            stream.intact =
                std::ranges::equal(part, expected(stream.received, part.size())) && stream.intact;
            stream.received += part.size();
            bytes = bytes.subspan(part.size());
        }
    }

    bool on_pong(Stream& stream, StreamId id, base::ByteView bytes) {
        auto const round_trip = stream.requester.feed(bytes, clock_.now());
        if (!round_trip) return false;
        if (!*round_trip) return true;
        stream.slowest = std::max(stream.slowest, **round_trip);
        if (stream.left > 0) {
            next_ping(stream);
        } else {
            host_.close_write(connection_, id);
            say("pinged", "\"count\":" + std::to_string(stream.total) +
                              ",\"us_max\":" + std::to_string(stream.slowest.count()));
        }
        return true;
    }

    void write(Stream& stream, StreamId id) {
        for (std::size_t taken = 1; taken > 0;) {
            if (stream.job == Stream::Job::ask_echo && stream.pending.size() < write_bytes) {
                auto const size = std::min(stream.left, write_bytes - stream.pending.size());
                base::append(stream.pending, expected(stream.total - stream.left, size));
                stream.left -= size;
            }
            taken = stream.pending.empty() ? 0 : host_.write(connection_, id, stream.pending);
            stream.pending.erase(stream.pending.begin(),
                                 stream.pending.begin() + static_cast<std::ptrdiff_t>(taken));
        }
        bool const asked_all = stream.job == Stream::Job::ask_echo && stream.left == 0;
        bool const answered_all = stream.ended && (stream.job == Stream::Job::answer_echo ||
                                                   stream.job == Stream::Job::answer_ping);
        if (stream.pending.empty() && (asked_all || answered_all))
            host_.close_write(connection_, id);
    }

    void report_identify(Stream& stream) {
        auto const info = stream.reader->finish();
        if (!info) return say("reset", "\"message\":\"" + info.error().message + "\"");
        if (kad_) return kad_->on_identified(connection_, peers_[connection_], *info);
        std::string list;
        for (auto const& protocol : info->protocols)
            list += (list.empty() ? "\"" : ",\"") + protocol + "\"";
        say("identified", "\"agent\":\"" + info->agent_version + "\",\"protocols\":[" + list +
                              "],\"observed\":\"" +
                              (info->observed_address ? info->observed_address->to_text() : "") +
                              "\"");
    }

    base::Bytes const pattern_ = make_pattern();
    Mode mode_;
    Flood flood_;
    node::Host& host_;
    identity::Identity const& self_;
    ports::Rng& rng_;
    ports::Clock const& clock_;
    ports::ConnectionId connection_{};  // of the event in hand; commands use the last one
    std::map<ports::ConnectionId, ports::SocketAddress> observed_;
    std::map<ports::ConnectionId, identity::PeerId> peers_;
    std::map<Key, Stream> streams_;
    std::optional<wire::Multiaddr> address_;
    std::optional<interop::KadPart> kad_;
};

// The host, with the deadlines of Kademlia among its own.
class Core final : public ports::NetworkCore {
public:
    Core(node::Host& host, interop::KadPart* kad) : host_(host), kad_(kad) {}

    void on_accepted(ports::ConnectionId id, ports::SocketAddress remote,
                     base::Instant now) override {
        host_.on_accepted(id, std::move(remote), now);
    }
    void on_connected(ports::ConnectionId id, base::Instant now) override {
        host_.on_connected(id, now);
    }
    void on_bytes(ports::ConnectionId id, base::ByteView bytes, base::Instant now) override {
        host_.on_bytes(id, bytes, now);
    }
    void on_closed(ports::ConnectionId id, base::Error reason, base::Instant now) override {
        host_.on_closed(id, std::move(reason), now);
    }
    void on_deadline(base::Instant now) override {
        host_.on_deadline(now);
        if (kad_) kad_->on_deadline();
    }
    bool poll_transmit(ports::ConnectionId id, base::Bytes& out, base::Instant now) override {
        return host_.poll_transmit(id, out, now);
    }
    std::optional<ports::NetworkOutput> poll_output() override { return host_.poll_output(); }
    [[nodiscard]] std::optional<base::Instant> deadline() const override {
        auto const own = host_.deadline();
        auto const other = kad_ ? kad_->deadline() : std::nullopt;
        if (!own || !other) return own ? own : other;
        return std::min(*own, *other);
    }

private:
    node::Host& host_;
    interop::KadPart* kad_;
};

std::ptrdiff_t open_files_count() {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                         std::filesystem::directory_iterator{});
}

int run(int argc, char** argv) {
    std::string_view const option = argc == 2 ? argv[1] : "";
    auto const mode = option == "--kad" ? Mode::kad : option == "--many" ? Mode::many : Mode::plain;
    node::HostLimits limits;
    if (mode == Mode::many)
        limits.pending_per_ip_max = limits.strangers_max = limits.inbound_per_peer_max =
            limits.pending_inbound_max = limits.connections_max;
    io::OsRng rng;
    io::OsClock clock;
    crypto::Secret<identity::identity_random_bytes> random;
    if (!rng.fill(random.mutable_view())) return 1;
    auto const self = identity::Identity::create(random, clock.unix_now());
    if (!self) return 1;
    auto const early =
        option == "--late-muxer" ? node::EarlyMuxer::off : node::EarlyMuxer::announce;
    auto host = node::Host::create(
        *self, rng,
        {.limits = limits, .accepted_protocols = protocols(mode), .early_muxer = early});
    if (!host) return 1;
    asio::io_context context;
    Peer peer(**host, *self, rng, clock, mode);
    Core core(**host, peer.kad());
    io::TcpDriver driver(context, core, clock, [&peer] { peer.on_turn(); });
    auto const bound = driver.listen({"127.0.0.1", 0});
    if (!bound) return 1;
    peer.set_port(bound->port);
    Peer::say("listening", "\"peer\":\"" + self->peer_id().to_text() +
                               "\",\"port\":" + std::to_string(bound->port));

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
    auto const before = open_files_count();
    auto const status = run(argc, argv);
    return status == 0 && open_files_count() != before ? 3 : status;
}
