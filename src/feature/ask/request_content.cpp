#include "feature/ask/request_content.h"

#include <limits>

#include "feature/ask/stage_server.h"
#include "wire/writer.h"

namespace kith::ask {

using base::Code;
using base::fail;

base::Bytes bound_fields(wire::v1::StageForward const& forward) {
    wire::Writer fields;
    fields.prefixed_u16(base::as_bytes(forward.model_id()))
        .u32(forward.position())
        .u32(forward.rows())
        .u32(forward.hidden())
        .u32(forward.positions_max())
        .u8(forward.pre_embedded() ? 1 : 0)
        .u8(forward.last_row_only() ? 1 : 0);
    return fields.take();
}

base::Bytes bound_fields(wire::v1::StageResult const& result) {
    wire::Writer fields;
    fields.u32(result.rows()).u32(result.hidden()).u8(result.has_token() ? 1 : 0);
    return fields.take();
}

base::Bytes encode_tokens(std::vector<infer::TokenId> const& tokens) {
    base::Bytes out(tokens.size() * sizeof(std::uint32_t));
    for (std::size_t i = 0; i < tokens.size(); ++i) {
        auto const id = static_cast<std::uint32_t>(tokens[i]);
        for (std::size_t byte = 0; byte < sizeof id; ++byte)
            out[i * sizeof id + byte] = static_cast<std::uint8_t>(id >> (8 * byte));
    }
    return out;
}

base::Result<std::vector<infer::TokenId>> decode_tokens(base::ByteView bytes, std::size_t count) {
    if (bytes.size() != count * sizeof(std::uint32_t))
        return fail(Code::invalid, "token ids do not have the size their number says");
    std::vector<infer::TokenId> tokens(count);
    for (std::size_t i = 0; i < count; ++i) {
        std::uint32_t id = 0;
        for (std::size_t byte = 0; byte < sizeof id; ++byte)
            id |= static_cast<std::uint32_t>(bytes[i * sizeof id + byte]) << (8 * byte);
        if (id > static_cast<std::uint32_t>(std::numeric_limits<infer::TokenId>::max()))
            return fail(Code::invalid, "a token id is out of range");
        tokens[i] = static_cast<infer::TokenId>(id);
    }
    return tokens;
}

base::Result<proto::seal::Subject> seal_subject(wire::v1::StageForward const& forward,
                                                std::size_t hop) {
    if (hop >= static_cast<std::size_t>(forward.hops_size()))
        return fail(Code::invalid, "the route of a request is malformed");
    return proto::seal::Subject{
        .request = KITH_TRY(parse_request_id(forward.request_id())),
        .asker = KITH_TRY(parse_node_id(forward.asker())),
        .stage = KITH_TRY(parse_node_id(forward.hops(static_cast<int>(hop)).node_id()))};
}

}  // namespace kith::ask
