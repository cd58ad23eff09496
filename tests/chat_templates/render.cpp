// render TEMPLATE VARIABLES.json [UNIX_TIME]: what a chat template makes of the variables, for
// comparison with Python's jinja2 (golden.py). Exit code 3 and the reason when it cannot.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "infer/jinja/template.h"
#include "infer/json_input.h"

namespace {

std::string contents(char const* path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

int fail(kith::base::Error const& error) {
    std::printf("%s\n", error.message.c_str());
    return 3;
}

}  // namespace

int main(int argc, char** argv) {
    using namespace kith::infer;
    if (argc < 3) return 2;
    auto const parsed = jinja::Template::parse(contents(argv[1]));
    if (!parsed) return fail(parsed.error());
    auto const json = input_of_json(contents(argv[2]));
    if (!json) return fail(json.error());
    std::vector<jinja::Variable> variables;
    for (auto const& [name, value] : std::get<jinja::Input::Dict>(json->value))
        variables.push_back({std::string(name.bytes()), value});
    auto const now = kith::base::UnixTime{argc > 3 ? std::atoll(argv[3]) : 0};
    auto const text = parsed->render(variables, now);
    if (!text) return fail(text.error());
    std::fwrite(text->bytes().data(), 1, text->size(), stdout);
    return 0;
}
