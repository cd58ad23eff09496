#include "engine/words_message.h"

#include <bit>

#include "engine/read_flag.h"
#include "infer/gguf.h"
#include "wire/writer.h"

namespace kith::engine {
namespace {

using base::Code;
using base::fail;
using base::Result;
using base::Status;
using infer::ModelWords;

void write(wire::Writer& out, std::string_view text) {
    out.prefixed_u32(base::as_bytes(text));
}
void write(wire::Writer& out, std::uint64_t number) {
    out.u64(number);
}
void write(wire::Writer& out, bool flag) {
    out.u8(flag ? 1 : 0);
}
void write(wire::Writer& out, std::vector<std::string_view> const& texts) {
    out.u32(static_cast<std::uint32_t>(texts.size()));
    for (auto const text : texts) write(out, text);
}
void write(wire::Writer& out, std::vector<std::uint8_t> const& bytes) {
    out.prefixed_u32(bytes);
}
void write(wire::Writer& out, std::vector<float> const& numbers) {
    out.u32(static_cast<std::uint32_t>(numbers.size()));
    for (auto const number : numbers) out.u32(std::bit_cast<std::uint32_t>(number));
}
template <class T>
void write(wire::Writer& out, std::optional<T> const& value) {
    write(out, value.has_value());
    if (value) write(out, *value);
}

Status read(wire::Reader& in, std::string_view& out) {
    out = base::as_text(KITH_TRY(in.prefixed_u32(words_message_bytes_max)));
    return {};
}
Status read(wire::Reader& in, std::uint64_t& out) {
    out = KITH_TRY(in.u64());
    return {};
}
Status read(wire::Reader& in, bool& out) {
    out = KITH_TRY(read_flag(in));
    return {};
}
// Each item takes at least `item_bytes` of what is left.
Result<std::size_t> read_count(wire::Reader& in, std::size_t item_bytes) {
    std::size_t const count = KITH_TRY(in.u32());
    if (count > in.rest().size() / item_bytes || count > infer::gguf_array_items_max)
        return fail(Code::invalid, "a list is longer than its message");
    return count;
}
Status read(wire::Reader& in, std::vector<std::string_view>& out) {
    out.resize(KITH_TRY(read_count(in, sizeof(std::uint32_t))));
    for (auto& text : out) KITH_TRY(read(in, text));
    return {};
}
Status read(wire::Reader& in, std::vector<std::uint8_t>& out) {
    auto const bytes = KITH_TRY(in.prefixed_u32(words_message_bytes_max));
    out.assign(bytes.begin(), bytes.end());
    return {};
}
Status read(wire::Reader& in, std::vector<float>& out) {
    out.resize(KITH_TRY(read_count(in, sizeof(float))));
    for (auto& number : out) number = std::bit_cast<float>(KITH_TRY(in.u32()));
    return {};
}
template <class T>
Status read(wire::Reader& in, std::optional<T>& out) {
    if (!KITH_TRY(read_flag(in))) return {};
    return read(in, out.emplace());
}

// One list of the fields for both directions.
template <class Words, class Visit>
Status each_field(Words& words, Visit const& visit) {
    KITH_TRY(visit(words.family));
    KITH_TRY(visit(words.pre));
    KITH_TRY(visit(words.architecture));
    KITH_TRY(visit(words.chat_template));
    KITH_TRY(visit(words.tokens));
    KITH_TRY(visit(words.kinds));
    KITH_TRY(visit(words.scores));
    KITH_TRY(visit(words.merges));
    for (auto* const id :
         {&words.unknown, &words.begin, &words.end, &words.end_of_turn, &words.end_of_message})
        KITH_TRY(visit(*id));
    KITH_TRY(visit(words.add_begin));
    return visit(words.add_space_prefix);
}

}  // namespace

Result<base::Bytes> encode_words(std::optional<ModelWords> const& words) {
    wire::Writer out;
    write(out, words.has_value());
    if (words)
        KITH_TRY(each_field(*words, [&](auto const& field) {
            write(out, field);
            return Status{};
        }));
    if (out.view().size() > words_message_bytes_max)
        return fail(Code::too_large, "the vocabulary of the model is too large");
    return out.take();
}

Result<std::optional<ModelWords>> decode_words(base::ByteView bytes) {
    wire::Reader in(bytes);
    std::optional<ModelWords> words;
    auto const done = [&]() -> Status {
        if (KITH_TRY(read_flag(in)))
            KITH_TRY(each_field(words.emplace(), [&](auto& field) { return read(in, field); }));
        return in.expect_end();
    }();
    if (!done) return fail(Code::internal, "the model worker's vocabulary cannot be read");
    return words;
}

}  // namespace kith::engine
