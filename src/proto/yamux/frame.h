// proto/yamux/frame.h: the 12-byte frame header of yamux (libp2p/specs yamux/README.md),
// big-endian.
#pragma once

#include "base/bytes.h"
#include "base/result.h"

namespace kith::proto::yamux {

inline constexpr std::size_t header_bytes = 12;
inline constexpr std::uint8_t version = 0;

enum class Type : std::uint8_t { data = 0, window_update = 1, ping = 2, go_away = 3 };

inline constexpr std::uint16_t flag_syn = 1;
inline constexpr std::uint16_t flag_ack = 2;
inline constexpr std::uint16_t flag_fin = 4;
inline constexpr std::uint16_t flag_rst = 8;

enum class GoAwayCode : std::uint32_t { normal = 0, protocol_error = 1, internal_error = 2 };

struct Header {
    Type type = Type::data;
    std::uint16_t flags = 0;
    std::uint32_t stream = 0;  // 0: the session itself
    std::uint32_t length =
        0;  // Data: body bytes; WindowUpdate: credit (or an error code with RST); Ping: value

    [[nodiscard]] bool has(std::uint16_t flag) const { return (flags & flag) != 0; }
};

void append_header(base::Bytes& out, Header const& header);
// Code::invalid: another version or an unknown type. Unknown flag bits are kept and ignored.
base::Result<Header> parse_header(base::ByteArray<header_bytes> const& bytes);

}  // namespace kith::proto::yamux
