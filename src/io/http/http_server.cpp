#include "io/http/http_server.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <optional>
#include <string>
#include <utility>

#include "base/encoding.h"
#include "base/sabotage.h"
#include "io/http/http_session.h"

namespace kith::io {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using ErrorCode = boost::system::error_code;

// How long accepting pauses when the process is out of descriptors.
constexpr std::chrono::milliseconds accept_pause{100};

// Addresses that one person can have at will count as one client.
std::string client_of(tcp::socket const& socket) {
    ErrorCode error;
    auto const address = socket.remote_endpoint(error).address();
    if (!address.is_v6()) return address.to_string();
    auto const bytes = address.to_v6().to_bytes();
    if (address.to_v6().is_v4_mapped())
        return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6()).to_string();
    return base::to_hex(base::ByteView(bytes).first(8));
}

// A full house says so if the kernel takes it at once; nobody waits for this client.
void turn_away(tcp::socket& socket) {
    auto response = api::refusal_response(503, "There are too many connections.");
    response.fields.push_back({"retry-after", "2"});
    auto const text = api::render_response(response, api::BodyPart::send);
    ErrorCode ignored;
    socket.non_blocking(true, ignored);
    socket.write_some(asio::buffer(text), ignored);
    socket.shutdown(tcp::socket::shutdown_send, ignored);
    socket.close(ignored);
}

// Owned by the coroutine that accepts, so that stopping needs no waiting.
struct Listener {
    Listener(asio::io_context& context, HttpSessions& common)
        : acceptor(context), pause(context), sessions(&common) {}
    tcp::acceptor acceptor;
    asio::steady_timer pause;
    HttpSessions* sessions;  // null once the server has stopped
    Listener** backlink =
        nullptr;  // the server's pointer to this; null once the server has stopped
    ~Listener() {
        if (backlink != nullptr) *backlink = nullptr;
    }
    Listener(Listener const&) = delete;
    Listener& operator=(Listener const&) = delete;
};

// Whoever can open connections but has not the key (another user of this machine, over loopback)
// must not be able to keep out who has it.
HttpSession* oldest_without_key(HttpSessions const& sessions,
                                std::optional<std::string> const& among_client) {
    for (auto const& [number, session] : sessions.open)
        if (KITH_GUARD("S60.keyless_gives_way", session->may_give_way()) &&
            (!among_client || session->client() == *among_client))
            return session;
    return nullptr;
}

void take_in(HttpSessions& sessions, tcp::socket socket) {
    std::string client = client_of(socket);
    auto const found = sessions.open_per_client.find(client);
    auto const of_client = found == sessions.open_per_client.end() ? 0 : found->second;
    bool const client_has_room = of_client < sessions.options.connections_per_client_max;
    bool const room = client_has_room && sessions.open.size() < sessions.options.connections_max;
    if (!KITH_GUARD("S60.connections", room)) {
        auto const among = client_has_room ? std::nullopt : std::optional(client);
        auto* const oldest = oldest_without_key(sessions, among);
        if (oldest == nullptr) return turn_away(socket);
        oldest->give_way();
    }
    ErrorCode ignored;
    socket.set_option(tcp::no_delay(true), ignored);  // pieces of a stream are small
    auto const executor = socket.get_executor();
    auto session = std::make_unique<HttpSession>(std::move(socket), sessions, std::move(client));
    asio::co_spawn(executor, HttpSession::run(std::move(session)), asio::detached);
}

asio::awaitable<void> accept_loop(std::unique_ptr<Listener> self) {
    constexpr auto no_throw = asio::as_tuple(asio::use_awaitable);
    while (self->sessions != nullptr) {
        auto [error, socket] = co_await self->acceptor.async_accept(no_throw);
        if (self->sessions == nullptr) co_return;
        if (!error) {
            take_in(*self->sessions, std::move(socket));
            continue;
        }
        self->pause.expires_after(accept_pause);
        co_await self->pause.async_wait(no_throw);
    }
}

base::Status listen(tcp::acceptor& acceptor, tcp::endpoint const& at) {
    ErrorCode error;
    acceptor.open(at.protocol(), error);
    if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor.bind(at, error);
    if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
    if (error)
        return base::fail(base::Code::io, "cannot listen on " + at.address().to_string() +
                                              " port " + std::to_string(at.port()) + ": " +
                                              error.message());
    return {};
}

}  // namespace

struct HttpServer::Impl {
    asio::io_context& context;
    HttpSessions sessions;
    Listener* listener = nullptr;  // owned by its coroutine
};

HttpServer::HttpServer(asio::io_context& context, api::HttpDoor& door, HttpServerOptions options,
                       HttpLog log)
    : impl_(new Impl{.context = context, .sessions = {door, options, std::move(log)}}) {}

HttpServer::~HttpServer() {
    stop();
}

base::Result<ports::SocketAddress> HttpServer::start(api::CheckedBind const& bind) {
    if (impl_->listener != nullptr)
        return base::fail(base::Code::conflict, "the HTTP server is listening already");
    ErrorCode error;
    auto const address = asio::ip::make_address(bind.ip(), error);
    if (error) return base::fail(base::Code::invalid, "the address to listen on is not numeric");
    auto listener = std::make_unique<Listener>(impl_->context, impl_->sessions);
    KITH_TRY(listen(listener->acceptor, {address, bind.port()}));
    auto const bound = listener->acceptor.local_endpoint(error);
    if (error) return base::fail(base::Code::io, "the listening socket has no address");
    listener->backlink = &impl_->listener;
    impl_->listener = listener.get();
    asio::co_spawn(impl_->context, accept_loop(std::move(listener)), asio::detached);
    return ports::SocketAddress{bound.address().to_string(), bound.port()};
}

void HttpServer::stop() {
    if (impl_->listener != nullptr) {
        impl_->listener->sessions = nullptr;
        impl_->listener->backlink = nullptr;
        ErrorCode ignored;
        impl_->listener->acceptor.close(ignored);
        impl_->listener->pause.cancel();
        impl_->listener = nullptr;
    }
    for (auto const& [number, session] : impl_->sessions.open) session->abort();
    impl_->sessions.open.clear();
    impl_->sessions.open_per_client.clear();
}

std::size_t HttpServer::connections_count() const {
    return impl_->sessions.open.size();
}

}  // namespace kith::io
