// infer/jinja/syntax.h: a template as a tree. Made by the parser alone, which keeps its depth and
// size within limits, so that whoever walks it may do so by recursion.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "infer/jinja/text.h"

namespace kith::infer::jinja {

inline constexpr std::size_t nodes_max = 32'768;         // expressions and statements together
inline constexpr std::size_t expression_depth_max = 96;  // a chain a + b + c counts as well
inline constexpr std::size_t blocks_depth_max = 32;
inline constexpr std::size_t arguments_max = 32;  // of one call, and parameters of one macro

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

struct NamedArgument {
    std::string name;
    ExpressionPtr value;
};

enum class Operator : std::uint8_t {
    add,
    subtract,
    multiply,
    divide,
    floor_divide,
    modulo,
    power,
    equal,
    not_equal,
    less,
    less_equal,
    greater,
    greater_equal,
    in,
    not_in,
};

struct Expression {
    enum class Kind : std::uint8_t {
        literal,      // literal
        name,         // name
        list,         // parts
        dict,         // parts: key, value, key, value ...
        attribute,    // parts[0] . name
        item,         // parts[0] [ parts[1] ]
        slice,        // parts[0] [ parts[1] : parts[2] : parts[3] ], each of the three may be null
        call,         // parts[0] ( rest, named )
        filter,       // parts[0] | name ( rest, named )
        test,         // parts[0] is name ( rest, named )
        negate,       // - parts[0]
        identity,     // + parts[0]
        logic_not,    // parts[0]
        logic_and,    // parts[0], parts[1]
        logic_or,     // parts[0], parts[1]
        arithmetic,   // parts[0] operators[0] parts[1]
        comparison,   // parts[0] operators[0] parts[1] operators[1] parts[2] ...
        concat,       // parts, as strings
        conditional,  // parts[0] if parts[1] else parts[2], which may be null
    };
    Kind kind = Kind::literal;
    std::uint32_t line = 0;
    std::uint32_t depth = 1;
    std::string name;
    std::variant<std::monostate, bool, std::int64_t, double, Text> literal;  // monostate: none
    std::vector<Operator> operators;
    std::vector<ExpressionPtr> parts;
    std::vector<NamedArgument> named;
};

struct Statement;
using Block = std::vector<std::unique_ptr<Statement>>;

// What a value is given to: a name, or an attribute of a namespace.
struct Target {
    std::string name;
    std::string attribute;  // empty: the name itself
};

struct Parameter {
    std::string name;
    ExpressionPtr fallback;  // null: none
};

struct Statement {
    enum class Kind : std::uint8_t {
        data,       // text
        output,     // expressions[0]
        set,        // targets = expressions[0]
        set_block,  // targets = what blocks[0] prints, through expressions[0] unless null
        branch,     // expressions[i] -> blocks[i]; one block more: else
        loop,       // targets in expressions[0] if expressions[1] (may be null): blocks[0], else
                    // blocks[1]
        macro,      // targets[0] (parameters): blocks[0]
        group,      // blocks[0], as it stands
        loop_break,
        loop_continue,
    };
    Kind kind = Kind::data;
    std::uint32_t line = 0;
    Text text;
    std::vector<Target> targets;
    std::vector<ExpressionPtr> expressions;
    std::vector<Block> blocks;
    std::vector<Parameter> parameters;
};

// In an expression of a set block's filters, the place of what the block printed.
inline constexpr std::string_view captured_name = " captured";

}  // namespace kith::infer::jinja
