#include "io/net/tcp_driver.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <list>
#include <map>
#include <optional>

#include "base/check.h"
#include "io/net/listen_port.h"

namespace kith::io {

namespace asio = boost::asio;
using asio::ip::tcp;
using base::Code;
using base::Error;
using base::fail;
using base::Instant;
using base::Result;
using boost::system::error_code;
using ports::ConnectionId;
using ports::SocketAddress;

namespace {

constexpr std::chrono::milliseconds accept_retry_delay{200};  // after EMFILE and its kin

Error error_of(error_code const& code) {
    if (code == asio::error::eof)
        return {.code = Code::unavailable, .message = "the peer closed the connection"};
    return {.code = Code::unavailable, .message = "connection: " + code.message()};
}

Result<tcp::endpoint> parse(SocketAddress const& address) {
    error_code code;
    auto const ip = asio::ip::make_address(address.ip, code);
    if (code) return fail(Code::invalid, "not a numeric IP address: " + address.ip);
    return tcp::endpoint(ip, address.port);
}

SocketAddress format(tcp::endpoint const& endpoint) {
    auto ip = endpoint.address();
    // One person is one address for the per-IP limits, whichever way a dual-stack listener sees it.
    if (ip.is_v6() && ip.to_v6().is_v4_mapped())
        ip = asio::ip::make_address_v4(asio::ip::v4_mapped, ip.to_v6());
    return {.ip = ip.to_string(), .port = endpoint.port()};
}

}  // namespace

struct TcpDriver::Impl : std::enable_shared_from_this<TcpDriver::Impl> {
    struct Connection {
        enum class State {
            connecting,
            open,
            closing
        };  // closing: last bytes of the core leave, nothing is read

        Connection(ConnectionId id_in, tcp::socket socket_in)
            : id(id_in), socket(std::move(socket_in)) {}

        ConnectionId id;
        tcp::socket socket;
        State state = State::connecting;
        base::Bytes out;  // being written
        bool writing = false;
        Instant close_by{};
    };
    using ConnectionPtr =
        std::shared_ptr<Connection>;  // shared with the handlers of its socket only

    Impl(asio::io_context& context_in, ports::NetworkCore& core_in, ports::Clock const& clock_in,
         std::function<void()> on_turn_in)
        : context(context_in),
          core(core_in),
          clock(clock_in),
          on_turn(std::move(on_turn_in)),
          timer(context_in) {}

    Result<SocketAddress> listen(SocketAddress const& address);
    void accept(tcp::acceptor& acceptor);
    void retry_accept(tcp::acceptor& acceptor);
    void adopt(tcp::socket socket);
    void dial(ports::Dial const& request);
    void connect(ConnectionPtr const& connection, tcp::endpoint const& to, ports::DialFrom from);
    void read(ConnectionPtr const& connection);
    void on_readable(ConnectionPtr const& connection);
    void write(ConnectionPtr const& connection);
    void close(ConnectionId id);
    void broken(ConnectionPtr const& connection, error_code const& code);
    void forget(ConnectionPtr const& connection);
    void turn();
    bool carry_out();
    void arm_timer();
    void on_timer();
    void stop();

