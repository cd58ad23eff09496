#include "feature/ask/privacy.h"

#include <algorithm>

#include "base/sabotage.h"

namespace kith::ask {
namespace {

std::string layers_text(Hop const& hop) {
    if (hop.layers_begin == hop.layers_end) return {};
    if (hop.layers_begin + 1 == hop.layers_end) return "layer " + std::to_string(hop.layers_begin);
    return "layers " + std::to_string(hop.layers_begin) + "-" + std::to_string(hop.layers_end - 1);
}

std::string part_text(Hop const& hop) {
    std::string part = hop.does_embedding ? "embedding" : "";
    auto const add = [&part](std::string const& more) {
        if (more.empty()) return;
        if (!part.empty()) part += " + ";
        part += more;
    };
    add(layers_text(hop));
    add(hop.does_head ? "head" : "");
    return part;
}

// The row of a machine that has not been touched by the request yet.
SightRow& row_of(std::vector<SightRow>& rows, Hop const& hop) {
    auto const found = std::ranges::find_if(rows, [&](SightRow const& row) {
        return row.is_asker == hop.is_asker && row.node == hop.node;
    });
    if (found != rows.end()) return *found;
    rows.push_back({.node = hop.node, .is_asker = hop.is_asker, .part = {}});
    return rows.back();
}

void see_as_remote(SightRow& row, Hop const& hop) {
    row.activations_in = Sight::yes;
    if (hop.does_embedding) {
        row.prompt_text = Sight::yes;  // token ids are text for anybody with the vocabulary
        row.token_ids = Sight::yes;
    } else {
        if (row.prompt_text == Sight::no) row.prompt_text = Sight::recovers;
        if (row.token_ids == Sight::no) row.token_ids = Sight::recovers;
    }
    if (hop.does_head) {
        row.answer_tokens = Sight::yes;
        row.answer_text = Sight::yes;
    } else {
        row.activations_out = Sight::yes;
        if (row.answer_tokens == Sight::no) row.answer_tokens = Sight::recovers;
        if (row.answer_text == Sight::no) row.answer_text = Sight::recovers;
    }
}

std::vector<std::string> sentences_for(std::vector<Hop> const& hops) {
    std::vector<std::string> sentences;
    bool remote = false;
    for (auto const& hop : hops) {
        if (hop.is_asker) continue;
        remote = true;
        if (hop.does_embedding)
            sentences.push_back(hop.node + " reads your prompt: it turns the tokens into vectors.");
        if (hop.does_head)
            sentences.push_back(hop.node + " reads the answer: it picks each token.");
    }
    if (!remote) {
        sentences.emplace_back(
            "Everything was computed on this machine; no other machine took part.");
        return sentences;
    }
    sentences.emplace_back(
        "A machine that computes on activations and has the model's weights can recover most of "
        "the text from them if "
        "it attacks; the privacy modes hide text only from machines that do not.");
    sentences.emplace_back(
        "The machines on the route see each other's IP addresses and how long the texts are.");
    return sentences;
}

}  // namespace

PrivacyFlags effective(PrivacyFlags configured) {
    if (KITH_GUARD("S81.implied", false)) return configured;
    if (configured.encrypted_pipeline) configured.local_embedding_privacy = true;
    return configured;
}

RouteView who_sees_what(std::string model, std::vector<Hop> hops, PrivacyFlags flags,
                        std::optional<Hop> checker) {
    RouteView view{.model = std::move(model),
                   .flags = flags,
                   .hops = std::move(hops),
                   .checker = std::move(checker),
                   .rows = {},
                   .sentences = {}};
    // The asker is always there: author of the prompt, reader of the answer.
    view.rows.push_back({.node = "you",
                         .is_asker = true,
                         .part = {},
                         .prompt_text = Sight::author,
                         .token_ids = Sight::author,
                         .answer_tokens = Sight::author,
                         .answer_text = Sight::author});
    for (auto const& hop : view.hops) {
        if (hop.is_asker) view.rows.front().node = hop.node;
        auto& row = row_of(view.rows, hop);
        auto const part = part_text(hop);
        if (!row.part.empty() && !part.empty()) row.part += ", ";
        row.part += part;
        if (hop.is_asker) {
            if (!hop.does_embedding) row.activations_in = Sight::yes;
            if (!hop.does_head) row.activations_out = Sight::yes;
        } else {
            see_as_remote(row, hop);
        }
    }
    view.sentences = sentences_for(view.hops);
    if (view.checker) {
        auto& row = row_of(view.rows, *view.checker);
        row.part += (row.part.empty() ? "check of " : ", check of ") + part_text(*view.checker);
        see_as_remote(row, *view.checker);
        view.sentences.push_back(
            view.checker->node + " computes " + part_text(*view.checker) +
            " again afterwards, to check it, and sees what that machine sees. If the results "
            "differ, other members that hold these layers are asked too.");
    }
    return view;
}

base::Status check_route(std::vector<Hop> const& hops, PrivacyFlags flags) {
    if (hops.empty()) return base::fail(base::Code::invalid, "the route has no stages");
    auto const embeds = std::ranges::find_if(hops, &Hop::does_embedding);
    auto const heads = std::ranges::find_if(hops, &Hop::does_head);
    if (embeds == hops.end() || heads == hops.end())
        return base::fail(base::Code::invalid, "the route lacks the embedding or the output head");
    if (flags.local_embedding_privacy && !KITH_GUARD("S66.embedding", embeds->is_asker))
        return base::fail(base::Code::forbidden,
                          "local_embedding_privacy is on, but this machine does not hold the first "
                          "shard; fetch it "
                          "with: kith models fetch MODEL --shards 0");
    if (flags.encrypted_pipeline && !KITH_GUARD("S72.head", heads->is_asker))
        return base::fail(base::Code::forbidden,
                          "encrypted_pipeline is on, but this machine does not hold the last "
                          "shard; fetch the first "
                          "and the last shard with: kith models fetch MODEL");
    return {};
}

char const* sight_word(Sight sight) {
    switch (sight) {
        case Sight::no:
            return "no";
        case Sight::yes:
            return "yes";
        case Sight::author:
            return "author";
        case Sight::recovers:
            return "only by attack";
    }
    return "no";
}

}  // namespace kith::ask
