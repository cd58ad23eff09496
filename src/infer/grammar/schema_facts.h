// infer/grammar/schema_facts.h: what json_schema.cpp asks of schemas before it makes rules of them.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "base/result.h"
#include "infer/grammar/number_range.h"

namespace kith::infer::grammar {

inline constexpr std::size_t one_of_max = 64;

// Surely no value fits both: their types differ, or both are constants that differ, or both are
// objects that require a member which is a different constant in each. False when in doubt.
bool exclude_each_other(boost::json::value const& a, boost::json::value const& b);

// minimum, maximum, exclusiveMinimum, exclusiveMaximum.
struct Bounds {
    NumberRange whole;             // whole numbers that fit
    NumberRange around_fractions;  // whole numbers between which every fraction fits
};
bool has_bounds(boost::json::object const& schema);
base::Result<Bounds> read_bounds(boost::json::object const& schema);  // Code::invalid: no number

}  // namespace kith::infer::grammar
