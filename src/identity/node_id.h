// identity/node_id.h: the name of a node: its 32-byte Ed25519 operational public key.
#pragma once

#include <compare>
#include <functional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace kith::identity {

inline constexpr std::size_t node_id_short_bytes = 8;  // what people see

// Any 32 bytes: holding one proves nothing, a verified signature does.
struct NodeId {
    base::ByteArray<32> bytes{};

    std::strong_ordering operator<=>(NodeId const&) const = default;

    // 64 lower-case hex characters.
    [[nodiscard]] std::string to_hex() const;
    // The first 8 bytes, 16 hex characters: for display only, two nodes may share them.
    [[nodiscard]] std::string to_short() const;
    // Exactly 64 hex characters; Code::invalid otherwise (a short form names nobody for sure).
    static base::Result<NodeId> parse(std::string_view text);
};

// For hash tables of public ids; the ids are chosen by peers, so tables of unproven ids must be
// bounded.
inline std::size_t hash_of(base::ByteView bytes) {
    return std::hash<std::string_view>{}(base::as_text(bytes));
}

}  // namespace kith::identity

template <>
struct std::hash<kith::identity::NodeId> {
    std::size_t operator()(kith::identity::NodeId const& id) const {
        return kith::identity::hash_of(id.bytes);
    }
};
