// api/openai_json.h: JSON from the network, with every dimension bounded before memory is spent on
// it.
#pragma once

#include <boost/json/value.hpp>
#include <cstddef>

#include "base/bytes.h"
#include "base/result.h"

namespace kith::api {

inline constexpr std::size_t json_depth_max = 32;
inline constexpr std::size_t json_values_max =
    262'144;                                         // objects, arrays, strings, numbers together
inline constexpr std::size_t json_keys_max = 1'024;  // in one object

// RFC 8259 exactly: valid UTF-8, nothing after the value, no comments, no trailing commas. Two keys
// of one object that are equal after decoding are refused: readers disagree on which one counts.
// Code::invalid says where; Code::too_large names the limit.
base::Result<boost::json::value> parse_json(base::ByteView text);

}  // namespace kith::api
