#include "infer/jinja/text.h"

#include <algorithm>

namespace kith::infer::jinja {

void Text::mix() {
    if (origins_.empty()) origins_.assign(bytes_.size(), static_cast<char>(origin_));
}

void Text::append(std::string_view bytes, Origin origin) {
    if (bytes.empty()) return;
    if (bytes_.empty()) origin_ = origin;
    if (origin != origin_ || !origins_.empty()) {
        mix();
        origins_.append(bytes.size(), static_cast<char>(origin));
    }
    bytes_ += bytes;
}

void Text::append(Text const& other, std::size_t from, std::size_t count) {
    if (from >= other.size()) return;
    auto const part = other.bytes().substr(from, count);
    if (other.origins_.empty()) return append(part, other.origin_);
    mix();
    origins_.append(other.origins_, from, part.size());
    bytes_ += part;
}

Text Text::substr(std::size_t from, std::size_t count) const {
    Text out;
    out.append(*this, from, count);
    return out;
}

std::size_t characters_count(std::string_view text) {
    return static_cast<std::size_t>(std::ranges::count_if(text, begins_character));
}

std::size_t character_offset(std::string_view text, std::size_t index) {
    std::size_t seen = 0;
    for (std::size_t at = 0; at < text.size(); ++at)
        if (begins_character(text[at]) && seen++ == index) return at;
    return text.size();
}

void append_character(std::string& out, char32_t point) {
    auto const tail = [&](unsigned shift) {
        out += static_cast<char>(0x80U | ((point >> shift) & 0x3fU));
    };
    if (point < 0x80U) {
        out += static_cast<char>(point);
    } else if (point < 0x800U) {
        out += static_cast<char>(0xc0U | (point >> 6U));
        tail(0);
    } else if (point < 0x10000U) {
        out += static_cast<char>(0xe0U | (point >> 12U));
        tail(6);
        tail(0);
    } else {
        out += static_cast<char>(0xf0U | ((point >> 18U) & 7U));
        tail(12);
        tail(6);
        tail(0);
    }
}

}  // namespace kith::infer::jinja
