// infer/jinja/access.h: parts of values: a.b, a[b], a[b:c:d].
#pragma once

#include "infer/jinja/runtime.h"

namespace kith::infer::jinja {

// A method of the value, or what it has under this name; undefined when there is neither.
// Code::unsupported for any part of what is undefined itself. `name` lives as long as the template.
base::Result<Value> attribute_of(Runtime& runtime, Value const& value, std::string_view name);
base::Result<Value> item_of(Runtime& runtime, Value const& value, Value const& key);
// "a.b.0", as filters such as map(attribute=...) take it.
base::Result<Value> path_of(Runtime& runtime, Value const& value, std::string_view path);
// As Python slices lists and texts (by characters); none or undefined: not given.
base::Result<Value> slice_of(Runtime& runtime, Value const& value, Value const& from,
                             Value const& to, Value const& step);

}  // namespace kith::infer::jinja
