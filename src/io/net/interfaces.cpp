#include "io/net/interfaces.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include <array>
#include <cstring>
#include <memory>

namespace kith::io {

std::vector<std::string> interface_addresses() {
    std::vector<std::string> found;
    ifaddrs* list = nullptr;
    if (getifaddrs(&list) == 0) {
        std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> const owner(list, &freeifaddrs);
        for (auto const* entry = list; entry != nullptr; entry = entry->ifa_next) {
            if (entry->ifa_addr == nullptr || (entry->ifa_flags & IFF_UP) == 0 ||
                (entry->ifa_flags & IFF_LOOPBACK) != 0)
                continue;
            std::array<char, INET6_ADDRSTRLEN> text{};
            if (entry->ifa_addr->sa_family == AF_INET) {
                sockaddr_in address;
                std::memcpy(&address, entry->ifa_addr, sizeof(address));
                inet_ntop(AF_INET, &address.sin_addr, text.data(), text.size());
            } else if (entry->ifa_addr->sa_family == AF_INET6) {
                sockaddr_in6 address;
                std::memcpy(&address, entry->ifa_addr, sizeof(address));
                if (IN6_IS_ADDR_LINKLOCAL(&address.sin6_addr)) continue;
                inet_ntop(AF_INET6, &address.sin6_addr, text.data(), text.size());
            }
            if (text[0] != '\0') found.emplace_back(text.data());
        }
    }
    if (found.empty()) found.emplace_back("127.0.0.1");
    return found;
}

}  // namespace kith::io
