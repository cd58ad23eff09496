#include "proto/identify/identify.h"

#include <algorithm>

#include "base/sabotage.h"
#include "schema/libp2p.pb.h"

namespace kith::proto::identify {

using base::Bytes;
using base::ByteView;
using base::Code;
using base::fail;
using base::Result;
using base::Status;

namespace {

std::string clip(std::string text) {
    text.resize(std::min(text.size(), version_chars_max));
    return text;
}

std::string text_of(wire::Multiaddr const& address) {
    return base::to_text(address.to_bytes());
}

// Adds what is new of a repeated field; Code::too_large above `count_max`.
Status merge_protocols(libp2p::Identify const& message, std::vector<std::string>& protocols) {
    for (auto const& named : message.protocols()) {
        if (named.size() > protocol_chars_max)
            return fail(Code::too_large, "identify: protocol id is too long");
        if (std::ranges::find(protocols, named) != protocols.end()) continue;
        if (protocols.size() == protocols_max)
            return fail(Code::too_large, "identify: too many protocols");
        protocols.push_back(named);
    }
    return {};
}

Status merge_addresses(libp2p::Identify const& message, std::vector<wire::Multiaddr>& addresses) {
    for (auto const& bytes : message.listen_addrs()) {
        auto address = wire::Multiaddr::from_bytes(base::as_bytes(bytes));
        // A peer may listen on transports we have not heard of: its other addresses are still good.
        if (!address || std::ranges::find(addresses, *address) != addresses.end()) continue;
        if (addresses.size() == addresses_max)
            return fail(Code::too_large, "identify: too many addresses");
        addresses.push_back(std::move(*address));
    }
    return {};
}

}  // namespace

Bytes build(Info const& info, base::ByteArray<32> const& public_key) {
    libp2p::Identify message;
    message.set_public_key(base::to_text(identity::PeerId(public_key).to_protobuf()));
    message.set_protocol_version(clip(info.protocol_version));
    message.set_agent_version(clip(info.agent_version));
    if (info.observed_address) message.set_observed_addr(text_of(*info.observed_address));
    auto const fits = [&message] { return message.ByteSizeLong() <= message_bytes_sent_max; };
    for (auto const& supported : info.protocols) {
        message.add_protocols(supported);
        if (!fits()) message.mutable_protocols()->RemoveLast();
    }
    for (auto const& address : info.listen_addresses) {
        message.add_listen_addrs(text_of(address));
        if (!fits()) message.mutable_listen_addrs()->RemoveLast();
    }
    if (!info.signed_peer_record.empty()) {
        message.set_signed_peer_record(base::to_text(info.signed_peer_record));
        if (!fits()) message.clear_signed_peer_record();
    }
    Bytes out;
    wire::append_frame(out, base::as_bytes(message.SerializeAsString()));
    return out;
}

Status Reader::feed(ByteView in) {
    while (!in.empty()) {
        auto const message = KITH_TRY(reader_.next(in));
        if (!message) return {};
        if (++messages_count_ > messages_max)
            return fail(Code::too_large, "identify: too many messages");
        KITH_TRY(merge(*message));
    }
    return {};
}

Status Reader::merge(Bytes const& bytes) {
    libp2p::Identify message;
    if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
        return fail(Code::invalid, "identify: malformed message");
    if (message.has_public_key()) {
        auto const named =
            KITH_TRY(identity::PeerId::from_protobuf(base::as_bytes(message.public_key())));
        if (!KITH_GUARD("P7.identify_key", named == peer_))
            return fail(Code::unauthorized, "identify: the key is not that of the connected peer");
    }
    KITH_TRY(merge_protocols(message, info_.protocols));
    KITH_TRY(merge_addresses(message, info_.listen_addresses));
    if (message.has_protocol_version()) info_.protocol_version = clip(message.protocol_version());
    if (message.has_agent_version()) info_.agent_version = clip(message.agent_version());
    if (message.has_signed_peer_record())
        info_.signed_peer_record = base::to_bytes(base::as_bytes(message.signed_peer_record()));
    if (message.has_observed_addr()) {
        auto address = wire::Multiaddr::from_bytes(base::as_bytes(message.observed_addr()));
        if (address) info_.observed_address = std::move(*address);
    }
    return {};
}

Result<Info> Reader::finish() {
    if (!reader_.at_boundary())
        return fail(Code::invalid, "identify: the stream ended inside a message");
    if (messages_count_ == 0) return fail(Code::invalid, "identify: the peer said nothing");
    return std::move(info_);
}

}  // namespace kith::proto::identify
