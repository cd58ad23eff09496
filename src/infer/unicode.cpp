#include "infer/unicode.h"

#include <algorithm>
#include <iterator>
#include <limits>

#include "base/check.h"

namespace kith::infer {
namespace {

struct Range {
    char32_t first;
    char32_t last;
    CharClass kind;
};

constexpr Range ranges[] = {
#include "infer/unicode_ranges.inc"
};

// PropList.txt, White_Space.
bool is_whitespace(char32_t point) {
    return (point >= 9 && point <= 13) || point == 0x20 || point == 0x85 || point == 0xa0 ||
           point == 0x1680 || (point >= 0x2000 && point <= 0x200a) || point == 0x2028 ||
           point == 0x2029 || point == 0x202f || point == 0x205f || point == 0x3000;
}

}  // namespace

CharClass char_class(char32_t point) {
    if (is_whitespace(point)) return CharClass::whitespace;
    auto const* const found = std::ranges::lower_bound(ranges, point, {}, &Range::last);
    if (found == std::end(ranges) || point < found->first) return CharClass::other;
    return found->kind;
}

std::size_t utf8_length(std::string_view text, char32_t& point) {
    auto const lead = static_cast<unsigned char>(text[0]);
    point = lead;
    if (lead < 0x80) return 1;
    std::size_t const length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    // RFC 3629, 4: the second byte's range excludes overlong forms, surrogates and what lies above
    // U+10FFFF.
    unsigned low = 0x80;
    unsigned high = 0xbf;
    if (lead == 0xe0) low = 0xa0;
    if (lead == 0xed) high = 0x9f;
    if (lead == 0xf0) low = 0x90;
    if (lead == 0xf4) high = 0x8f;
    if (lead < 0xc2 || lead > 0xf4) {
        point = invalid_point;
        return 1;
    }
    char32_t value = lead & (0xffU >> (length + 1));
    for (std::size_t i = 1; i < length; ++i) {
        if (i == text.size()) return 0;
        auto const next = static_cast<unsigned char>(text[i]);
        if (next < low || next > high) {
            point = invalid_point;
            return 1;
        }
        low = 0x80;
        high = 0xbf;
        value = value << 6U | (next & 0x3fU);
    }
    point = value;
    return length;
}

std::vector<Character> split_characters(std::string_view text) {
    KITH_ASSERT(text.size() < std::numeric_limits<std::uint32_t>::max());
    std::vector<Character> out;
    out.reserve(text.size() + 1);
    for (std::size_t at = 0; at < text.size();) {
        char32_t point = 0;
        auto length = utf8_length(text.substr(at), point);
        if (length == 0) {  // cut off at the end of the text
            length = 1;
            point = invalid_point;
        }
        out.push_back({static_cast<std::uint32_t>(at), point, char_class(point)});
        at += length;
    }
    out.push_back({static_cast<std::uint32_t>(text.size()), 0, CharClass::other});
    return out;
}

void append_utf8(std::string& out, char32_t point) {
    auto const tail = [&out, point](unsigned shift) {
        out += static_cast<char>(0x80U | ((point >> shift) & 0x3fU));
    };
    if (point < 0x80) {
        out += static_cast<char>(point);
    } else if (point < 0x800) {
        out += static_cast<char>(0xc0U | point >> 6U);
        tail(0);
    } else if (point < 0x10000) {
        out += static_cast<char>(0xe0U | point >> 12U);
        tail(6);
        tail(0);
    } else {
        out += static_cast<char>(0xf0U | point >> 18U);
        tail(12);
        tail(6);
        tail(0);
    }
}

}  // namespace kith::infer
