#include "io/net/listen_port.h"

#include <sys/socket.h>

#include <boost/asio/error.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <cerrno>
#include <optional>

namespace kith::io {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

void set_reuse_port(int socket, error_code& code) {
    int const on = 1;
    if (setsockopt(socket, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0)
        code = error_code(errno, boost::system::system_category());
}

// Where a connection to `to` would begin if it began at this listener.
std::optional<tcp::endpoint> beginning(tcp::acceptor const& listener, tcp::endpoint const& to) {
    error_code code;
    auto const local = listener.local_endpoint(code);
    if (code) return std::nullopt;
    auto const any = tcp::endpoint(to.protocol(), local.port());
    if (local.protocol() != to.protocol()) {
        asio::ip::v6_only only;
        if (local.address().is_v6()) listener.get_option(only, code);
        bool const takes_both =
            local.address().is_v6() && local.address().is_unspecified() && !code && !only.value();
        return takes_both ? std::optional(any) : std::nullopt;
    }
    if (local.address().is_unspecified()) return any;
    if (local.address().is_loopback() != to.address().is_loopback()) return std::nullopt;
    return local;
}

}  // namespace

void share_port(tcp::acceptor& acceptor, error_code& code) {
    set_reuse_port(acceptor.native_handle(), code);
}

void open_at_listen_port(tcp::socket& socket, std::list<tcp::acceptor> const& listeners,
                         tcp::endpoint const& to, error_code& code) {
    for (auto const& listener : listeners) {
        auto const from = beginning(listener, to);
        if (!from) continue;
        socket.open(to.protocol(), code);
        if (!code) socket.set_option(tcp::socket::reuse_address(true), code);
        if (!code) set_reuse_port(socket.native_handle(), code);
        if (!code) socket.bind(*from, code);
        return;
    }
    code = boost::system::errc::make_error_code(boost::system::errc::address_not_available);
}

}  // namespace kith::io
