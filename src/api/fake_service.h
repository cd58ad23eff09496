// api/fake_service.h: a stand-in for the ask feature, for tests only. It records questions and
// cancellations; the test says what is answered, and when.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "feature/ask/service.h"

namespace kith::api {

class FakeService : public ask::Service {
public:
    struct Asked {
        ask::Question question;
        ask::Listener listener;
    };

    bool has_room() const override { return open.size() < queue_max; }
    base::Result<ask::QuestionId> ask(ask::Question question, ask::Listener listener) override {
        if (refusal) return std::unexpected(*refusal);
        if (question.model != "guide" && question.model != card().id)
            return base::fail(base::Code::not_found, "no such model");
        if (!has_room()) return base::fail(base::Code::unavailable, "the queue is full");
        auto const id = next_id_++;
        open[id] = {std::move(question), std::move(listener)};
        if (on_ask) on_ask(id);
        return id;
    }
    void cancel(ask::QuestionId id) override {
        if (open.erase(id) > 0) cancelled.push_back(id);
        if (on_cancel) on_cancel(id);
    }
    std::vector<ask::ModelCard> models() const override { return {card()}; }
    std::optional<ask::RouteView> last_route() const override { return std::nullopt; }
    base::Result<ask::RouteView> planned_route(std::string const&) const override {
        return base::fail(base::Code::not_found, "no route");
    }

    // Unknown ids (cancelled meanwhile) are ignored.
    void say(ask::QuestionId id, ask::Update const& update) {
        auto const found = open.find(id);
        if (found == open.end()) return;
        auto const listener = found->second.listener;
        if (!std::holds_alternative<ask::Piece>(update)) open.erase(found);
        listener(update);
    }

    static ask::ModelCard card() {
        ask::ModelCard card;
        card.id = std::string(64, 'a');
        card.name = "guide";
        card.architecture = "llama";
        card.answerable = true;
        return card;
    }

    std::map<ask::QuestionId, Asked> open;
    std::vector<ask::QuestionId> cancelled;
    std::optional<base::Error> refusal;
    std::size_t queue_max = 512;  // S61
    std::function<void(ask::QuestionId)> on_ask;
    std::function<void(ask::QuestionId)> on_cancel;

private:
    ask::QuestionId next_id_ = 1;
};

}  // namespace kith::api
