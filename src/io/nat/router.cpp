#include "io/nat/router.h"

#include <miniupnpc/miniupnpc.h>
#include <miniupnpc/upnpcommands.h>
#include <miniupnpc/upnperrors.h>
#include <natpmp.h>
#include <sys/select.h>

#include <array>
#include <charconv>
#include <memory>
#include <string>

namespace kith::io {

using base::Code;
using base::fail;
using base::Result;

namespace {

constexpr int discover_ms = 1000;
constexpr unsigned char discover_ttl = 2;  // UPnP device architecture 1.1
constexpr int external_ports_tried = 4;
constexpr int error_conflict = 718;        // of UPnP: another machine has the port
constexpr int error_permanent_only = 725;  // of UPnP: leases have no end there
constexpr int natpmp_tries = 3;            // RFC 6886 3.1 waits 250 ms, then double each time

std::string seconds_of(base::Duration lease) {
    return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(lease).count());
}

// A device that says it is the way to the internet.
class Gateway {
public:
    Gateway() {
        int error = 0;
        std::unique_ptr<UPNPDev, void (*)(UPNPDev*)> const devices(
            upnpDiscover(discover_ms, nullptr, nullptr, UPNP_LOCAL_PORT_ANY, 0, discover_ttl,
                         &error),
            freeUPNPDevlist);
        if (!devices) return;
        found_ = UPNP_GetValidIGD(devices.get(), &urls_, &data_, own_.data(),
                                  static_cast<int>(own_.size()));
    }
    ~Gateway() {
        if (found_ != 0) FreeUPNPUrls(&urls_);
    }
    Gateway(Gateway const&) = delete;
    Gateway& operator=(Gateway const&) = delete;

    [[nodiscard]] bool is_usable() const { return found_ == 1; }

    // The UPnP error, 0 for none.
    int map(PortMapping const& wanted, std::string const& lease) {
        auto const external = std::to_string(wanted.external_port);
        auto const internal = std::to_string(wanted.internal_port);
        return UPNP_AddPortMapping(urls_.controlURL, data_.first.servicetype, external.c_str(),
                                   internal.c_str(), own_.data(), "kith", "TCP", nullptr,
                                   lease.c_str());
    }
    void release(std::uint16_t external_port) {
        auto const external = std::to_string(external_port);
        (void)UPNP_DeletePortMapping(urls_.controlURL, data_.first.servicetype, external.c_str(),
                                     "TCP", nullptr);
    }

private:
    UPNPUrls urls_{};
    IGDdatas data_{};
    std::array<char, 64> own_{};  // our address in that network
    int found_ = 0;
};

Result<PortMapping> map_by_upnp(PortMapping wanted) {
    Gateway gateway;
    if (!gateway.is_usable()) return fail(Code::unavailable, "no UPnP router answers");
    for (int tries = 0; tries < external_ports_tried; ++tries) {
        auto error = gateway.map(wanted, seconds_of(wanted.lease));
        if (error == error_permanent_only) {
            error = gateway.map(wanted, "0");
            wanted.lease = base::Duration(0);
        }
        if (error == UPNPCOMMAND_SUCCESS) return wanted;
        if (error != error_conflict || wanted.external_port == 0xffff)
            return fail(Code::unavailable, "the router refuses a port mapping");
        ++wanted.external_port;
    }
    return fail(Code::unavailable, "the ports of the router are taken");
}

// One question and its answer; lifetime 0 takes the mapping back (RFC 6886 3.4).
Result<PortMapping> ask_by_natpmp(PortMapping const& wanted) {
    natpmp_t session{};
    if (initnatpmp(&session, 0, 0) != 0)
        return fail(Code::unavailable, "this machine knows no gateway");
    std::unique_ptr<natpmp_t, int (*)(natpmp_t*)> const closer(&session, closenatpmp);
    auto const seconds = std::chrono::duration_cast<std::chrono::seconds>(wanted.lease).count();
    if (sendnewportmappingrequest(&session, NATPMP_PROTOCOL_TCP, wanted.internal_port,
                                  wanted.external_port, static_cast<std::uint32_t>(seconds)) < 0)
        return fail(Code::unavailable, "the gateway cannot be asked");
    natpmpresp_t response{};
    int outcome = NATPMP_TRYAGAIN;
    for (int tries = 0; tries < natpmp_tries && outcome == NATPMP_TRYAGAIN; ++tries) {
        timeval wait{};
        if (getnatpmprequesttimeout(&session, &wait) != 0) break;
        if (session.s < 0 || session.s >= FD_SETSIZE) break;
        fd_set readable;
        FD_ZERO(&readable);
        FD_SET(session.s, &readable);
        if (select(session.s + 1, &readable, nullptr, nullptr, &wait) < 0) break;
        outcome = readnatpmpresponseorretry(&session, &response);
    }
    if (outcome != 0 || response.type != NATPMP_RESPTYPE_TCPPORTMAPPING)
        return fail(Code::unavailable, "no NAT-PMP router answers");
    auto const& mapped = response.pnu.newportmapping;
    return PortMapping{.internal_port = mapped.privateport,
                       .external_port = mapped.mappedpublicport,
                       .lease = std::chrono::seconds(mapped.lifetime)};
}

}  // namespace

Result<PortMapping> Router::map(PortMapping const& wanted) {
    if (auto mapped = map_by_upnp(wanted)) return mapped;
    return ask_by_natpmp(wanted);
}

void Router::release(PortMapping const& mapping) {
    if (Gateway gateway; gateway.is_usable()) return gateway.release(mapping.external_port);
    (void)ask_by_natpmp(
        {.internal_port = mapping.internal_port, .external_port = 0, .lease = base::Duration(0)});
}

}  // namespace kith::io
