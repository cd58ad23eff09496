#include "infer/grammar/code_points.h"

#include <algorithm>
#include <array>

namespace kith::infer::grammar {

namespace {

using Range = CodePoints::Range;

constexpr Range surrogates{0xd800, 0xdfff};

// What RFC 8259 section 7 has a letter for, and that letter.
constexpr std::array<std::pair<char32_t, char>, 7> short_escapes{
    {{'"', '"'}, {'\\', '\\'}, {'\b', 'b'}, {'\f', 'f'}, {'\n', 'n'}, {'\r', 'r'}, {'\t', 't'}}};

Element byte_range(Builder& builder, unsigned first, unsigned last) {
    ByteSet bytes;
    for (auto byte = first; byte <= last; ++byte) bytes.set(byte);
    return builder.set(bytes);
}

// The bytes behind the first one hold 6 bits each.
constexpr unsigned tail_bits = 6;
constexpr char32_t tail_mask = 0x3f;

// All characters of the range have tails of `tails` bytes and one form of first byte, `mark`.
// While they do not all share what stands before the last bits, the range is cut so that each part
// is one sequence of byte sets.
void add_utf8(Builder& builder, Range range, unsigned tails, unsigned mark,
              std::vector<Sequence>& out) {
    for (unsigned tail = 1; tail <= tails; ++tail) {
        auto const below = (char32_t{1} << (tail_bits * tail)) - 1;
        if ((range.first & ~below) == (range.last & ~below)) break;
        if ((range.first & below) != 0) {
            add_utf8(builder, {range.first, range.first | below}, tails, mark, out);
            add_utf8(builder, {(range.first | below) + 1, range.last}, tails, mark, out);
            return;
        }
        if ((range.last & below) != below) {
            add_utf8(builder, {range.first, (range.last & ~below) - 1}, tails, mark, out);
            add_utf8(builder, {range.last & ~below, range.last}, tails, mark, out);
            return;
        }
    }
    Sequence bytes{byte_range(builder, mark | (range.first >> (tail_bits * tails)),
                              mark | (range.last >> (tail_bits * tails)))};
    for (auto tail = tails; tail-- > 0;)
        bytes.push_back(byte_range(builder, 0x80 | (range.first >> (tail_bits * tail) & tail_mask),
                                   0x80 | (range.last >> (tail_bits * tail) & tail_mask)));
    out.push_back(std::move(bytes));
}

// RFC 3629, section 3: by how many bytes a character has.
void add_beyond_ascii(Builder& builder, Range range, std::vector<Sequence>& out) {
    struct Length {
        Range range;
        unsigned tails;
        unsigned mark;
    };
    static constexpr std::array<Length, 3> lengths{{{{0x80, 0x7ff}, 1, 0xc0},
                                                    {{0x800, 0xffff}, 2, 0xe0},
                                                    {{0x10000, code_point_max}, 3, 0xf0}}};
    for (auto const& length : lengths) {
        Range const part{std::max(range.first, length.range.first),
                         std::min(range.last, length.range.last)};
        if (part.first <= part.last) add_utf8(builder, part, length.tails, length.mark, out);
    }
}

}  // namespace

CodePoints::CodePoints(std::initializer_list<Range> ranges) {
    for (auto const& range : ranges) add(range);
}

void CodePoints::add(Range range) {
    if (range.first < surrogates.first && range.last >= surrogates.first) {
        add({range.first, surrogates.first - 1});
        range.first = surrogates.last + 1;
    } else if (range.first >= surrogates.first && range.first <= surrogates.last) {
        range.first = surrogates.last + 1;
    }
    range.last = std::min(range.last, code_point_max);
    if (range.first > range.last) return;
    // Those that it touches become one with it.
    auto const begin = std::ranges::find_if(
        ranges_, [&](Range const& each) { return each.last + 1 >= range.first; });
    auto end = begin;
    for (; end != ranges_.end() && end->first <= range.last + 1; ++end) {
        range.first = std::min(range.first, end->first);
        range.last = std::max(range.last, end->last);
    }
    ranges_.insert(ranges_.erase(begin, end), range);
}

void CodePoints::add(CodePoints const& other) {
    for (auto const& range : other.ranges_) add(range);
}

CodePoints CodePoints::complement() const {
    CodePoints out;
    char32_t next = 0;
    for (auto const& range : ranges_) {
        if (range.first > next) out.add(Range{next, range.first - 1});
        next = range.last + 1;
    }
    if (next <= code_point_max) out.add(Range{next, code_point_max});
    return out;
}

// Few sequences, whatever the set is: each is a stack of its own in a state of the automaton.
std::vector<Sequence> json_character(Builder& builder, CodePoints const& set) {
    constexpr char32_t control_end = 0x20;
    constexpr char32_t ascii_end = 0x80;
    constexpr std::string_view digits = "0123456789abcdef";
    std::vector<Sequence> out;
    ByteSet plain;
    ByteSet letters;                        // behind a backslash
    std::array<ByteSet, 2> control_digits;  // the last one, by the one before it
    for (auto const& range : set.ranges()) {
        for (auto point = range.first; point <= range.last && point < ascii_end; ++point) {
            auto const escape =
                std::ranges::find(short_escapes, point, &std::pair<char32_t, char>::first);
            if (escape != short_escapes.end())
                letters.set(static_cast<unsigned char>(escape->second));
            else if (point < control_end)
                control_digits[point >> 4U].set(static_cast<unsigned char>(digits[point & 15U]));
            else
                plain.set(point);
        }
        if (range.last >= ascii_end)
            add_beyond_ascii(builder, {std::max(range.first, ascii_end), range.last}, out);
    }
    if (plain.any()) out.push_back({builder.set(plain)});
    if (letters.any()) out.push_back(builder.literal("\\") + Sequence{builder.set(letters)});
    for (std::size_t i = 0; i < control_digits.size(); ++i)
        if (control_digits[i].any())
            out.push_back(builder.literal("\\u00") + builder.literal(digits.substr(i, 1)) +
                          Sequence{builder.set(control_digits[i])});
    return out;
}

}  // namespace kith::infer::grammar
