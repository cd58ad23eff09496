// infer/jinja/evaluator.h: walks the tree of one template for one rendering.
#pragma once

#include "infer/jinja/runtime.h"
#include "infer/jinja/template.h"

namespace kith::infer::jinja {

// Expressions, blocks and macros within each other while running: macros may call themselves.
inline constexpr std::size_t running_depth_max = 320;

class Evaluator {
public:
    explicit Evaluator(Runtime& runtime) : runtime_(runtime) { scopes_.emplace_back(); }

    base::Result<Value> input(Input const& from);
    void define(std::string_view name, Value const& value) { assign(name, value); }
    base::Result<Text> run(Block const& body);
    // Of the expression that was looked at last.
    [[nodiscard]] std::uint32_t line() const { return line_; }

private:
    enum class Flow : std::uint8_t { on, loop_break, loop_continue };

    // Names of one block; those of the parent are seen, not changed.
    struct Scope {
        std::vector<std::pair<std::string_view, Value>> names;
        std::size_t parent = 0;  // the module's own is number 0
    };
    class Deeper;

    base::Result<Flow> exec(Block const& block);
    base::Result<Flow> exec_one(Statement const& statement);
    base::Result<Flow> exec_branch(Statement const& statement);
    base::Result<Flow> exec_loop(Statement const& statement);
    base::Result<List const*> loop_items(Statement const& statement);
    base::Result<Flow> exec_output(Statement const& statement);
    base::Result<Flow> exec_set_block(Statement const& statement);
    base::Status bind(std::vector<Target> const& targets, Value const& value);
    base::Status bind_one(Target const& target, Value const& value);
    base::Status print(Text const& text);
    base::Result<Text> captured(Block const& block);

    base::Result<Value> eval(Expression const& expression);
    base::Result<Value> eval_kind(Expression const& expression);
    base::Result<Value> literal(Expression const& expression);
    base::Result<Value> name(Expression const& expression);
    base::Result<Value> list(Expression const& expression);
    base::Result<Value> dict(Expression const& expression);
    base::Result<Value> slice(Expression const& expression);
    base::Result<Value> call(Expression const& expression);
    base::Result<Value> call_macro(Statement const& macro, Arguments const& arguments);
    base::Result<Value> negate(Expression const& expression);
    base::Result<Value> comparison(Expression const& expression);
    base::Result<bool> compare(Operator how, Value const& a, Value const& b);
    base::Result<Value> concat(Expression const& expression);
    base::Result<Value> conditional(Expression const& expression);
    base::Result<Arguments> arguments(Expression const& expression);

    [[nodiscard]] Value const* find(std::string_view name) const;
    void assign(std::string_view name, Value const& value);

    Runtime& runtime_;
    std::vector<Scope> scopes_;
    Text* out_ = nullptr;
    std::size_t depth_ = 0;
    std::uint32_t line_ = 0;
};

// a + b and the like; a comparison is none of these.
base::Result<Value> arithmetic(Runtime& runtime, Operator how, Value const& a, Value const& b);

}  // namespace kith::infer::jinja
