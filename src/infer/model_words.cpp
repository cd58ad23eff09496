#include "infer/model_words.h"

#include <limits>

#include "infer/gguf.h"
#include "infer/vocabulary.h"

namespace kith::infer {
namespace {

using base::Code;
using base::fail;
using base::Result;
using base::Status;

// An id that is no number is one that no vocabulary has: it counts as absent, as in other readers.
std::optional<std::uint64_t> read_id(Gguf const& file, char const* key) {
    auto const* const value = file.find(key);
    if (value == nullptr) return std::nullopt;
    return value->as_unsigned().value_or(std::numeric_limits<std::uint64_t>::max());
}

std::optional<bool> read_flag(Gguf const& file, char const* key) {
    auto const* const value = file.find(key);
    return value == nullptr ? std::nullopt : value->as_bool();
}

std::optional<std::string_view> read_text(Gguf const& file, char const* key) {
    auto const* const value = file.find(key);
    return value == nullptr ? std::nullopt : value->as_string();
}

Status read_kinds(Gguf const& file, ModelWords& out) {
    auto const* const value = file.find("tokenizer.ggml.token_type");
    if (value == nullptr) return {};
    auto const kinds = value->as_integers();
    if (!kinds) return fail(Code::invalid, "tokenizer.ggml.token_type does not match the tokens");
    out.kinds.emplace();
    out.kinds->reserve(kinds->size());
    for (auto const kind : *kinds) {
        if (kind < 0 || kind > static_cast<std::int64_t>(TokenKind::byte))
            return fail(Code::invalid, "tokenizer.ggml.token_type holds an unknown type");
        out.kinds->push_back(static_cast<std::uint8_t>(kind));
    }
    return {};
}

Status read_lists(Gguf const& file, ModelWords& out) {
    if (auto const* const tokens = file.find("tokenizer.ggml.tokens"); tokens != nullptr)
        out.tokens = tokens->as_strings().value_or(std::vector<std::string_view>());
    KITH_TRY(read_kinds(file, out));
    if (auto const* const scores = file.find("tokenizer.ggml.scores"); scores != nullptr) {
        out.scores = scores->as_floats();
        if (!out.scores)
            return fail(Code::invalid, "tokenizer.ggml.scores does not match the tokens");
    }
    if (auto const* const merges = file.find("tokenizer.ggml.merges"); merges != nullptr)
        out.merges = merges->as_strings();
    return {};
}

}  // namespace

Result<ModelWords> read_words(Gguf const& file) {
    ModelWords out;
    out.family = KITH_TRY(file.require_string("tokenizer.ggml.model"));
    if (auto const* const pre = file.find("tokenizer.ggml.pre"); pre != nullptr)
        out.pre = pre->as_string().value_or("?");
    out.architecture = read_text(file, "general.architecture");
    out.chat_template = read_text(file, "tokenizer.chat_template");
    KITH_TRY(read_lists(file, out));
    out.unknown = read_id(file, "tokenizer.ggml.unknown_token_id");
    out.begin = read_id(file, "tokenizer.ggml.bos_token_id");
    out.end = read_id(file, "tokenizer.ggml.eos_token_id");
    out.end_of_turn = read_id(file, "tokenizer.ggml.eot_token_id");
    out.end_of_message = read_id(file, "tokenizer.ggml.eom_token_id");
    out.add_begin = read_flag(file, "tokenizer.ggml.add_bos_token");
    out.add_space_prefix = read_flag(file, "tokenizer.ggml.add_space_prefix");
    return out;
}

}  // namespace kith::infer
