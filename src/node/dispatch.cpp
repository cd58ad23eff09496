#include "node/dispatch.h"

#include <optional>

#include "base/sabotage.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace kith::node {

using base::Code;
using base::fail;
using wire::v1::Control;

namespace {

// The rules as data: which field of which message names its sender. nullopt: the message claims
// nobody.
std::optional<std::string_view> claimed_sender(Control const& control) {
    switch (control.body_case()) {
        case Control::kShardAnnounce:
            return control.shard_announce().node_id();  // S17
        case Control::kHealthPing:
            return control.health_ping().node_id();  // S20
        case Control::kHealthPong:
            return control.health_pong().node_id();  // S20
        case Control::kListRequest:
        case Control::kListReply:
        case Control::kManifestRequest:
        case Control::kManifestReply:
        case Control::kChunkRequest:
        case Control::kChunkReply:
        case Control::kStageClose:
        case Control::kStageFailed:
        case Control::BODY_NOT_SET:
            return std::nullopt;
    }
    return std::nullopt;
}

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
    auto const claimed = claimed_sender(control);
    bool const honest = !claimed || base::equal(base::as_bytes(*claimed), sender.bytes);
    if (!KITH_GUARD("S16.claimed_sender", honest))
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