    asio::io_context& context;
    ports::NetworkCore& core;
    ports::Clock const& clock;
    std::function<void()> on_turn;
    std::list<tcp::acceptor> acceptors;
    std::map<ConnectionId, ConnectionPtr> connections;
    std::uint64_t next_accepted = 1;  // odd ids are the driver's
    std::size_t closing_count = 0;
    base::Bytes read_buffer = base::Bytes(read_bytes_max);
    asio::steady_timer timer;
    std::optional<Instant> armed_for;
    bool in_turn = false, stopped = false;
};

Result<SocketAddress> TcpDriver::Impl::listen(SocketAddress const& address) {
    if (acceptors.size() == listeners_max) return fail(Code::too_large, "too many listeners");
    auto const endpoint = KITH_TRY(parse(address));
    error_code code;
    tcp::acceptor acceptor(context);
    acceptor.open(endpoint.protocol(), code);
    if (!code) acceptor.set_option(tcp::acceptor::reuse_address(true), code);
    if (!code) acceptor.bind(endpoint, code);
    if (code == asio::error::address_in_use &&
        endpoint == tcp::endpoint(tcp::v6(), endpoint.port())) {
        // "[::]" takes IPv4 along, unless that is listened on already.
        acceptor.set_option(asio::ip::v6_only(true), code);
        if (!code) acceptor.bind(endpoint, code);
    }
    if (!code) acceptor.listen(listen_backlog, code);
    if (!code) share_port(acceptor, code);
    if (!code) acceptor.non_blocking(true, code);
    auto const bound = code ? tcp::endpoint{} : acceptor.local_endpoint(code);
    if (code)
        return fail(Code::io, "cannot listen on " + address.ip + " port " +
                                  std::to_string(address.port) + ": " + code.message());
    accept(acceptors.emplace_back(std::move(acceptor)));
    return format(bound);
}

void TcpDriver::Impl::accept(tcp::acceptor& acceptor) {
    acceptor.async_accept(
        [self = shared_from_this(), &acceptor](error_code code, tcp::socket socket) {
            if (self->stopped) return;
            if (code && code != asio::error::connection_aborted)
                return self->retry_accept(acceptor);
            if (!code) self->adopt(std::move(socket));
            if (self->stopped) return;
            self->accept(acceptor);
            self->turn();
        });
}

// Out of file descriptors or memory: wait instead of spinning; connections wait in the backlog
// meanwhile.
void TcpDriver::Impl::retry_accept(tcp::acceptor& acceptor) {
    auto delay = std::make_unique<asio::steady_timer>(context, accept_retry_delay);
    auto& waiting = *delay;
    waiting.async_wait(
        [self = shared_from_this(), &acceptor, owned = std::move(delay)](error_code) {
            if (!self->stopped) self->accept(acceptor);
        });
}

void TcpDriver::Impl::adopt(tcp::socket socket) {
    error_code code;
    auto const remote = socket.remote_endpoint(code);
    if (code || connections.size() >= sockets_max) return;  // the socket closes here
    socket.set_option(tcp::no_delay(true), code);
    socket.non_blocking(true, code);
    ConnectionId const id{next_accepted};
    next_accepted += 2;
    auto const connection = std::make_shared<Connection>(id, std::move(socket));
    connection->state = Connection::State::open;
    connections.emplace(id, connection);
    core.on_accepted(id, format(remote), clock.now());
    read(connection);
}

void TcpDriver::Impl::dial(ports::Dial const& request) {
    auto const endpoint = parse(request.to);
    if (!endpoint) return core.on_closed(request.id, endpoint.error(), clock.now());
    if (connections.size() >= sockets_max)
        return core.on_closed(request.id, {.code = Code::too_large, .message = "too many sockets"},
                              clock.now());
    auto const connection = std::make_shared<Connection>(request.id, tcp::socket(context));
    connections.emplace(request.id, connection);
    connect(connection, *endpoint, request.from);
}

void TcpDriver::Impl::connect(ConnectionPtr const& connection, tcp::endpoint const& to,
                              ports::DialFrom from) {
    using ports::DialFrom;
    error_code unbound;
    if (from != DialFrom::any_port) open_at_listen_port(connection->socket, acceptors, to, unbound);
    if (unbound && from == DialFrom::listen_port) return broken(connection, unbound);
    if (unbound) {
        connection->socket = tcp::socket(context);
        from = DialFrom::any_port;
    }
    connection->socket.async_connect(
        to, [self = shared_from_this(), connection, to, from](error_code code) {
            if (self->stopped || connection->state != Connection::State::connecting) return;
            // From the same port to the same address there is one connection at a time, and for a
            // minute after it none.
            bool const is_taken = code == boost::system::errc::address_not_available ||
                                  code == boost::system::errc::address_in_use;
            if (is_taken && from == DialFrom::listen_port_if_possible) {
                connection->socket = tcp::socket(self->context);
                return self->connect(connection, to, DialFrom::any_port);
            }
            if (code) {
                self->broken(connection, code);
            } else {
                connection->state = Connection::State::open;
                connection->socket.set_option(tcp::no_delay(true), code);
                connection->socket.non_blocking(true, code);
                self->core.on_connected(connection->id, self->clock.now());
                self->read(connection);
            }
            self->turn();
        });
}

void TcpDriver::Impl::read(ConnectionPtr const& connection) {
    connection->socket.async_wait(
        tcp::socket::wait_read, [self = shared_from_this(), connection](error_code code) {
            if (self->stopped || connection->state != Connection::State::open) return;
            if (code)
                self->broken(connection, code);
            else
                self->on_readable(connection);
            self->turn();
        });
}

void TcpDriver::Impl::on_readable(ConnectionPtr const& connection) {
    error_code code;
    auto const size = connection->socket.read_some(asio::buffer(read_buffer), code);
    if (code && code != asio::error::would_block) return broken(connection, code);
    if (size > 0)
        core.on_bytes(connection->id, base::ByteView(read_buffer).first(size), clock.now());
    read(connection);
}

void TcpDriver::Impl::write(ConnectionPtr const& connection) {
    if (connection->writing || connection->state == Connection::State::connecting) return;
    connection->out.clear();
    if (!core.poll_transmit(connection->id, connection->out, clock.now())) {
        connection->out = base::Bytes();  // idle connections are many
        if (connection->state == Connection::State::closing) forget(connection);
        return;
    }
    connection->writing = true;
    asio::async_write(connection->socket, asio::buffer(connection->out),
                      [self = shared_from_this(), connection](error_code code, std::size_t) {
                          if (self->stopped) return;
                          connection->writing = false;
                          if (code && connection->state == Connection::State::open)
                              self->broken(connection, code);
                          else if (code)
                              self->forget(connection);
                          else
                              self->write(connection);
                          self->turn();
                      });
}

void TcpDriver::Impl::close(ConnectionId id) {
    auto const found = connections.find(id);
    if (found == connections.end()) return;
    auto const connection = found->second;
    if (connection->state == Connection::State::connecting) return forget(connection);
    if (connection->state == Connection::State::closing) return;
    connection->state = Connection::State::closing;
    connection->close_by = clock.now() + close_linger_max;
    ++closing_count;
    error_code ignored;
    connection->socket.shutdown(tcp::socket::shutdown_receive, ignored);
    write(connection);
}

void TcpDriver::Impl::broken(ConnectionPtr const& connection, error_code const& code) {
    forget(connection);
    core.on_closed(connection->id, error_of(code), clock.now());
}

void TcpDriver::Impl::forget(ConnectionPtr const& connection) {
    if (connections.erase(connection->id) == 0) return;
    if (connection->state == Connection::State::closing) --closing_count;
    connection->state = Connection::State::closing;  // handlers under way find nothing to do
    error_code ignored;
    connection->socket.shutdown(tcp::socket::shutdown_both, ignored);
    connection->socket.close(ignored);
}

void TcpDriver::Impl::turn() {
    if (in_turn || stopped) return;
    in_turn = true;
    bool settled = false;
    for (std::size_t round = 0; round < turn_rounds_max && !settled && !stopped; ++round) {
        bool const acted = carry_out();
        settled = round > 0 && !acted;
        if (!settled && on_turn) on_turn();
    }
    in_turn = false;
    if (stopped) return;
    if (!settled) asio::post(context, [self = shared_from_this()] { self->turn(); });
    arm_timer();
}

bool TcpDriver::Impl::carry_out() {
    bool acted = false;
    while (auto const output = core.poll_output()) {
        acted = true;
        if (auto const* request = std::get_if<ports::Dial>(&*output)) dial(*request);
        if (auto const* closed = std::get_if<ports::Close>(&*output)) close(closed->id);
        if (auto const* transmit = std::get_if<ports::Transmit>(&*output)) {
            auto const found = connections.find(transmit->id);
            if (found != connections.end()) write(ConnectionPtr(found->second));
        }
    }
    return acted;
}

void TcpDriver::Impl::arm_timer() {
    auto due = core.deadline();
    if (closing_count > 0)
        for (auto const& [id, connection] : connections)
            if (connection->state == Connection::State::closing &&
                (!due || connection->close_by < *due))
                due = connection->close_by;
    // A timer that rings too early is harmless and re-arms itself; one that rings too late is not.
    if (!due || (armed_for && *armed_for <= *due)) return;
    armed_for = due;
    auto const now = clock.now();
    timer.expires_after(*due > now ? *due - now : base::Duration::zero());
    timer.async_wait([self = shared_from_this()](error_code code) {
        if (!code && !self->stopped) self->on_timer();
    });
}

void TcpDriver::Impl::on_timer() {
    armed_for.reset();
    auto const now = clock.now();
    core.on_deadline(now);
    std::vector<ConnectionPtr> overdue;
    for (auto const& [id, connection] : connections)
        if (connection->state == Connection::State::closing && connection->close_by <= now)
            overdue.push_back(connection);
    for (auto const& connection : overdue) forget(connection);
    turn();
}

void TcpDriver::Impl::stop() {
    stopped = true;
    error_code ignored;
    for (auto& acceptor : acceptors) acceptor.close(ignored);
    for (auto& [id, connection] : connections) connection->socket.close(ignored);
    connections.clear();
    timer.cancel();
}

TcpDriver::TcpDriver(asio::io_context& context, ports::NetworkCore& core, ports::Clock const& clock,
                     std::function<void()> on_turn)
    : impl_(std::make_shared<Impl>(context, core, clock, std::move(on_turn))) {}

TcpDriver::~TcpDriver() {
    stop();
}

Result<SocketAddress> TcpDriver::listen(SocketAddress const& address) {
    return impl_->listen(address);
}

void TcpDriver::pump() {
    impl_->turn();
}

void TcpDriver::stop() {
    impl_->stop();
}

}  // namespace kith::io
