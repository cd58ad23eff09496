#include "infer/jinja/template.h"

#include "infer/jinja/evaluator.h"
#include "infer/jinja/parser.h"

namespace kith::infer::jinja {

using base::Code;
using base::fail;
using base::Result;

Result<Template> Template::parse(std::string_view source) {
    return Template(KITH_TRY(jinja::parse(source)));
}

Result<Text> Template::render(std::vector<Variable> const& variables, base::UnixTime now) const {
    Runtime runtime(now);
    Evaluator evaluator(runtime);
    for (auto const& variable : variables)
        evaluator.define(variable.name, KITH_TRY(evaluator.input(variable.value)));
    auto out = evaluator.run(body_);
    if (!out && out.error().code != Code::invalid)
        return fail(out.error().code,
                    "line " + std::to_string(evaluator.line()) + ": " + out.error().message);
    return out;
}

}  // namespace kith::infer::jinja
