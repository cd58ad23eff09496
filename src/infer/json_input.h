// infer/json_input.h: JSON that a conversation brings (tools, arguments of calls) as values for a
// template. All of it is of Origin::given: no text in it becomes a control token.
#pragma once

#include <string_view>

#include "base/result.h"
#include "infer/jinja/template.h"

namespace kith::infer {

inline constexpr std::size_t json_input_bytes_max = std::size_t{1} << 20U;
inline constexpr std::size_t json_input_depth_max = 32;

// RFC 8259. Code::invalid for what is no JSON, Code::too_large past the limits.
base::Result<jinja::Input> input_of_json(std::string_view json);

}  // namespace kith::infer
