#include "api/http_origin.h"

#include <algorithm>
#include <charconv>

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

// RFC 3986 3.2.2: letters, digits and '.', '-', '_'; or the inside of a bracketed IPv6 address.
bool is_host(std::string_view host) {
    bool const six = host.size() > 2 && host.front() == '[' && host.back() == ']';
    if (six) host = host.substr(1, host.size() - 2);
    if (host.empty() || host.size() > 253) return false;  // RFC 1035 2.3.4
    return std::ranges::all_of(host, [six](char c) {
        bool const digit = c >= '0' && c <= '9';
        bool const hex = digit || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        if (six) return hex || c == ':' || c == '.';
        return digit || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '-' ||
               c == '_';
    });
}

bool is_port(std::string_view digits) {
    std::uint16_t port = 0;
    auto const* const end = digits.data() + digits.size();
    // NOLINTNEXTLINE(bugprone-suspicious-stringview-data-usage): from_chars takes the end
    auto const [at, error] = std::from_chars(digits.data(), end, port);
    return error == std::errc{} && at == end && port != 0;
}

}  // namespace

base::Status check_host_names(HostNames const& names) {
    if (names.size() > hosts_count_max)
        return base::fail(base::Code::too_large,
                          "has more than " + std::to_string(hosts_count_max) + " entries");
    for (std::string_view const name : names) {
        auto const colon = name.rfind(':');
        bool const ported = colon != std::string_view::npos && !name.ends_with(']');
        if (!is_host(name.substr(0, ported ? colon : name.size())) ||
            (ported && !is_port(name.substr(colon + 1))))
            return base::fail(base::Code::invalid,
                              "must have names such as kith.example.org or "
                              "kith.example.org:8443, without http:// and path");
    }
    return {};
}

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
