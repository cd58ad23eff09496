// infer/grammar/json_schema.h: a JSON schema as a grammar, so that a model answers with JSON of
// that shape and nothing else.
//
// Source: JSON Schema 2020-12. Whatever the grammar makes is valid by the schema, but not all that
// is valid can be made: members come in the order of `properties`, none beside them when there are
// any, and what json_rules.h leaves out is left out.
//
// Read: type (one or several), properties, required, additionalProperties, items, prefixItems,
// minItems, maxItems, minLength, maxLength, pattern (pattern.h), format (string_formats.h; others
// are ignored), minimum, maximum, exclusiveMinimum, exclusiveMaximum (number_range.h), enum, const,
// anyOf, oneOf of schemas that exclude each other (schema_facts.h), allOf of one schema, $ref to
// "#", "#/$defs/..." and "#/definitions/..." (recursion included), true and false. Without meaning
// for the shape, and ignored: title, description, default, examples, $schema, $id, $comment, $defs,
// definitions, deprecated, readOnly, writeOnly, strict. Every other keyword is refused by name.
#pragma once

#include <string_view>

#include "infer/grammar/grammar.h"

namespace kith::infer::grammar {

inline constexpr std::size_t schema_bytes_max = std::size_t{256} << 10U;
inline constexpr std::size_t schema_depth_max = 32;
inline constexpr std::size_t copies_max = 4096;  // the most that minItems and its like may say

// Code::invalid: no JSON, or no schema. Code::unsupported: a keyword, named, with where it is.
// Code::too_large past a limit.
base::Result<Grammar> grammar_of_schema(std::string_view schema);
// Any JSON object.
base::Result<Grammar> grammar_of_json_object();

}  // namespace kith::infer::grammar
