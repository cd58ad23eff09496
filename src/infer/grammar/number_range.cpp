#include "infer/grammar/number_range.h"

#include <algorithm>
#include <string>

namespace kith::infer::grammar {
namespace {

// Runs of whole numbers from `least` to `most`, 0 or above: what begins alike, one digit of a range
// and any digits behind it. "17 to 420" becomes 17-19, 20-99, 100-399, 400-419 and 420.
void add_digits(Builder& builder, Sequence const& before, std::int64_t least, std::int64_t most,
                std::vector<Sequence>& out) {
    if (least == 0 && most >= 0) {
        out.push_back(before + builder.literal("0"));
        least = 1;
    }
    while (least <= most) {
        std::int64_t unit = 1;  // the largest whose multiples all fit
        std::size_t any_digits = 0;
        while (least % (unit * 10) == 0 && least + unit * 10 - 1 <= most) {
            unit *= 10;
            ++any_digits;
        }
        auto const first = least / unit % 10;
        auto const digits = std::min(10 - first, (most - least + 1) / unit);
        auto const head = least / unit / 10;
        auto sequence = before;
        if (head != 0) sequence = sequence + builder.literal(std::to_string(head));
        auto const range =
            std::to_string(first).append("-").append(std::to_string(first + digits - 1));
        sequence.push_back(builder.any_of(range));
        sequence.insert(sequence.end(), any_digits, builder.any_of("0-9"));
        out.push_back(std::move(sequence));
        least += digits * unit;
    }
}

constexpr std::size_t fraction_digits_max = 15;

}  // namespace

std::vector<Sequence> integers_in(Builder& builder, NumberRange range) {
    std::vector<Sequence> out;
    if (range.most >= 0)
        add_digits(builder, {}, std::max<std::int64_t>(range.least, 0), range.most, out);
    if (range.least < 0)
        add_digits(builder, builder.literal("-"), std::max<std::int64_t>(-range.most, 1),
                   -range.least, out);
    return out;
}

std::vector<Sequence> fractions_in(Builder& builder, NumberRange range) {
    // n.f lies between n and n + 1, -n.f between -n - 1 and -n.
    std::vector<Sequence> out;
    if (range.most >= 1)
        add_digits(builder, {}, std::max<std::int64_t>(range.least, 0), range.most - 1, out);
    if (range.least <= -1)
        add_digits(builder, builder.literal("-"), std::max<std::int64_t>(-range.most, 0),
                   -range.least - 1, out);
    auto const digits = builder.repeated({builder.any_of("0-9")}, 0, fraction_digits_max - 1);
    auto const fraction =
        builder.literal(".") + Sequence{Builder::rule(digits), builder.any_of("1-9")};
    for (auto& sequence : out) sequence = sequence + fraction;
    return out;
}

}  // namespace kith::infer::grammar
