// app/arguments.h: pure checks of what people type, so that a wrong value never reaches a handler.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/config.h"
#include "base/result.h"

namespace kith::app {

inline constexpr std::uint32_t invite_uses_max = 10'000;
inline constexpr double invite_hours_max = 8760;  // one year
inline constexpr std::size_t invite_note_characters_max = 500;
inline constexpr std::uint32_t shard_index_max = 9999;  // shard_0000: four digits
inline constexpr std::size_t token_bytes_max = 4096;

// 1 to invite_uses_max.
base::Result<std::uint32_t> parse_uses(std::string_view text);

// Hours > 0, at most invite_hours_max; "0.5" is half an hour. Not: 0, -1, nan, inf, 1e308,
// hexadecimal.
base::Result<double> parse_hours(std::string_view text);

// "0", "1-2", "0,3-5": sorted, without doubles.
base::Result<std::vector<std::uint32_t>> parse_shards(std::string_view text);

struct TokenSources {
    std::optional<std::string> argument;  // "-" reads standard input
    std::optional<std::filesystem::path> file;
    Environment const& environment;
};
struct Token {
    std::string text;
    std::vector<std::string>
        warnings;  // an argument was visible to others, a file is readable by others
};
// From the argument, else the file, else KITH_INVITE_TOKEN, else PROGRESSPALS_INVITE_TOKEN. White
// space around it is dropped. What the token says is the handler's business.
base::Result<Token> read_token(TokenSources const& sources);

}  // namespace kith::app
