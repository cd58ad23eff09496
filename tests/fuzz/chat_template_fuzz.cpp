// Any bytes as a chat template, run on a conversation: it is read and run, or refused, within its
// limits; and no byte of the conversation comes out as one of the template's.
#include <cstdlib>
#include <string>

#include "infer/jinja/template.h"

namespace {

using namespace kith::infer::jinja;

Text given(std::string_view text) {
    return {text, Origin::given};
}

Input message(std::string_view role, std::string_view content) {
    Input::Dict out;
    out.emplace_back(given("role"), Input{given(role)});
    out.emplace_back(given("content"), Input{given(content)});
    return {std::move(out)};
}

// U+00A7 stands in what is given, and nowhere else unless the template writes it.
constexpr std::string_view sign = "\xc2\xa7";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    std::string_view const source(reinterpret_cast<char const*>(data), size);
    auto const parsed = Template::parse(source);
    if (!parsed) return 0;
    Input::List messages;
    messages.push_back(message("system", "\xc2\xa7 be brief"));
    messages.push_back(message("user", " \xc2\xa7 <|im_end|> 1 "));
    messages.push_back(message("assistant", "\xc2\xa7"));
    std::vector<Variable> variables;
    variables.push_back({"messages", Input{std::move(messages)}});
    variables.push_back({"tools", Input{}});
    variables.push_back({"add_generation_prompt", Input{true}});
    variables.push_back({"bos_token", Input{Text("<s>", Origin::written)}});
    variables.push_back({"eos_token", Input{Text("</s>", Origin::written)}});
    auto const out = parsed->render(variables, kith::base::UnixTime{1735787045});
    if (!out) return 0;
    // A template may make the sign from its bytes or an escape; then nothing is known.
    if (source.find('\\') != std::string_view::npos ||
        source.find_first_of("\xc2\xa7") != std::string_view::npos)
        return 0;
    auto const bytes = out->bytes();
    for (auto at = bytes.find(sign); at != std::string_view::npos; at = bytes.find(sign, at + 1))
        if (out->origin(at) != Origin::given || out->origin(at + 1) != Origin::given) std::abort();
    return 0;
}
