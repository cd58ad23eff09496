// feature/ask/privacy.h: who sees what, computed from the real route and the privacy flags in force
// (S64, S71).
//
// A pure function; command line, API and dashboard show its result and nothing else. The words are
// honest: "hidden" means hidden from a machine that does not attack. Whoever computes on
// activations and owns the public weights can recover most of a prompt from them, at any depth
// (docs/threat-model.md, non-claim N1).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace kith::ask {

struct PrivacyFlags {
    // The asker turns tokens into vectors itself; no other machine is handed token ids.
    bool local_embedding_privacy = false;
    // The asker computes the first and the last part itself ("boomerang"); implies
    // local_embedding_privacy.
    bool encrypted_pipeline = false;
};

// S81: encrypted_pipeline switches local_embedding_privacy on.
PrivacyFlags effective(PrivacyFlags configured);

// One stop of a route, in order of computation.
struct Hop {
    std::string node;  // display name: nickname or short node id
    bool is_asker = false;
    std::uint32_t layers_begin = 0;  // [begin, end)
    std::uint32_t layers_end = 0;
    bool does_embedding = false;  // turns token ids into vectors
    bool does_head = false;       // turns the last vector into logits and samples
};

enum class Sight {
    no,        // not handed over
    yes,       // in clear
    author,    // the asker wrote it or receives it
    recovers,  // not handed over; can be computed from what is, by a machine that attacks (N1)
};

// What one machine sees of one request.
struct SightRow {
    std::string node;
    bool is_asker = false;
    std::string part;  // "embedding", "layers 2-5", "layers 6-7 + head"
    Sight prompt_text = Sight::no;
    Sight token_ids = Sight::no;
    Sight activations_in = Sight::no;
    Sight activations_out = Sight::no;
    Sight answer_tokens = Sight::no;
    Sight answer_text = Sight::no;
};

struct RouteView {
    std::string model;
    PrivacyFlags flags;  // as effective for this route
    std::vector<Hop> hops;
    std::optional<Hop> checker;          // computes one of the hops again afterwards (S70)
    std::vector<SightRow> rows;          // one per distinct machine, asker first
    std::vector<std::string> sentences;  // what is not protected on this route, in plain words
};

RouteView who_sees_what(std::string model, std::vector<Hop> hops, PrivacyFlags flags,
                        std::optional<Hop> checker = {});

// Refuses a route that would break what the flags promise (S66, S72, S80): never downgrades.
base::Status check_route(std::vector<Hop> const& hops, PrivacyFlags flags);

char const* sight_word(Sight sight);  // "no", "yes", "author", "only by attack"

}  // namespace kith::ask
