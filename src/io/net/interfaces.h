// io/net/interfaces.h: the addresses of this machine, for a node that listens on all of them.
#pragma once

#include <string>
#include <vector>

namespace kith::io {

// Numeric IPv4 and IPv6 addresses of interfaces that are up, without loopback and link-local ones;
// loopback alone when there is nothing else.
std::vector<std::string> interface_addresses();

}  // namespace kith::io
