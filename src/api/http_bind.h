// api/http_bind.h: which address the HTTP door may listen on (P20).
//
// Beyond this machine only with an API key that a person gave on purpose; the key that is generated
// at first start does not count, because whoever opens the port to a network must know that a key
// guards it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"

namespace kith::api {

struct BindRequest {
    std::string host;        // numeric IPv4 or IPv6 (no brackets, no zone), or "localhost"
    std::uint16_t port = 0;  // 0: any free one
    std::optional<std::string> api_key_given;  // --api-key or its line in config.toml, not api.key
};

// An address check_bind() has let through; nothing else can make one, and HttpServer takes nothing
// else.
class CheckedBind {
public:
    [[nodiscard]] std::string const& ip() const { return ip_; }  // numeric
    [[nodiscard]] std::uint16_t port() const { return port_; }

private:
    friend base::Result<CheckedBind> check_bind(BindRequest const& request);
    CheckedBind(std::string ip, std::uint16_t port) : ip_(std::move(ip)), port_(port) {}
    std::string ip_;
    std::uint16_t port_;
};

// Code::forbidden for an address beyond this machine without a key given; an empty or blank key
// counts as none. Code::invalid for a name other than localhost (it would need DNS, which decides
// nothing here) when a key is given.
base::Result<CheckedBind> check_bind(BindRequest const& request);

// 127.0.0.0/8 in dotted form and ::1; everything else, ::ffff:127.0.0.1 included, is not.
bool is_loopback(std::string const& ip);

}  // namespace kith::api
