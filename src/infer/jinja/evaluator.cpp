#include "infer/jinja/evaluator.h"

#include <algorithm>

#include "infer/jinja/builtins.h"
#include "infer/jinja/print.h"

namespace kith::infer::jinja {

using base::Code;
using base::fail;
using base::Result;
using base::Status;

// One level further down, for as long as it lives.
class Evaluator::Deeper {
public:
    explicit Deeper(Evaluator& evaluator) : depth_(evaluator.depth_) { ++depth_; }
    ~Deeper() { --depth_; }
    Deeper(Deeper const&) = delete;
    Deeper& operator=(Deeper const&) = delete;

private:
    std::size_t& depth_;
};

Result<Value> Evaluator::input(Input const& from) {
    if (auto const* boolean = std::get_if<bool>(&from.value)) return Value(*boolean);
    if (auto const* integer = std::get_if<std::int64_t>(&from.value)) return Value(*integer);
    if (auto const* real = std::get_if<double>(&from.value)) return Value(*real);
    if (auto const* text = std::get_if<Text>(&from.value)) return runtime_.make(*text);
    Deeper const deeper(*this);
    if (depth_ > values_depth_max) return fail(Code::too_large, "a value is nested too deep");
    if (auto const* list = std::get_if<Input::List>(&from.value)) {
        std::vector<Value> items;
        for (auto const& item : *list) items.push_back(KITH_TRY(input(item)));
        return runtime_.make(std::move(items));
    }
    if (auto const* dict = std::get_if<Input::Dict>(&from.value)) {
        std::vector<std::pair<Value, Value>> entries;
        for (auto const& [key, value] : *dict)
            entries.emplace_back(KITH_TRY(runtime_.make(key)), KITH_TRY(input(value)));
        return runtime_.make(std::move(entries));
    }
    return Value(None{});
}

Result<Text> Evaluator::run(Block const& body) {
    return captured(body);
}

Result<Text> Evaluator::captured(Block const& block) {
    Text out;
    auto* const before = std::exchange(out_, &out);
    auto const flow = exec(block);
    out_ = before;
    if (!flow) return std::unexpected(flow.error());
    return out;
}

Status Evaluator::print(Text const& text) {
    KITH_TRY(runtime_.spend_bytes(text.size()));
    if (out_->size() + text.size() > text_bytes_max)
        return fail(Code::too_large, "the rendered conversation is too long");
    out_->append(text);
    return {};
}

Value const* Evaluator::find(std::string_view name) const {
    for (auto at = scopes_.size() - 1;; at = scopes_[at].parent) {
        for (auto const& [known, value] : scopes_[at].names)
            if (known == name) return &value;
        if (at == 0) return nullptr;
    }
}

void Evaluator::assign(std::string_view name, Value const& value) {
    auto& names = scopes_.back().names;
    auto const known =
        std::ranges::find(names, name, [](auto const& entry) { return entry.first; });
    if (known != names.end())
        known->second = value;
    else
        names.emplace_back(name, value);
}

Status Evaluator::bind_one(Target const& target, Value const& value) {
    if (target.attribute.empty()) {
        assign(target.name, value);
        return {};
    }
    auto const* const found = find(target.name);
    auto const* const space = found == nullptr ? nullptr : std::get_if<Space*>(found);
    if (space == nullptr)
        return misuse("'" + target.name + "' is no namespace, so '" + target.attribute +
                      "' of it cannot be set");
    auto& entries = (*space)->entries;
    std::string_view const name = target.attribute;
    auto const known =
        std::ranges::find(entries, name, [](auto const& entry) { return entry.first; });
    if (known != entries.end())
        known->second = value;
    else
        entries.emplace_back(name, value);
    return {};
}

Status Evaluator::bind(std::vector<Target> const& targets, Value const& value) {
    if (targets.size() == 1) return bind_one(targets.front(), value);
    auto const* const items = KITH_TRY(runtime_.items_of(value));
    if (items->items.size() != targets.size())
        return misuse("cannot unpack into " + std::to_string(targets.size()) + " names");
    for (std::size_t i = 0; i < targets.size(); ++i)
        KITH_TRY(bind_one(targets[i], items->items[i]));
    return {};
}

Result<Evaluator::Flow> Evaluator::exec(Block const& block) {
    Deeper const deeper(*this);
    if (depth_ > running_depth_max)
        return fail(Code::too_large, "the template nests too deep while it runs");
    for (auto const& statement : block) {
        KITH_TRY(runtime_.spend());
        auto const flow = KITH_TRY(exec_one(*statement));
        if (flow != Flow::on) return flow;
    }
    return Flow::on;
}

Result<Evaluator::Flow> Evaluator::exec_one(Statement const& statement) {
    line_ = statement.line;
    switch (statement.kind) {
        case Statement::Kind::data:
            KITH_TRY(print(statement.text));
            return Flow::on;
        case Statement::Kind::output:
            return exec_output(statement);
        case Statement::Kind::set:
            KITH_TRY(bind(statement.targets, KITH_TRY(eval(*statement.expressions[0]))));
            return Flow::on;
        case Statement::Kind::set_block:
            return exec_set_block(statement);
        case Statement::Kind::branch:
            return exec_branch(statement);
        case Statement::Kind::loop:
            return exec_loop(statement);
        case Statement::Kind::macro:
            assign(statement.targets[0].name, Value(&statement));
            return Flow::on;
        case Statement::Kind::group:
            return exec(statement.blocks[0]);
        case Statement::Kind::loop_break:
            return Flow::loop_break;
        case Statement::Kind::loop_continue:
            return Flow::loop_continue;
    }
    return Flow::on;
}

Result<Evaluator::Flow> Evaluator::exec_output(Statement const& statement) {
    auto const value = KITH_TRY(eval(*statement.expressions[0]));
    if (auto const* text = as_text(value)) {
        KITH_TRY(print(*text));
    } else {
        KITH_TRY(print(KITH_TRY(printed(runtime_, value))));
    }
    return Flow::on;
}

Result<Evaluator::Flow> Evaluator::exec_set_block(Statement const& statement) {
    scopes_.push_back({.names = {}, .parent = scopes_.size() - 1});
    auto text = captured(statement.blocks[0]);
    scopes_.pop_back();
    auto value = KITH_TRY(runtime_.make(KITH_TRY(std::move(text))));
    if (statement.expressions[0] != nullptr) {
        scopes_.push_back({.names = {{captured_name, value}}, .parent = scopes_.size() - 1});
        auto filtered = eval(*statement.expressions[0]);
        scopes_.pop_back();
        value = KITH_TRY(std::move(filtered));
    }
    KITH_TRY(bind(statement.targets, value));
    return Flow::on;
}

Result<Evaluator::Flow> Evaluator::exec_branch(Statement const& statement) {
    for (std::size_t i = 0; i < statement.expressions.size(); ++i)
        if (Runtime::truth(KITH_TRY(eval(*statement.expressions[i]))))
            return exec(statement.blocks[i]);
    if (statement.blocks.size() > statement.expressions.size())
        return exec(statement.blocks.back());
    return Flow::on;
}

// What the loop goes through: what passes its condition.
Result<List const*> Evaluator::loop_items(Statement const& statement) {
    auto const* const all = KITH_TRY(runtime_.items_of(KITH_TRY(eval(*statement.expressions[0]))));
    if (statement.expressions[1] == nullptr) return all;
    std::vector<Value> kept;
    for (auto const& item : all->items) {
        scopes_.push_back({.names = {}, .parent = scopes_.size() - 1});
        auto const passes = [&]() -> Result<bool> {
            KITH_TRY(bind(statement.targets, item));
            return Runtime::truth(KITH_TRY(eval(*statement.expressions[1])));
        }();
        scopes_.pop_back();
        if (!passes) return std::unexpected(passes.error());
        if (*passes) kept.push_back(item);
    }
    return as_list(KITH_TRY(runtime_.make(std::move(kept))));
}

Result<Evaluator::Flow> Evaluator::exec_loop(Statement const& statement) {
    auto const* const items = KITH_TRY(loop_items(statement));
    if (items->items.empty())
        return statement.blocks.size() > 1 ? exec(statement.blocks[1]) : Result<Flow>(Flow::on);
    auto* const loop = KITH_TRY(runtime_.make_loop({.items = items}));
    Result<Flow> flow = Flow::on;
    for (; loop->index < items->items.size(); ++loop->index) {
        scopes_.push_back({.names = {{"loop", Value(loop)}}, .parent = scopes_.size() - 1});
        flow = [&]() -> Result<Flow> {
            KITH_TRY(bind(statement.targets, items->items[loop->index]));
            return exec(statement.blocks[0]);
        }();
        scopes_.pop_back();
        if (!flow || *flow == Flow::loop_break) break;
    }
    if (!flow) return flow;
    return Flow::on;
}

}  // namespace kith::infer::jinja
