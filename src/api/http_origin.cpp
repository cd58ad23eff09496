#include "api/http_origin.h"

#include "base/sabotage.h"

namespace kith::api {
namespace {

bool is_own_address(std::string const& host, HttpPeer const& peer) {
    bool const six = peer.local_ip.find(':') != std::string::npos;
    std::string const local = six ? "[" + peer.local_ip + "]" : peer.local_ip;
    std::string const port = ":" + std::to_string(peer.local_port);
    for (std::string const& name :
         {std::string("localhost"), std::string("127.0.0.1"), std::string("[::1]"), local}) {
        if (host == name + port) return true;
        if (peer.local_port == 80 && host == name)
            return true;  // clients leave the default port out
    }
    return false;
}

bool is_listed(std::string const& host, HttpPeer const& peer, HostNames const& configured) {
    std::string const port = ":" + std::to_string(peer.local_port);
    for (std::string const& entry : configured) {
        std::string const name = lower_ascii(entry);
        if (host == name || host == name + port) return true;
    }
    return false;
}

}  // namespace

bool host_allowed(std::string_view host, HttpPeer const& peer, HostNames const& configured) {
    std::string const wanted = lower_ascii(host);
    bool const ours = is_own_address(wanted, peer) || is_listed(wanted, peer, configured);
    return KITH_GUARD("S51.host", !wanted.empty() && ours);
}

bool origin_allowed(HttpHead const& head, HttpPeer const& peer, HostNames const& configured) {
    auto const count = head.count("origin");
    if (count == 0) return true;
    std::string const origin = lower_ascii(*head.find("origin"));
    std::string host;
    for (std::string_view const scheme : {"http://", "https://"})
        if (origin.starts_with(scheme)) host = origin.substr(scheme.size());
    bool const own =
        !host.empty() && (is_own_address(host, peer) || is_listed(host, peer, configured));
    return KITH_GUARD("S51.origin", count == 1 && own);
}

}  // namespace kith::api
