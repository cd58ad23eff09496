#include "infer/grammar/string_formats.h"

#include <algorithm>
#include <array>

namespace kith::infer::grammar {

namespace {

using Text = std::string;

Text group(Text const& inside) {
    return "(?:" + inside + ")";
}
Text optional(Text const& inside) {
    return group(inside) + "?";
}

Text date() {
    return "[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|"
           "(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))";
}

Text time() {
    Text const hour = "(?:[01][0-9]|2[0-3])";
    Text const sixty = "[0-5][0-9]";
    return hour + ":" + sixty + ":" + sixty + optional("\\.[0-9]{1,6}") +
           group("Z|[+-]" + hour + ":" + sixty);
}

// A unit may only be left out before or after all that stand: 1H2S has no form.
Text duration() {
    Text const number = "[0-9]{1,6}";
    auto const chain = [&](char first, char second, char third) {
        auto const unit = [&](char letter) { return number + letter; };
        return group(unit(first) + optional(unit(second) + optional(unit(third))) + "|" +
                     unit(second) + optional(unit(third)) + "|" + unit(third));
    };
    auto const time = "T" + chain('H', 'M', 'S');
    return "P" + group(chain('Y', 'M', 'D') + optional(time) + "|" + time + "|" + number + "W");
}

Text date_time() {
    return date() + "T" + time();
}

Text uuid() {
    return "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
}

// 63 octets of a label and 253 of a name are never reached.
Text label() {
    return "[A-Za-z0-9](?:-?[A-Za-z0-9]){0,15}";
}
Text hostname() {
    return label() + "(?:\\." + label() + "){0,6}";
}

// 64 octets of a local part are never reached: 4 times 15 and the dots.
Text email() {
    Text const atom = "[A-Za-z0-9_+-]{1,15}";
    return atom + "(?:\\." + atom + "){0,3}@" + label() + "(?:\\." + label() + "){1,3}";
}

Text ipv4() {
    Text const octet = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
    return octet + "(?:\\." + octet + "){3}";
}

// All eight groups, or "::" for at least two of them, behind each number that may stand before it.
Text ipv6() {
    Text const part = "[0-9a-f]{1,4}";
    auto out = part + "(?::" + part + "){7}";
    constexpr int parts_max = 6;
    for (int before = 0; before <= parts_max; ++before) {
        out += "|";
        if (before > 0) out += part + "(?::" + part + "){" + std::to_string(before - 1) + "}";
        out += "::";
        auto const after = parts_max - before;
        if (after > 0)
            out += optional(part + "(?::" + part + "){0," + std::to_string(after - 1) + "}");
    }
    return group(out);
}

Text uri() {
    Text const character = "[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-F]{2}";
    return "[a-z][a-z0-9+.-]{0,15}:\\/\\/" + hostname() + optional(":[0-9]{1,5}") + "(?:\\/" +
           group(character) + "*)*" + optional("\\?" + group(character + "|[\\/?]") + "*") +
           optional("#" + group(character + "|[\\/?]") + "*");
}

struct Format {
    std::string_view name;
    Text (*pattern)();
};
constexpr std::array<Format, 10> formats{{{"date", date},
                                          {"time", time},
                                          {"date-time", date_time},
                                          {"duration", duration},
                                          {"uuid", uuid},
                                          {"email", email},
                                          {"hostname", hostname},
                                          {"ipv4", ipv4},
                                          {"ipv6", ipv6},
                                          {"uri", uri}}};

}  // namespace

std::optional<std::string> find_format(std::string_view name) {
    auto const found = std::ranges::find(formats, name, &Format::name);
    if (found == formats.end()) return std::nullopt;
    return "^" + found->pattern() + "$";
}

}  // namespace kith::infer::grammar
