// infer/jinja/parser.h: tokens to a tree.
//
// The subset: set, if, for (with filter and else), macro, break, continue, raw and comments; all
// expressions. `generation` of transformers is read and ignored. What else Jinja has (include,
// import, extends, block, call, filter, with, do, autoescape, recursive loops) is refused by name.
#pragma once

#include "base/result.h"
#include "infer/jinja/syntax.h"

namespace kith::infer::jinja {

// Code::invalid with the line for what is no Jinja, Code::unsupported for what is not of the
// subset, Code::too_large past the limits of syntax.h and lexer.h.
base::Result<Block> parse(std::string_view source);

}  // namespace kith::infer::jinja
