// infer/jinja/template.h: a chat template, run on a conversation.
//
// The subset of Jinja that chat templates use (parser.h, builtins.h), interpreted, with a limit on
// everything a file could make grow: template_bytes_max, tokens_max, nodes_max, depths, steps_max,
// memory_bytes_max, text_bytes_max. A template is somebody else's program: it sees nothing but what
// it is given, and does nothing but return text.
//
// Source: Jinja 3.1 template designer documentation; the environment is that of transformers
// (apply_chat_template): trim_blocks, lstrip_blocks, loop controls, no escaping, values that do not
// change, tojson that keeps every character.
#pragma once

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "infer/jinja/syntax.h"
#include "infer/jinja/text.h"

namespace kith::infer::jinja {

// A value from outside; monostate is none.
struct Input {
    struct Entry;  // of a dict; not std::pair, which wants its parts complete
    using List = std::vector<Input>;
    using Dict = std::vector<Entry>;
    std::variant<std::monostate, bool, std::int64_t, double, Text, List, Dict> value;
};
struct Input::Entry {
    Text key;
    Input value;
};
struct Variable {
    std::string name;
    Input value;
};

class Template {
public:
    // Code::invalid with the line for what is no Jinja, Code::unsupported for what is not of the
    // subset, Code::too_large past a limit.
    static base::Result<Template> parse(std::string_view source);

    // Code::invalid: the template itself refuses, in its own words (raise_exception).
    // Code::unsupported: it asks for what is not there, which is a mistake of its author or
    // something missing here. Code::too_large: a limit. `now` is what strftime_now() tells. Takes
    // less than a second.
    [[nodiscard]] base::Result<Text> render(std::vector<Variable> const& variables,
                                            base::UnixTime now) const;

private:
    explicit Template(Block body) : body_(std::move(body)) {}
    Block body_;
};

}  // namespace kith::infer::jinja
