// engine/words_message.h: infer::ModelWords as bytes, from a stage worker that read the model's
// file to its parent, which makes the tokenizer and the chat template of them and never sees the
// file's own structure.
#pragma once

#include <optional>

#include "base/bytes.h"
#include "base/result.h"
#include "infer/model_words.h"

namespace kith::engine {

// Of the largest vocabularies in use about 10 MiB.
inline constexpr std::size_t words_message_bytes_max = std::size_t{64} << 20U;

// A file without tokens has none. Code::too_large above the limit.
base::Result<base::Bytes> encode_words(std::optional<infer::ModelWords> const& words);
// Borrows from the bytes. Code::internal when they are no such message: every count is checked
// against the bytes that are there before anything is made of it.
base::Result<std::optional<infer::ModelWords>> decode_words(base::ByteView bytes);

}  // namespace kith::engine
