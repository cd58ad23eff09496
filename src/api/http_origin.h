// api/http_origin.h: is this request meant for us, and does it come from our own pages (S51)?
//
// Loopback is no boundary: any web page can make a browser talk to 127.0.0.1. DNS rebinding shows
// in Host, a foreign page shows in Origin. Both are compared with an exact list; there are no CORS
// fields and no wildcard.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/http_message.h"
#include "base/result.h"

namespace kith::api {

// Names under which people reach this door besides localhost and its addresses, for example behind
// a proxy: "kith.example.org" or "kith.example.org:8443". At most hosts_count_max; compared without
// case.
using HostNames = std::vector<std::string>;
inline constexpr std::size_t hosts_count_max = 16;

// Code::too_large: more than hosts_count_max. Code::invalid: something that no browser sends as
// Host: a scheme, a path, a wildcard, a blank, a port that is none. An IPv6 address is in brackets.
base::Status check_host_names(HostNames const& names);

// Host is localhost, 127.0.0.1, [::1] or the address the connection arrived at, each with the port
// it arrived at (none is also right for port 80), or a configured name, with its own port, with the
// connection's, or with none.
bool host_allowed(std::string_view host, HttpPeer const& peer, HostNames const& configured);

// No Origin, or exactly one that is http:// or https:// followed by an allowed host. "null" is a
// foreign page.
bool origin_allowed(HttpHead const& head, HttpPeer const& peer, HostNames const& configured);

}  // namespace kith::api
