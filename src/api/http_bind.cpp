#include "api/http_bind.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

#include "base/sabotage.h"

namespace kith::api {
namespace {

bool is_numeric(std::string const& ip) {
    std::array<unsigned char, sizeof(in6_addr)> storage{};
    return inet_pton(AF_INET, ip.c_str(), storage.data()) == 1 ||
           inet_pton(AF_INET6, ip.c_str(), storage.data()) == 1;
}

bool is_blank(std::string const& text) {
    auto const blank = [](char c) { return c == ' ' || (c >= '\t' && c <= '\r') || c == '\0'; };
    return std::ranges::all_of(text, blank);
}

}  // namespace

bool is_loopback(std::string const& ip) {
    in_addr four{};
    // inet_pton takes exactly four decimal parts, so 127.1, 0x7f000001 and 0177.0.0.1 are no
    // addresses here.
    if (inet_pton(AF_INET, ip.c_str(), &four) == 1) return ntohl(four.s_addr) >> 24U == 127;
    in6_addr six{};
    return inet_pton(AF_INET6, ip.c_str(), &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

base::Result<CheckedBind> check_bind(BindRequest const& request) {
    std::string const ip = request.host == "localhost" ? "127.0.0.1" : request.host;
    bool const key_given = request.api_key_given && !is_blank(*request.api_key_given);
    if (!KITH_GUARD("P20.bind", is_loopback(ip) || key_given))
        return base::fail(
            base::Code::forbidden,
            "listening beyond this machine needs an API key of your own: give --api-key "
            "(or listen on 127.0.0.1)");
    if (!is_numeric(ip))
        return base::fail(base::Code::invalid,
                          "the address to listen on must be a numeric IP address or localhost");
    return CheckedBind(ip, request.port);
}

}  // namespace kith::api
