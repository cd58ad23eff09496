// infer/unicode.h: UTF-8 and the few character classes that tokenizers split text by.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kith::infer {

enum class CharClass : std::uint8_t { other, letter, number, punctuation, whitespace };

// By general category (L*, N*, P*) and the property White_Space, from Unicode's tables.
CharClass char_class(char32_t point);

// A character of a text: where it is and what it is. A byte that belongs to no valid UTF-8 sequence
// is a character of its own, of class other, so that no byte is lost.
struct Character {
    std::uint32_t offset = 0;  // in bytes
    char32_t point = 0;        // invalid_point for an invalid byte
    CharClass kind = CharClass::other;
};
inline constexpr char32_t invalid_point = 0xffffffff;

// `text` is shorter than 4 GiB (asserted). One more entry than characters: the last has the offset
// of the end and class `other`.
std::vector<Character> split_characters(std::string_view text);

// Bytes of the character at the front of `text`, which is not empty: 1 to 4; 1 for an invalid byte,
// and 0 when `text` ends inside what so far is a valid sequence. RFC 3629: no overlong forms, no
// surrogates.
std::size_t utf8_length(std::string_view text, char32_t& point);

void append_utf8(std::string& out, char32_t point);

}  // namespace kith::infer
