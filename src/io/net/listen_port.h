// io/net/listen_port.h: connections that begin at a port which is listened on (ports::DialFrom).
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <list>

namespace kith::io {

// To be called on an acceptor that listens already: so a second listener on its port is still
// refused by the system, also one of the same user.
void share_port(boost::asio::ip::tcp::acceptor& acceptor, boost::system::error_code& code);

// Opens the socket and binds it to the port of a listener from where `to` can be reached.
// address_not_available: there is none.
void open_at_listen_port(boost::asio::ip::tcp::socket& socket,
                         std::list<boost::asio::ip::tcp::acceptor> const& listeners,
                         boost::asio::ip::tcp::endpoint const& to, boost::system::error_code& code);

}  // namespace kith::io
