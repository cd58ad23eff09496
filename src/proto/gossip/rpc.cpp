#include "proto/gossip/rpc.h"

#include "proto/gossip/limits.h"
#include "wire/fields.h"

namespace kith::proto::gossip {

using base::ByteView;
using base::Code;
using base::fail;
using base::Result;
using base::Status;

namespace {

std::unexpected<base::Error> malformed() {
    return fail(Code::invalid, "gossip: malformed RPC");
}

// Calls visit(field number, body) for every field of one message that has a length.
template <class Visit>
Status each_field(ByteView in, Visit const& visit) {
    wire::FieldReader reader(in);
    while (auto const field = KITH_TRY(reader.next())) KITH_TRY(visit(field->number, field->bytes));
    return {};
}

// What repeats in one RPC, added up over all its parts.
class Census {
public:
    Status rpc(ByteView in) {
        return each_field(in, [this](int field, ByteView body) -> Status {
            if (field == libp2p::PubsubRpc::kSubscriptionsFieldNumber)
                return count(subscriptions_, subscriptions_per_rpc_max);
            if (field == libp2p::PubsubRpc::kControlFieldNumber) return control(body);
            if (field != libp2p::PubsubRpc::kPublishFieldNumber) return {};
            if (body.size() > message_bytes_max)
                return fail(Code::too_large, "gossip: message is too large");
            return count(messages_, messages_per_rpc_max);
        });
    }

private:
    using Control = libp2p::PubsubControl;

    static Status count(std::size_t& counter, std::size_t max) {
        if (++counter > max) return fail(Code::too_large, "gossip: too many entries in one RPC");
        return {};
    }

    Status control(ByteView in) {
        control_bytes_ += in.size();
        if (control_bytes_ > control_bytes_max)
            return fail(Code::too_large, "gossip: too much control in one RPC");
        return each_field(in, [this](int field, ByteView body) -> Status {
            KITH_TRY(count(entries_, control_entries_max));
            if (field == Control::kIhaveFieldNumber)
                return repeated(body, Control::Have::kIdsFieldNumber, ids_, ids_per_rpc_max);
            if (field == Control::kIwantFieldNumber || field == Control::kIdontwantFieldNumber)
                return repeated(body, Control::Ids::kIdsFieldNumber, ids_, ids_per_rpc_max);
            if (field == Control::kPruneFieldNumber)
                return repeated(body, Control::Prune::kPeersFieldNumber, peers_, prune_peers_max);
            return {};
        });
    }

    static Status repeated(ByteView in, int wanted, std::size_t& counter, std::size_t max) {
        return each_field(in, [wanted, &counter, max](int field, ByteView) -> Status {
            if (field != wanted) return {};
            return count(counter, max);
        });
    }

    std::size_t subscriptions_ = 0, messages_ = 0, entries_ = 0, ids_ = 0, peers_ = 0;
    std::size_t control_bytes_ = 0;
};

}  // namespace

Result<libp2p::PubsubRpc> decode_rpc(ByteView bytes) {
    if (bytes.size() > rpc_bytes_max) return fail(Code::too_large, "gossip: RPC is too large");
    KITH_TRY(Census{}.rpc(bytes));
    libp2p::PubsubRpc rpc;
    if (!rpc.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return malformed();
    return rpc;
}

base::Bytes encode_publish(libp2p::PubsubMessage const& message) {
    libp2p::PubsubRpc rpc;
    auto& known = *rpc.add_publish();
    if (message.has_from()) known.set_from(message.from());
    if (message.has_data()) known.set_data(message.data());
    if (message.has_seqno()) known.set_seqno(message.seqno());
    if (message.has_topic()) known.set_topic(message.topic());
    if (message.has_signature()) known.set_signature(message.signature());
    if (message.has_key()) known.set_key(message.key());
    return base::to_bytes(base::as_bytes(rpc.SerializeAsString()));
}

}  // namespace kith::proto::gossip
