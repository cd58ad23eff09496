#include "proto/noise/pattern.h"

#include <algorithm>
#include <optional>

#include "base/check.h"

namespace kith::proto::noise {

using base::Code;
using base::fail;
using base::Result;

namespace {

enum class PreMessages { none, initiator, responder, both };

struct PatternRow {
    std::string_view name;
    PreMessages known;
    std::string_view messages;  // tokens by blanks, messages by commas
};

// Noise revision 34, sections 7.4 and 7.5.
constexpr PatternRow pattern_table[] = {
    {"N", PreMessages::responder, "e es"},
    {"K", PreMessages::both, "e es ss"},
    {"X", PreMessages::responder, "e es s ss"},
    {"NN", PreMessages::none, "e,e ee"},
    {"NK", PreMessages::responder, "e es,e ee"},
    {"NX", PreMessages::none, "e,e ee s es"},
    {"XN", PreMessages::none, "e,e ee,s se"},
    {"XK", PreMessages::responder, "e es,e ee,s se"},
    {"XX", PreMessages::none, "e,e ee s es,s se"},
    {"KN", PreMessages::initiator, "e,e ee se"},
    {"KK", PreMessages::both, "e es ss,e ee se"},
    {"KX", PreMessages::initiator, "e,e ee se s es"},
    {"IN", PreMessages::none, "e s,e ee se"},
    {"IK", PreMessages::responder, "e es s ss,e ee se"},
    {"IX", PreMessages::none, "e s,e ee se s es"},
};

Token token_of(std::string_view word) {
    if (word == "e") return Token::e;
    if (word == "s") return Token::s;
    if (word == "ee") return Token::ee;
    if (word == "es") return Token::es;
    if (word == "se") return Token::se;
    KITH_ASSERT(word == "ss");
    return Token::ss;
}

std::string_view cut(std::string_view& text, char separator) {
    auto const part = text.substr(0, text.find(separator));
    text.remove_prefix(std::min(text.size(), part.size() + 1));
    return part;
}

Pattern expand(PatternRow const& row) {
    Pattern pattern;
    pattern.initiator_static_known =
        row.known == PreMessages::initiator || row.known == PreMessages::both;
    pattern.responder_static_known =
        row.known == PreMessages::responder || row.known == PreMessages::both;
    pattern.one_way = row.name.size() == 1;
    for (auto messages = row.messages; !messages.empty();) {
        auto& message = pattern.messages[pattern.messages_count++];
        for (auto words = cut(messages, ','); !words.empty();)
            message.insert(message.tokens().size(), token_of(cut(words, ' ')));
    }
    return pattern;
}

// Section 9.4: psk0 stands at the start of the first message, pskN at the end of message N.
bool add_psk(Pattern& pattern, std::string_view modifier) {
    if (modifier.size() != 4 || !modifier.starts_with("psk")) return false;
    auto const position = static_cast<std::size_t>(modifier[3] - '0');
    if (modifier[3] < '0' || position > pattern.messages_count) return false;
    if (position == 0)
        pattern.messages[0].insert(0, Token::psk);
    else
        pattern.messages[position - 1].insert(pattern.messages[position - 1].tokens().size(),
                                              Token::psk);
    return true;
}

// noise_hfs_spec: e1 as early as it can be encrypted, ekem1 behind the first ee.
bool add_hfs(Pattern& pattern) {
    if (pattern.one_way) return false;
    auto const first = pattern.messages[0].tokens();
    auto const encrypted = first.size() > 1 && first[1] == Token::es;
    pattern.messages[0].insert(encrypted ? 2 : 1, Token::e1);
    auto const second = pattern.messages[1].tokens();
    auto const ee = std::ranges::find(second, Token::ee) - second.begin();
    pattern.messages[1].insert(static_cast<std::size_t>(ee) + 1, Token::ekem1);
    return true;
}

}  // namespace

void MessagePattern::insert(std::size_t position, Token token) {
    KITH_ASSERT(count_ < tokens_.size() && position <= count_);
    std::copy_backward(tokens_.begin() + static_cast<std::ptrdiff_t>(position),
                       tokens_.begin() + static_cast<std::ptrdiff_t>(count_),
                       tokens_.begin() + static_cast<std::ptrdiff_t>(count_) + 1);
    tokens_[position] = token;
    ++count_;
}

bool Pattern::uses(Token token) const {
    return std::any_of(
        messages.begin(), messages.begin() + static_cast<std::ptrdiff_t>(messages_count),
        [token](MessagePattern const& message) {
            return std::ranges::find(message.tokens(), token) != message.tokens().end();
        });
}

Result<Pattern> find_pattern(std::string_view name) {
    auto const base_end = std::ranges::find_if(name, [](char c) { return c < 'A' || c > 'Z'; });
    auto const base_size = static_cast<std::size_t>(base_end - name.begin());
    auto const row = std::ranges::find(pattern_table, name.substr(0, base_size), &PatternRow::name);
    if (row == std::end(pattern_table)) return fail(Code::unsupported, "unknown Noise pattern");
    auto pattern = expand(*row);
    pattern.name = name;
    auto modifiers = name.substr(base_size);
    if (modifiers == "hfs" || modifiers.starts_with("hfs+")) {
        if (!add_hfs(pattern)) return fail(Code::unsupported, "this Noise pattern has no hfs");
        cut(modifiers, '+');
    }
    std::size_t modifiers_count = 0;
    while (!modifiers.empty()) {
        if (++modifiers_count > psk_modifiers_max || !add_psk(pattern, cut(modifiers, '+')))
            return fail(Code::unsupported, "unknown Noise pattern modifier");
    }
    if (name.ends_with('+')) return fail(Code::unsupported, "unknown Noise pattern modifier");
    return pattern;
}

}  // namespace kith::proto::noise
