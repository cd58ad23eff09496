// infer/synth_words.h: the small working vocabularies of synthetic models. For synth.cpp only.
#pragma once

#include "infer/gguf_writer.h"
#include "infer/synth.h"

namespace kith::infer {

// The metadata tokenizer.*, with shape.vocabulary_size tokens.
void add_tokenizer(GgufWriter& writer, SynthShape const& shape);

}  // namespace kith::infer
