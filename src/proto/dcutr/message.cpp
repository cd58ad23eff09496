#include "proto/dcutr/message.h"

#include <algorithm>

#include "schema/libp2p.pb.h"
#include "wire/frame.h"

namespace kith::proto::dcutr {

using base::Bytes;
using base::ByteView;
using base::Code;
using base::fail;
using base::Result;
using wire::Multiaddr;

Bytes frame(Message const& message) {
    libp2p::HolePunch out;
    if (auto const* connect = std::get_if<Connect>(&message)) {
        out.set_type(libp2p::HolePunch::CONNECT);
        auto const count = std::min(connect->addresses.size(), addresses_max);
        for (std::size_t i = 0; i < count; ++i)
            out.add_addresses(base::to_text(connect->addresses[i].to_bytes()));
    } else {
        out.set_type(libp2p::HolePunch::SYNC);
    }
    Bytes framed;
    wire::append_frame(framed, base::as_bytes(out.SerializeAsString()));
    return framed;
}

Result<Message> parse(ByteView bytes) {
    if (bytes.size() > message_bytes_max) return fail(Code::too_large, "dcutr: message too large");
    libp2p::HolePunch in;
    if (!in.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
        return fail(Code::invalid, "dcutr: malformed message");
    if (!in.has_type()) return fail(Code::invalid, "dcutr: message of no known type");
    if (in.type() == libp2p::HolePunch::SYNC) return Message(Sync{});
    Connect connect;
    for (auto const& one : in.addresses())
        if (auto address = Multiaddr::from_bytes(base::as_bytes(one)))
            connect.addresses.push_back(std::move(*address));
    return Message(std::move(connect));
}

std::vector<Multiaddr> usable(wire::Reach reach, std::vector<Multiaddr> const& addresses) {
    std::vector<Multiaddr> kept;
    for (auto const& address : addresses) {
        if (kept.size() == addresses_max) break;
        if (!wire::is_reachable(reach, address)) continue;
        auto const endpoint = address.tcp_endpoint();
        auto plain = endpoint ? Multiaddr::tcp(endpoint->ip, endpoint->port)
                              : Result<Multiaddr>(fail(Code::invalid, "no TCP address"));
        if (plain && std::ranges::find(kept, *plain) == kept.end())
            kept.push_back(std::move(*plain));
    }
    return kept;
}

}  // namespace kith::proto::dcutr
