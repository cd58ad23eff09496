// The built-in model against models/guide/reference.json, which an independent implementation
// (numpy) wrote.
#include <doctest/doctest.h>

#include <boost/json.hpp>
#include <cmath>
#include <fstream>
#include <optional>

#include "infer/chat_template.h"
#include "infer/sampler.h"
#include "infer/stage.h"

namespace kith::infer {
namespace {

namespace json = boost::json;

std::optional<json::value> read_reference() {
    std::ifstream in("models/guide/reference.json");
    if (!in) return std::nullopt;
    std::string const text((std::istreambuf_iterator<char>(in)), {});
    return json::parse(text);
}

std::vector<TokenId> ids(json::value const& list) {
    std::vector<TokenId> out;
    for (auto const& id : list.as_array()) out.push_back(static_cast<TokenId>(id.as_int64()));
    return out;
}

std::vector<ChatMessage> messages(json::value const& turns) {
    std::vector<ChatMessage> out;
    for (auto const& turn : turns.as_array())
        out.push_back({out.size() % 2 == 0 ? ChatRole::user : ChatRole::assistant,
                       std::string(turn.as_string())});
    return out;
}

TEST_CASE("the guide model tokenises, computes and answers as its reference says") {
    auto const reference = read_reference();
    if (!reference) {
        MESSAGE("models/guide/reference.json is not there: not compared");
        return;
    }
    auto const model = Model::load_path("models/guide/kith-guide.gguf").value();
    auto const tokenizer = Tokenizer::create(*model->tokenizer_file()).value();
    auto const chat =
        ChatTemplate::create(read_words(*model->tokenizer_file()).value(), tokenizer).value();
    CHECK(chat.objection().empty());
    auto const& h = model->hparams();
    LayerRange const all{0, h.layers_count};
    for (auto const& record : reference->as_array()) {
        auto const prompt = ids(record.at("prompt_ids"));
        Conversation const conversation{.messages = messages(record.at("turns"))};
        CHECK(chat.encode(tokenizer, conversation, Answer::open).value() == prompt);
        auto stage = Stage::create(model, {.threads = 2}).value();
        auto cache = KvCache::create(h, all, h.context_length).value();
        std::vector<float> hidden(prompt.size() * h.hidden_size);
        std::vector<float> logits(h.vocabulary_size);
        REQUIRE(stage.embed(prompt, hidden).has_value());
        REQUIRE(stage.forward(cache, hidden, 0, all).has_value());
        REQUIRE(stage.logits(std::span(hidden).last(h.hidden_size), logits).has_value());
        for (auto const& top : record.at("top_logits").as_array()) {
            auto const id = static_cast<std::size_t>(top.at("id").as_int64());
            CHECK(std::fabs(static_cast<double>(logits[id]) - top.at("logit").as_double()) < 0.5);
        }
        auto sampler = Sampler::create({}).value();
        std::vector<TokenId> answer;
        auto const expected = ids(record.at("greedy_ids"));
        hidden.resize(h.hidden_size);
        for (auto position = prompt.size(); answer.size() < expected.size(); ++position) {
            std::vector<TokenId> const next = {sampler.sample(logits).value()};
            answer.push_back(next[0]);
            REQUIRE(stage.embed(next, hidden).has_value());
            REQUIRE(stage.forward(cache, hidden, position, all).has_value());
            REQUIRE(stage.logits(hidden, logits).has_value());
        }
        CHECK(answer == expected);
        CHECK(tokenizer.ends_answer(sampler.sample(logits).value()));
        CHECK(tokenizer.decode(answer) == record.at("greedy_text").as_string());
    }
}

}  // namespace
}  // namespace kith::infer
