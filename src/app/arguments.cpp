#include "app/arguments.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <iostream>

#include "app/config_file.h"
#include "app/process_inputs.h"

namespace kith::app {
namespace {

using base::Code;
using base::fail;

std::optional<std::uint32_t> whole_number(std::string_view text) {
    std::uint32_t value = 0;
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

std::string trimmed(std::string const& text) {
    constexpr char const* space = " \t\r\n";
    auto const begin = text.find_first_not_of(space);
    if (begin == std::string::npos) return {};
    return text.substr(begin, text.find_last_not_of(space) - begin + 1);
}

base::Result<std::string> read_limited(std::istream& stream, char const* what) {
    std::string text(token_bytes_max + 1, '\0');
    stream.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(stream.gcount()));
    if (text.size() > token_bytes_max)
        return fail(Code::too_large, std::string(what) + " holds more than an invite token");
    return text;
}

base::Result<Token> token_from_file(std::filesystem::path const& path) {
    Token token;
    auto const text = read_private_file(path, token_bytes_max);
    if (text && *text) {
        token.text = **text;
    } else {
        // A token file is made by hand or by a secret manager: readable by others is worth a
        // warning, not a refusal.
        std::ifstream stream(path, std::ios::binary);
        if (!stream) return fail(Code::not_found, "cannot read the token file " + path.string());
        token.text = KITH_TRY(read_limited(stream, "the token file"));
        token.warnings.push_back("other users can read " + path.string() +
                                 "; whoever reads the token can join in your place");
    }
    return token;
}

base::Result<Token> token_from_anywhere(TokenSources const& sources) {
    if (sources.argument == "-")
        return Token{KITH_TRY(read_limited(std::cin, "standard input")), {}};
    if (sources.argument)
        return Token{*sources.argument,
                     {"a token among the arguments can be seen by other users of this machine and "
                      "stays in the shell's history; use KITH_INVITE_TOKEN or --token-file"}};
    if (sources.file) return token_from_file(*sources.file);
    for (auto const* const name : {token_variable, token_variable_other}) {
        auto const found = sources.environment.find(name);
        if (found != sources.environment.end()) return Token{found->second, {}};
    }
    return fail(Code::invalid,
                "no invite token; put it into KITH_INVITE_TOKEN, or use --token-file FILE, or - to "
                "read it from standard input");
}

}  // namespace

base::Result<std::uint32_t> parse_uses(std::string_view text) {
    auto const value = whole_number(text);
    if (!value || *value < 1 || *value > invite_uses_max)
        return fail(Code::invalid, "--max-uses must be a whole number from 1 to " +
                                       std::to_string(invite_uses_max));
    return *value;
}

base::Result<double> parse_hours(std::string_view text) {
    double value = 0;
    auto const [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::general);
    bool const number = error == std::errc{} && end == text.data() + text.size();
    if (!number || !std::isfinite(value) || value <= 0 || value > invite_hours_max)
        return fail(Code::invalid,
                    "--expires-hours must be above 0 and at most 8760 (a year); for no expiry at "
                    "all say --never-expires");
    return value;
}

base::Result<std::vector<std::uint32_t>> parse_shards(std::string_view text) {
    auto const wrong = fail(Code::invalid, "--shards must look like 1, 1-2 or 0,3-5");
    std::vector<std::uint32_t> shards;
    std::size_t begin = 0;
    while (begin <= text.size()) {
        auto const end = std::min(text.find(',', begin), text.size());
        auto const part = text.substr(begin, end - begin);
        auto const dash = part.find('-');
        auto const first = whole_number(part.substr(0, dash));
        auto const last =
            dash == std::string_view::npos ? first : whole_number(part.substr(dash + 1));
        if (!first || !last || *first > *last || *last > shard_index_max) return wrong;
        for (auto shard = *first; shard <= *last; ++shard) shards.push_back(shard);
        if (shards.size() > 2 * (shard_index_max + 1)) return wrong;
        begin = end + 1;
    }
    std::ranges::sort(shards);
    auto const doubles = std::ranges::unique(shards);
    shards.erase(doubles.begin(), doubles.end());
    return shards;
}

base::Result<Token> read_token(TokenSources const& sources) {
    auto token = KITH_TRY(token_from_anywhere(sources));
    token.text = trimmed(token.text);
    if (token.text.empty()) return fail(Code::invalid, "the invite token is empty");
    if (token.text.size() > token_bytes_max)
        return fail(Code::too_large, "that is too long for an invite token");
    return token;
}

}  // namespace kith::app
