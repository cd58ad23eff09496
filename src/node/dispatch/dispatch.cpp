#include "node/dispatch/dispatch.h"

#include "node/dispatch/dispatch_rules.h"
#include "wire/fields.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace kith::node {

using base::Code;
using base::fail;
using wire::v1::Control;

namespace {

// Of what repeats in the message types of schema/wire.proto, how much there is on the wire. A field
// of a `oneof` may come several times, and its parts are then put together: so this adds up over
// the whole message.
class Census {
public:
    base::Status control(base::ByteView message) {
        return each(message, [this](wire::Field const& body) -> base::Status {
            if (body.number == Control::kListRequestFieldNumber)
                return count(body.bytes, wire::v1::ListRequest::kAddressesFieldNumber,
                             own_addresses_, own_addresses_max);
            if (body.number == Control::kListReplyFieldNumber) return list_reply(body.bytes);
            if (body.number == Control::kShardAnnounceFieldNumber)
                return count(body.bytes, wire::v1::ShardAnnounce::kModelsFieldNumber, holdings_,
                             announced_holdings_max);
            return {};  // the others hold nothing that repeats
        });
    }

    base::Status stage(base::ByteView message) {
        return each(message, [this](wire::Field const& body) -> base::Status {
            if (body.number != wire::v1::StageMessage::kForwardFieldNumber) return {};
            return count(body.bytes, wire::v1::StageForward::kHopsFieldNumber, hops_,
                         route_hops_max);
        });
    }

private:
    template <class Visit>
    static base::Status each(base::ByteView message, Visit const& visit) {
        wire::FieldReader reader(message);
        while (auto const field = KITH_TRY(reader.next())) KITH_TRY(visit(*field));
        return {};
    }
    static base::Status one_more(std::size_t& counter, std::size_t max) {
        if (++counter > max)
            return fail(Code::too_large, "a message has more entries than allowed");
        return {};
    }
    static base::Status count(base::ByteView body, int number, std::size_t& counter,
                              std::size_t max) {
        return each(body, [&](wire::Field const& field) {
            return field.number == number ? one_more(counter, max) : base::Status{};
        });
    }
    base::Status list_reply(base::ByteView body) {
        return each(body, [this](wire::Field const& field) -> base::Status {
            if (field.number != wire::v1::ListReply::kAddressesFieldNumber) return {};
            KITH_TRY(one_more(members_, proto::membership::members_max));
            return count(field.bytes, wire::v1::MemberAddress::kAddressesFieldNumber,
                         list_addresses_, list_addresses_max);
        });
    }

    std::size_t own_addresses_ = 0, members_ = 0, list_addresses_ = 0, holdings_ = 0, hops_ = 0;
};

base::Result<Control> parse_control(base::ByteView bytes, Rank rank) {
    auto const size_max =
        rank == Rank::coordinator ? control_bytes_max : control_bytes_of_member_max;
    if (bytes.size() > size_max) return fail(Code::too_large, "a control message is too large");
    KITH_TRY(Census().control(bytes));
    Control control;
    if (!control.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
        return fail(Code::invalid, "a control message is malformed");
    return control;
}

base::Status check_sender(identity::NodeId const& sender, Control const& control) {
    if (may_say(sender, control)) return {};
    return fail(Code::unauthorized, "a message claims another sender than the one it came from");
}

base::Result<OpenedActivation> parse_activation(base::ByteView bytes) {
    wire::Reader reader(bytes);
    auto const header = KITH_TRY(reader.prefixed_u32(stage_header_bytes_max));
    KITH_TRY(Census().stage(header));
    OpenedActivation activation;
    if (!activation.message.ParseFromArray(header.data(), static_cast<int>(header.size())))
        return fail(Code::invalid, "a stage message is malformed");
    activation.tensor = base::to_bytes(reader.rest());
    return activation;
}

}  // namespace

base::Result<Inbound> Dispatcher::admit(identity::NodeId const& sender, Rank rank,
                                        proto::session::Opened const& opened) {
    if (opened.lane() == proto::session::Lane::tensor)
        return Inbound(AuthenticatedActivation(sender, KITH_TRY(parse_activation(opened.bytes()))));
    auto control = KITH_TRY(parse_control(opened.bytes(), rank));
    KITH_TRY(check_sender(sender, control));
    return Inbound(AuthenticatedControl(sender, std::move(control)));
}

base::Result<Inbound> Dispatcher::admit(proto::sealed_gossip::VerifiedGossip const& gossip) {
    auto control = KITH_TRY(parse_control(gossip.content(), Rank::member));
    if (!may_be_gossip(control))
        return fail(Code::invalid, "a member told everybody what is no message for everybody");
    KITH_TRY(check_sender(gossip.origin(), control));
    return Inbound(AuthenticatedControl(gossip.origin(), std::move(control)));
}

base::Bytes encode_activation(wire::v1::StageMessage const& message, base::ByteView tensor) {
    auto const header = message.SerializeAsString();
    wire::Writer writer;
    writer.prefixed_u32(base::as_bytes(header)).bytes(tensor);
    return writer.take();
}

}  // namespace kith::node
