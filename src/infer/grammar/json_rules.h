// infer/grammar/json_rules.h: the grammar of JSON, in parts that json_schema.h joins.
//
// Source: RFC 8259. Narrower than it where a model would otherwise never come to an end or write
// what some parser refuses: blanks are a space, or a newline and at most 20 spaces or tabs; numbers
// have at most 16 digits before and after the point and 2 of an exponent; strings are valid UTF-8
// without escaped surrogates; values of any shape nest at most any_depth_max deep.
#pragma once

#include "infer/grammar/grammar.h"

namespace kith::infer::grammar {

inline constexpr std::size_t any_depth_max = 16;

class JsonRules {
public:
    explicit JsonRules(Builder& builder);

    RuleId blank = 0;      // none, or some
    RuleId character = 0;  // of a string
    RuleId string = 0;
    RuleId integer = 0;
    RuleId number = 0;
    RuleId boolean = 0;
    RuleId null = 0;
    RuleId any_value = 0;
    RuleId any_object = 0;
    RuleId any_array = 0;

    // { name : value, ... } of any names. `value` is a rule.
    RuleId map_of(RuleId value);
    // At least `least`, at most `most` of `item`, in brackets.
    RuleId array_of(RuleId item, std::size_t least, std::size_t most);

private:
    void make_character();
    void make_numbers();
    void make_any();

    Builder& builder_;
};

}  // namespace kith::infer::grammar
