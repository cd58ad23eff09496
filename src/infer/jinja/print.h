// infer/jinja/print.h: values as text: as Python's str() and repr() write them, and as JSON.
#pragma once

#include "infer/jinja/runtime.h"

namespace kith::infer::jinja {

// str(): a text as it is, nothing for what is undefined, a list as Python writes it.
base::Result<Text> printed(Runtime& runtime, Value const& value);

struct JsonStyle {
    std::optional<std::size_t> indent;  // nullopt: on one line, ", " and ": " between
    bool ascii_only = false;
    bool sorted = false;
};
// json.dumps() of Python with ensure_ascii off, which is what transformers gives templates.
base::Result<Text> json_of(Runtime& runtime, Value const& value, JsonStyle const& style);

// repr() of a float: the shortest that reads back the same.
std::string real_text(double value);

}  // namespace kith::infer::jinja
