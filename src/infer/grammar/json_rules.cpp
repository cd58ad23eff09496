#include "infer/grammar/json_rules.h"

namespace kith::infer::grammar {

JsonRules::JsonRules(Builder& builder) : builder_(builder) {
    constexpr std::size_t margin_max = 20;
    auto const margin = builder_.repeated({builder_.any_of(" \t")}, 0, margin_max);
    blank = builder_.define(
        {{}, builder_.literal(" "), builder_.literal("\n") + Sequence{Builder::rule(margin)}});
    make_character();
    auto const quote = builder_.literal("\"");
    auto const text = builder_.repeated({Builder::rule(character)}, 0, Builder::no_limit);
    string = builder_.define({quote + Sequence{Builder::rule(text)} + quote});
    make_numbers();
    boolean = builder_.define({builder_.literal("true"), builder_.literal("false")});
    null = builder_.define({builder_.literal("null")});
    make_any();
}

// RFC 3629, section 4: the well-formed sequences; RFC 8259, section 7: the escapes.
void JsonRules::make_character() {
    ByteSet plain;
    for (unsigned byte = 0x20; byte < 0x80; ++byte) plain.set(byte);
    plain.reset('"');
    plain.reset('\\');
    auto const range = [&](unsigned first, unsigned last) {
        ByteSet bytes;
        for (auto byte = first; byte <= last; ++byte) bytes.set(byte);
        return builder_.set(bytes);
    };
    auto const tail = range(0x80, 0xbf);
    auto const hex = builder_.any_of("0-9a-fA-F");
    auto const escape = builder_.literal("\\");
    auto const code = escape + builder_.literal("u");
    character = builder_.define({
        {builder_.set(plain)},
        {range(0xc2, 0xdf), tail},
        {range(0xe0, 0xe0), range(0xa0, 0xbf), tail},
        {range(0xe1, 0xec), tail, tail},
        {range(0xed, 0xed), range(0x80, 0x9f), tail},
        {range(0xee, 0xef), tail, tail},
        {range(0xf0, 0xf0), range(0x90, 0xbf), tail, tail},
        {range(0xf1, 0xf3), tail, tail, tail},
        {range(0xf4, 0xf4), range(0x80, 0x8f), tail, tail},
        escape + Sequence{builder_.any_of("\"\\/bfnrt")},
        code + Sequence{builder_.any_of("0-9a-cA-CefEF"), hex, hex, hex},
        code + Sequence{builder_.any_of("dD"), builder_.any_of("0-7"), hex, hex},
    });
}

void JsonRules::make_numbers() {
    constexpr std::size_t digits_max = 16;
    auto const digit = builder_.any_of("0-9");
    auto const minus = Builder::rule(builder_.optional(builder_.literal("-")));
    auto const more = Builder::rule(builder_.repeated({digit}, 0, digits_max - 1));
    auto const whole =
        Builder::rule(builder_.define({builder_.literal("0"), {builder_.any_of("1-9"), more}}));
    integer = builder_.define({{minus, whole}});
    auto const fraction = Builder::rule(
        builder_.optional(builder_.literal(".") +
                          Sequence{Builder::rule(builder_.repeated({digit}, 1, digits_max))}));
    auto const sign = Builder::rule(builder_.optional({builder_.any_of("+-")}));
    auto const exponent = Builder::rule(builder_.optional(
        {builder_.any_of("eE"), sign, Builder::rule(builder_.repeated({digit}, 1, 2))}));
    number = builder_.define({{minus, whole, fraction, exponent}});
}

// One set of rules for each level, so that at the deepest only what has no inside is left.
void JsonRules::make_any() {
    auto const plain = std::vector<Sequence>{{Builder::rule(string)},
                                             {Builder::rule(number)},
                                             {Builder::rule(boolean)},
                                             {Builder::rule(null)}};
    any_value = builder_.define(plain);
    for (std::size_t level = 0; level < any_depth_max; ++level) {
        any_object = map_of(any_value);
        any_array = array_of(any_value, 0, Builder::no_limit);
        auto alternatives = plain;
        alternatives.push_back({Builder::rule(any_object)});
        alternatives.push_back({Builder::rule(any_array)});
        any_value = builder_.define(alternatives);
    }
}

RuleId JsonRules::map_of(RuleId value) {
    auto const blanks = Builder::rule(blank);
    Sequence const member = Sequence{Builder::rule(string), blanks} + builder_.literal(":") +
                            Sequence{blanks, Builder::rule(value), blanks};
    auto const more =
        builder_.repeated(builder_.literal(",") + Sequence{blanks} + member, 0, Builder::no_limit);
    auto const members = builder_.optional(member + Sequence{Builder::rule(more)});
    return builder_.define(
        {builder_.literal("{") + Sequence{blanks, Builder::rule(members)} + builder_.literal("}")});
}

RuleId JsonRules::array_of(RuleId item, std::size_t least, std::size_t most) {
    auto const blanks = Builder::rule(blank);
    auto const open = builder_.literal("[") + Sequence{blanks};
    auto const close = builder_.literal("]");
    if (most == 0) return builder_.define({open + close});
    Sequence const one{Builder::rule(item), blanks};
    auto const more = builder_.repeated(builder_.literal(",") + Sequence{blanks} + one,
                                        least == 0 ? 0 : least - 1,
                                        most == Builder::no_limit ? Builder::no_limit : most - 1);
    auto const some = one + Sequence{Builder::rule(more)};
    auto const items = least == 0 ? Sequence{Builder::rule(builder_.optional(some))} : some;
    return builder_.define({open + items + close});
}

}  // namespace kith::infer::grammar
