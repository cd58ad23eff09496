#include "io/nat/router.h"

#include <arpa/inet.h>
#include <miniupnpc/miniupnpc.h>
#include <miniupnpc/miniwget.h>
#include <miniupnpc/upnpcommands.h>
#include <miniupnpc/upnperrors.h>
#include <natpmp.h>
#include <sys/select.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

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

// A question to the default gateway by NAT-PMP.
class NatPmp {
public:
    NatPmp() : is_open_(initnatpmp(&session_, 0, 0) == 0) {}
    ~NatPmp() {
        if (is_open_) closenatpmp(&session_);
    }
    NatPmp(NatPmp const&) = delete;
    NatPmp& operator=(NatPmp const&) = delete;

    // The IPv4 address of the default gateway; empty: there is none.
    [[nodiscard]] std::string gateway() const {
        std::array<char, INET_ADDRSTRLEN> text{};
        in_addr const address{session_.gateway};
        if (!is_open_) return {};
        return ::inet_ntop(AF_INET, &address, text.data(), text.size()) ? text.data() : "";
    }

    // Lifetime 0 takes the mapping back (RFC 6886 3.4).
    Result<PortMapping> ask(PortMapping const& wanted) {
        if (!is_open_) return fail(Code::unavailable, "this machine knows no gateway");
        auto const seconds = std::chrono::duration_cast<std::chrono::seconds>(wanted.lease).count();
        if (sendnewportmappingrequest(&session_, NATPMP_PROTOCOL_TCP, wanted.internal_port,
                                      wanted.external_port,
                                      static_cast<std::uint32_t>(seconds)) < 0)
            return fail(Code::unavailable, "the gateway cannot be asked");
        natpmpresp_t response{};
        if (await(response) != 0 || response.type != NATPMP_RESPTYPE_TCPPORTMAPPING)
            return fail(Code::unavailable, "no NAT-PMP router answers");
        auto const& mapped = response.pnu.newportmapping;
        if (mapped.lifetime == 0 && seconds != 0)  // 0 would read as for ever above
            return fail(Code::unavailable, "the router refuses a port mapping");
        return PortMapping{.internal_port = mapped.privateport,
                           .external_port = mapped.mappedpublicport,
                           .lease = std::chrono::seconds(mapped.lifetime)};
    }

private:
    int await(natpmpresp_t& response) {
        int outcome = NATPMP_TRYAGAIN;
        for (int tries = 0; tries < natpmp_tries && outcome == NATPMP_TRYAGAIN; ++tries) {
            timeval wait{};
            if (getnatpmprequesttimeout(&session_, &wait) != 0) break;
            if (session_.s < 0 || session_.s >= FD_SETSIZE) break;
            fd_set readable;
            FD_ZERO(&readable);
            FD_SET(session_.s, &readable);
            if (select(session_.s + 1, &readable, nullptr, nullptr, &wait) < 0) break;
            outcome = readnatpmpresponseorretry(&session_, &response);
        }
        return outcome;
    }

    natpmp_t session_{};
    bool is_open_;
};

// Only "http://GATEWAY/..." or "http://GATEWAY:PORT/...": whoever answers a search says where to
// ask, and must not send our requests to this machine's own services or to somebody else's.
bool is_at(char const* url, std::string const& gateway) {
    auto const begin = "http://" + gateway;
    std::string_view const text = url ? url : "";
    if (gateway.empty() || !text.starts_with(begin) || text.size() == begin.size()) return false;
    return text[begin.size()] == ':' || text[begin.size()] == '/';
}

// The default gateway, when it says that it is a UPnP device and the way to the internet.
class Gateway {
public:
    Gateway() {
        auto const address = NatPmp().gateway();
        if (address.empty()) return;
        int error = 0;
        std::unique_ptr<UPNPDev, void (*)(UPNPDev*)> const devices(
            upnpDiscover(discover_ms, nullptr, nullptr, UPNP_LOCAL_PORT_ANY, 0, discover_ttl,
                         &error),
            freeUPNPDevlist);
        for (auto const* device = devices.get(); device && !is_usable_; device = device->pNext)
            is_usable_ = is_at(device->descURL, address) && open(*device, address);
    }
    ~Gateway() { FreeUPNPUrls(&urls_); }
    Gateway(Gateway const&) = delete;
    Gateway& operator=(Gateway const&) = delete;

    [[nodiscard]] bool is_usable() const { return is_usable_; }

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
    // What UPNP_GetValidIGD does, with a look at the addresses in the description before the first
    // request goes there. What the router says about our outside address is not asked for.
    bool open(UPNPDev const& device, std::string const& address) {
        int size = 0, status = 0;
        std::unique_ptr<char, void (*)(void*)> const description(
            static_cast<char*>(miniwget_getaddr(device.descURL, &size, own_.data(),
                                                static_cast<int>(own_.size()), device.scope_id,
                                                &status)),
            std::free);
        if (!description || size <= 0) return false;
        data_ = {};
        parserootdesc(description.get(), size, &data_);
        if (connects(device, address)) return true;
        data_.first = data_.second;  // where it has two ways out, PPP and IP, one of them is in use
        return connects(device, address);
    }
    bool connects(UPNPDev const& device, std::string const& address) {
        if (data_.first.servicetype[0] == '\0') return false;
        FreeUPNPUrls(&urls_);
        GetUPNPUrls(&urls_, &data_, device.descURL, device.scope_id);
        return is_at(urls_.controlURL, address) && UPNPIGD_IsConnected(&urls_, &data_) != 0;
    }

    UPNPUrls urls_{};
    IGDdatas data_{};
    std::array<char, 64> own_{};  // our address in that network
    bool is_usable_ = false;
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

}  // namespace

Result<PortMapping> Router::map(PortMapping const& wanted) {
    if (auto mapped = map_by_upnp(wanted)) return mapped;
    return NatPmp().ask(wanted);
}

void Router::release(PortMapping const& mapping) {
    if (Gateway gateway; gateway.is_usable()) gateway.release(mapping.external_port);
    (void)NatPmp().ask(
        {.internal_port = mapping.internal_port, .external_port = 0, .lease = base::Duration(0)});
}

}  // namespace kith::io
