#include "node/dispatch/dispatch.h"

#include "node/dispatch/dispatch_rules.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace kith::node {

using base::Code;
using base::fail;
using wire::v1::Control;

namespace {

base::Result<Control> parse_control(base::ByteView bytes) {
    if (bytes.size() > control_bytes_max)
        return fail(Code::too_large, "a control message is too large");
    Control control;
    if (!control.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
        return fail(Code::invalid, "a control message is malformed");
    return control;
}

base::Result<OpenedActivation> parse_activation(base::ByteView bytes) {
    wire::Reader reader(bytes);
    auto const header = KITH_TRY(reader.prefixed_u32(stage_header_bytes_max));
    OpenedActivation activation;
    if (!activation.message.ParseFromArray(header.data(), static_cast<int>(header.size())))
        return fail(Code::invalid, "a stage message is malformed");
    activation.tensor = base::to_bytes(reader.rest());
    return activation;
}

}  // namespace

base::Result<Inbound> Dispatcher::admit(identity::NodeId const& sender,
                                        proto::session::Opened const& opened) {
    if (opened.lane() == proto::session::Lane::tensor)
        return Inbound(AuthenticatedActivation(sender, KITH_TRY(parse_activation(opened.bytes()))));
    auto control = KITH_TRY(parse_control(opened.bytes()));
    if (!may_say(sender, control))
        return fail(Code::unauthorized,
                    "a message claims another sender than the one it came from");
    return Inbound(AuthenticatedControl(sender, std::move(control)));
}

base::Bytes encode_activation(wire::v1::StageMessage const& message, base::ByteView tensor) {
    auto const header = message.SerializeAsString();
    wire::Writer writer;
    writer.prefixed_u32(base::as_bytes(header)).bytes(tensor);
    return writer.take();
}

}  // namespace kith::node
