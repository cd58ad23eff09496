// infer/jinja/lexer.h: the text of a template as tokens.
//
// Source: Jinja 3.1, template designer documentation, with trim_blocks and lstrip_blocks on and one
// newline at the end dropped, which is how chat templates are run everywhere.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace kith::infer::jinja {

inline constexpr std::size_t template_bytes_max = std::size_t{256} << 10U;
inline constexpr std::size_t tokens_max = 65'536;

struct Token {
    enum class Kind : std::uint8_t {
        data,             // text outside of any tag, whitespace control already applied
        statement_begin,  // {%
        statement_end,
        output_begin,  // {{
        output_end,
        name,
        string,  // text: what the literal stands for
        integer,
        real,
        symbol,  // text: one of the operators and brackets
        end,
    };
    Kind kind = Kind::end;
    std::uint32_t line = 0;  // from 1
    std::string text;
};

// The last token is the only one of kind `end`. Code::too_large past the limits, Code::invalid with
// the line for what is no token.
base::Result<std::vector<Token>> tokens_of(std::string_view source);

}  // namespace kith::infer::jinja
