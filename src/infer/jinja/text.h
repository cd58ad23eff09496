// infer/jinja/text.h: a string that remembers of each byte who wrote it.
//
// The author of a template may name control tokens ("<|im_end|>"); people and machines that are
// quoted in a conversation may not. Both meet in one string when a template runs, so that every
// operation on strings carries the origin of each byte along, and the tokenizer is told in the end.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace kith::infer::jinja {

enum class Origin : char {
    written,  // by the template, or by this program
    given,    // by a conversation: messages, tools, names
};

class Text {
public:
    Text() = default;
    Text(std::string_view bytes, Origin origin) : bytes_(bytes), origin_(origin) {}

    [[nodiscard]] std::string_view bytes() const { return bytes_; }
    [[nodiscard]] std::size_t size() const { return bytes_.size(); }
    [[nodiscard]] bool empty() const { return bytes_.empty(); }
    // `at` is below size().
    [[nodiscard]] Origin origin(std::size_t at) const {
        return origins_.empty() ? origin_ : static_cast<Origin>(origins_[at]);
    }

    void append(std::string_view bytes, Origin origin);
    void append(Text const& other, std::size_t from = 0, std::size_t count = std::string::npos);
    // As of std::string, but that a `from` past the end gives nothing.
    [[nodiscard]] Text substr(std::size_t from, std::size_t count = std::string::npos) const;
    // Each byte replaced by change(byte, place).
    template <class Change>
    [[nodiscard]] Text mapped(Change change) const {
        Text out = *this;
        for (std::size_t i = 0; i < out.bytes_.size(); ++i)
            out.bytes_[i] = change(out.bytes_[i], i);
        return out;
    }

private:
    void mix();  // one mark per byte from now on

    std::string bytes_;
    std::string origins_;  // empty: all bytes are of origin_
    Origin origin_ = Origin::written;
};

// Characters are UTF-8 sequences; a byte that belongs to none counts with the character before it.
inline bool begins_character(char byte) {
    return (static_cast<unsigned char>(byte) & 0xc0U) != 0x80U;
}
std::size_t characters_count(std::string_view text);
// Where the character number `index` begins; the size of the text for one past the last and beyond.
std::size_t character_offset(std::string_view text, std::size_t index);
void append_character(std::string& out, char32_t point);

}  // namespace kith::infer::jinja
