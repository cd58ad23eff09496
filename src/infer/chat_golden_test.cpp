// The interpreter of chat templates against what Python's jinja2 made of the same templates
// (tests/chat_templates/golden.py).
#include <doctest/doctest.h>

#include <fstream>
#include <iterator>
#include <string>

#include "infer/json_input.h"

namespace kith::infer {
namespace {

using jinja::Input;

Input const& member(Input const& object, std::string_view name) {
    for (auto const& [key, value] : std::get<Input::Dict>(object.value))
        if (key.bytes() == name) return value;
    static Input const none;
    return none;
}
std::size_t place(Input const& object, std::string_view name) {
    return static_cast<std::size_t>(std::get<std::int64_t>(member(object, name).value));
}
std::string text(Input const& value) {
    return std::string(std::get<jinja::Text>(value.value).bytes());
}

TEST_CASE("templates give what Python's jinja2 gives, and fail where it fails") {
    std::ifstream file("tests/chat_templates/golden.json", std::ios::binary);
    std::string const bytes((std::istreambuf_iterator<char>(file)),
                            std::istreambuf_iterator<char>());
    auto const golden = input_of_json(bytes).value();
    auto const& templates = std::get<Input::List>(member(golden, "templates").value);
    auto const& sets = std::get<Input::List>(member(golden, "variables").value);
    auto const now = base::UnixTime{std::get<std::int64_t>(member(golden, "now").value)};
    auto const& cases = std::get<Input::List>(member(golden, "cases").value);
    CHECK(cases.size() > 200);
    for (auto const& each : cases) {
        auto const name = text(member(each, "name"));
        CAPTURE(name);
        std::vector<jinja::Variable> variables;
        for (auto const& [key, value] : std::get<Input::Dict>(sets[place(each, "variables")].value))
            variables.push_back({std::string(key.bytes()), value});
        auto const parsed = jinja::Template::parse(text(templates[place(each, "template")]));
        auto const out = parsed ? parsed->render(variables, now)
                                : base::Result<jinja::Text>(std::unexpected(parsed.error()));
        auto const& expected = member(each, "expected");
        if (std::holds_alternative<std::monostate>(expected.value)) {
            CHECK_FALSE(out.has_value());
            continue;
        }
        CHECK_MESSAGE(out.has_value(), (out ? "" : out.error().message));
        if (out) CHECK(std::string(out->bytes()) == text(expected));
    }
}

}  // namespace
}  // namespace kith::infer
