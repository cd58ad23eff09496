#include "app/process_inputs.h"

#include <cstdlib>
#include <string_view>

#include "base/sabotage.h"

namespace kith::app {
namespace {

constexpr std::string_view token_prefix = "kith1";
constexpr std::string_view api_key_flag = "--api-key";

// volatile: the compiler must not drop stores to memory that the program never reads again.
void overwrite(char* text) {
    for (volatile char* at = text; *at != '\0'; ++at) *at = 'x';
}

bool is_secret_variable(std::string_view name) {
    return name == token_variable || name == token_variable_other || name == "KITH_API_KEY";
}

bool is_read(std::string_view name) {
    return name == "HOME" || name.starts_with("XDG_") || name.starts_with("KITH_") ||
           is_secret_variable(name);
}

}  // namespace

std::vector<std::string> take_arguments(int count, char** argv) {
    std::vector<std::string> arguments;
    bool token_may_follow = false;
    bool key_follows = false;
    for (int i = 1; i < count; ++i) {
        std::string_view const argument = argv[i];
        arguments.emplace_back(argument);
        bool const option = argument.size() > 1 && argument.front() == '-';
        bool const secret = key_follows || (token_may_follow && !option && argument != "-") ||
                            argument.find(token_prefix) != std::string_view::npos ||
                            argument.starts_with("--api-key=");
        key_follows = argument == api_key_flag;
        token_may_follow = token_may_follow || argument == "join" || argument == "login";
        if (!KITH_GUARD("P21.scrub", !secret)) overwrite(argv[i]);
    }
    return arguments;
}

Environment take_environment(char** environment) {
    Environment taken;
    std::vector<std::string> secret_names;
    for (char** entry = environment; entry != nullptr && *entry != nullptr; ++entry) {
        std::string_view const text = *entry;
        auto const equals = text.find('=');
        if (equals == std::string_view::npos || !is_read(text.substr(0, equals))) continue;
        std::string const name(text.substr(0, equals));
        taken.emplace(name, text.substr(equals + 1));
        if (!KITH_GUARD("P21.environment", !is_secret_variable(name))) {
            overwrite(*entry + equals + 1);
            secret_names.push_back(name);
        }
    }
    for (auto const& name : secret_names) ::unsetenv(name.c_str());
    return taken;
}

}  // namespace kith::app
