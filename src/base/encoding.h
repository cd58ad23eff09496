// base/encoding.h: hex, base64 and base58 (Bitcoin alphabet). Decoders accept exactly what encoders
// emit. Hex and base64url may carry secrets: their time depends on the length and on whether the
// text is well-formed, not on what it says. base58 is for public things only.
#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace kith::base {

// Lower-case hex. from_hex also accepts upper case; odd length or another character is
// Code::invalid.
std::string to_hex(ByteView bytes);
Result<Bytes> from_hex(std::string_view text);

// RFC 4648 base64url without padding; from_base64url refuses padding and non-zero trailing bits.
std::string to_base64url(ByteView bytes);
Result<Bytes> from_base64url(std::string_view text);

// base58btc: leading zero bytes become leading '1's. Quadratic, so input is limited.
inline constexpr std::size_t base58_bytes_max = 1024;
inline constexpr std::size_t base58_chars_max = 1400;
std::string to_base58(ByteView bytes);  // asserts bytes.size() <= base58_bytes_max
Result<Bytes> from_base58(std::string_view text);

}  // namespace kith::base
