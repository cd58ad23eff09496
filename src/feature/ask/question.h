// feature/ask/question.h: a question in the words of the engine, and what of it only the machine
// that asks can do.
#pragma once

#include <optional>
#include <vector>

#include "base/result.h"
#include "feature/ask/planner.h"
#include "feature/ask/service.h"
#include "infer/chat_message.h"
#include "infer/grammar/grammar.h"
#include "infer/sampler.h"

namespace kith::ask {

// Without the seed, which is drawn where none was given.
infer::SamplerOptions sampling_of(Question const& question);

// Who computes the head chooses the tokens; another machine is told temperature, top_k, top_p and
// seed, and must not leave out the rest in silence: Code::unsupported.
base::Status check_head(std::vector<Stage> const& stages, Question const& question);

// nullopt: any text. Code::invalid or Code::unsupported for a schema that cannot be followed.
base::Result<std::optional<infer::grammar::Grammar>> grammar_of(Question const& question);

infer::ChatMessage chat_message(Message message);

}  // namespace kith::ask
