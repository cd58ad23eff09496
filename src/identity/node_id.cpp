#include "identity/node_id.h"

#include "base/encoding.h"

namespace kith::identity {

std::string NodeId::to_hex() const {
    return base::to_hex(bytes);
}

std::string NodeId::to_short() const {
    return base::to_hex(base::ByteView(bytes).first(node_id_short_bytes));
}

base::Result<NodeId> NodeId::parse(std::string_view text) {
    NodeId out;
    if (text.size() != 2 * out.bytes.size())
        return base::fail(base::Code::invalid, "a node id has 64 hex digits");
    auto const bytes = KITH_TRY(base::from_hex(text));
    std::ranges::copy(bytes, out.bytes.begin());
    return out;
}

}  // namespace kith::identity
