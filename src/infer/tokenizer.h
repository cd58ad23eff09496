// infer/tokenizer.h: text <-> token ids, from the vocabulary in a GGUF file.
//
// Two families: SPM (tokenizer.ggml.model "llama": pieces with scores, byte fallback) and
// byte-level BPE ("gpt2": merges) with the pre-tokenizers of pretokenize.h. Others are refused by
// name.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "infer/gguf.h"
#include "infer/hparams.h"
#include "infer/model_words.h"

namespace kith::infer {

inline constexpr std::size_t tokenizer_text_bytes_max = 4U << 20U;
inline constexpr std::size_t tokenizer_token_bytes_max = 1024;

// Whether the text of control tokens ("<|im_end|>") in the input becomes those tokens. What a user
// or another machine wrote is always tokenised with `as_text`.
enum class Specials { as_text, parse };
// Whether the beginning-of-sequence token is put first, where the model's metadata asks for it.
enum class Begin { none, as_model_says };

// Text of one kind within a longer one.
struct TextPiece {
    std::string_view text;
    Specials specials = Specials::as_text;
};

// Immutable; thread-safe.
class Tokenizer {
public:
    // Copies what it needs. Code::invalid or Code::too_large when the lists do not fit together,
    // Code::unsupported for a family or rules that are not known.
    static base::Result<Tokenizer> create(ModelWords const& words);
    static base::Result<Tokenizer> create(Gguf const& file);
    Tokenizer(Tokenizer&&) noexcept;
    Tokenizer& operator=(Tokenizer&&) noexcept;
    ~Tokenizer();

    // Any bytes; invalid UTF-8 is kept byte for byte by both families. Code::too_large past
    // tokenizer_text_bytes_max.
    [[nodiscard]] base::Result<std::vector<TokenId>> encode(std::string_view text,
                                                            Specials specials,
                                                            Begin begin = Begin::none) const;
    // The pieces as one text: words go across their borders, control tokens stand within one piece
    // that is parsed for them.
    [[nodiscard]] base::Result<std::vector<TokenId>> encode(std::vector<TextPiece> const& pieces,
                                                            Begin begin = Begin::none) const;
    // The bytes of the tokens, one after the other; control tokens and ids outside the vocabulary
    // give nothing. Without the leading space that SPM put before a text (pass the ids of the whole
    // text).
    [[nodiscard]] std::string decode(std::vector<TokenId> const& tokens) const;
    // The bytes of one token, leading space kept; "" for control tokens and unknown ids.
    [[nodiscard]] std::string piece(TokenId token) const;
    // As written in the file ("<|im_end|>", "\u0120the"); "" for unknown ids.
    [[nodiscard]] std::string_view token_text(TokenId token) const;
    // The control or user-defined token written exactly so.
    [[nodiscard]] std::optional<TokenId> find_special(std::string_view text) const;

    [[nodiscard]] std::size_t vocabulary_size() const;
    [[nodiscard]] std::optional<TokenId> begin_token() const;
    [[nodiscard]] std::optional<TokenId> end_token() const;
    // True for every token that ends an answer: eos, eot, eom, and the well-known names among the
    // control tokens
    // (<|im_end|>, <|eot_id|>, <|endoftext|>, <|end_of_text|>, <|eom_id|>, </s>).
    [[nodiscard]] bool ends_answer(TokenId token) const;

    struct Vocabulary;

private:
    explicit Tokenizer(std::unique_ptr<Vocabulary const> vocabulary);
    std::unique_ptr<Vocabulary const> vocabulary_;
};

// Turns a growing answer into text without ever handing out part of a UTF-8 character: bytes wait
// until the character is complete, for at most 3 bytes; what can no longer become one leaves as
// U+FFFD.
class StreamingDecoder {
public:
    explicit StreamingDecoder(Tokenizer const& tokenizer)
        : tokenizer_(&tokenizer) {}  // must outlive this

    std::string push(TokenId token);  // the text that is complete now, valid UTF-8, may be empty
    std::string finish();             // the rest

private:
    Tokenizer const* tokenizer_;
    std::string pending_;
};

}  // namespace kith::infer
