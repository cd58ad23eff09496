// Members that compute something else than they should, and what a spot check makes of it.
#include <doctest/doctest.h>

#include <algorithm>

#include "base/encoding.h"
#include "feature/ask/request_content.h"
#include "feature/ask/sequence.h"
#include "hostile.h"

using namespace kith;
using namespace kith::adversary;
using namespace std::chrono_literals;

namespace {

constexpr ask::PrivacyFlags vectors_only{.local_embedding_privacy = true};
constexpr std::size_t questions_max = 400;  // none drawn among them: once in 10^9 seeds

// A member that really computes its layers, and answers with one bit of the result turned over.
class Liar {
public:
    Liar(SwarmBench& bench, Machine& asker, ask::LoadedModelPtr model, std::uint64_t seed)
        : member(bench, seed), model_(std::move(model)), asker_(asker) {
        member.join(asker, bench.invite(asker));
        member.on_activation = [this](node::OpenedActivation const& heard) {
            if (heard.message.has_forward()) answer(heard.message.forward(), heard.tensor);
        };
        member.open_session(asker);
        REQUIRE(member.session_ready());
        announce();
    }

    void announce() {
        auto claim = announcement(member, model_->id, {1, 2, 3, 4}, "tiny");
        claim.mutable_shard_announce()->set_takes_embeddings(true);
        member.send(claim);
    }

    Hostile member;
    std::size_t answers_count = 0;

private:
    void answer(wire::v1::StageForward const& forward, base::ByteView content) {
        auto const& hop = forward.hops(0);
        if (forward.step() == 0)
            sequence_.emplace(
                ask::Sequence::create(model_, {.layers = {hop.layers_begin(), hop.layers_end()}},
                                      forward.positions_max(), std::nullopt)
                    .value());
        auto const size = model_->manifest.hidden_size;
        auto hidden = ask::decode_tensor(content, forward.rows(), size).value();
        std::atomic<bool> const go_on = false;
        REQUIRE(
            sequence_->run({.tokens = {}, .hidden = hidden, .position = forward.position()}, go_on)
                .has_value());
        auto const rows = forward.last_row_only() ? std::size_t{1} : std::size_t{forward.rows()};
        auto tensor = base::to_bytes(ask::tensor_bytes(hidden).last(rows * size * sizeof(float)));
        tensor.back() ^= 1U;  // of the exponent of the last value
        wire::v1::StageMessage message;
        auto* result = message.mutable_result();
        result->set_request_id(forward.request_id());
        result->set_step(forward.step());
        result->set_rows(static_cast<std::uint32_t>(rows));
        result->set_hidden(static_cast<std::uint32_t>(size));
        crypto::X25519PublicKey request_key;
        std::ranges::copy(base::as_bytes(forward.request_key()), request_key.begin());
        if (forward.step() == 0)
            channel_.emplace(proto::seal::Channel::at_stage(member.identity.static_private_key(),
                                                            request_key,
                                                            ask::seal_subject(forward, 0).value(),
                                                            proto::seal::Direction::answer)
                                 .value());
        auto const sealed =
            channel_->seal(forward.step(), ask::bound_fields(*result), tensor).value();
        ++answers_count;
        member.send(message, sealed);
    }

    ask::LoadedModelPtr model_;
    Machine& asker_;
    std::optional<ask::Sequence> sequence_;
    std::optional<proto::seal::Channel> channel_;
};

// The asker holds both ends; the four layers between are held by the honest ones and by the liar.
struct Scene {
    explicit Scene(std::size_t honest_count) : asker(bench.add_operator(vectors_only)) {
        for (std::size_t i = 0; i < honest_count; ++i) honest.push_back(&bench.add_member(asker));
        bench.add_model(asker);
        for (auto* machine : honest) REQUIRE(bench.fetch(*machine, {1, 2, 3, 4}).has_value());
        model = SwarmBench::load(asker);
        REQUIRE(bench.drop(asker, {1, 2, 3, 4}).has_value());
    }
    // Of two that are equally near, the lower node id is asked.
    enum class Place { asked_first, asked_last };
    Liar& add_liar(Place place) {
        for (std::uint64_t seed = 99;; ++seed) {
            SeededRng rng(seed);
            auto const id = new_identity(rng, bench.clock.unix_now()).node_id();
            bool const fits = std::ranges::all_of(honest, [&](auto const* machine) {
                return (id < machine->identity.node_id()) == (place == Place::asked_first);
            });
            if (!fits) continue;
            liar.emplace(bench, asker, model, seed);
            bench.settle();
            return *liar;
        }
    }
    [[nodiscard]] ask::SpotChecks::Counts counts() const { return asker.ask->spot_checks(); }
    [[nodiscard]] double trust(identity::NodeId const& node) const {
        return asker.node->trust_in(node).to_double();
    }
    // Asks until a check has come to something else than "the same".
    void ask_until_found() {
        for (std::size_t i = 0; i < questions_max; ++i) {
            before = honest.empty() ? 0 : trust(liar->member.identity.node_id());
            static_cast<void>(bench.ask(asker, "what is " + std::to_string(i) + "?", 2));
            bench.settle();
            if (counts().guilty + counts().undecided > 0) return;
        }
        FAIL("no question was checked");
    }

    SwarmBench bench;
    Machine& asker;
    std::vector<Machine*> honest;
    ask::LoadedModelPtr model;
    std::optional<Liar> liar;
    double before = 0;
};

}  // namespace

TEST_CASE("S35: a machine that computes wrongly is found by a spot check and loses trust") {
    Scene scene(2);
    auto& liar = scene.add_liar(Scene::Place::asked_first);
    scene.ask_until_found();
    CHECK(liar.answers_count > 0);
    CHECK(scene.counts().guilty == 1);
    auto const after = scene.trust(liar.member.identity.node_id());
    CHECK(after < scene.before - 0.08);  // -0.10, and +0.01 for the question itself
    for (auto const* machine : scene.honest) CHECK(scene.trust(machine->identity.node_id()) >= 0.5);
    // The view of the checked question said who would see it, beforehand.
    auto const view = scene.asker.ask->last_route();
    REQUIRE(view->checker.has_value());
    CHECK(std::ranges::any_of(view->rows, [&](auto const& row) {
        return row.node == view->checker->node && row.activations_in == ask::Sight::yes;
    }));
}

TEST_CASE("S70: a checker that lies about an honest machine is found out itself") {
    Scene scene(2);
    auto& liar = scene.add_liar(Scene::Place::asked_last);
    scene.ask_until_found();
    CHECK(scene.counts().guilty == 1);
    CHECK(scene.trust(liar.member.identity.node_id()) < 0.45);
    for (auto const* machine : scene.honest) CHECK(scene.trust(machine->identity.node_id()) >= 0.5);
}

TEST_CASE("S70: where nobody can decide between two answers nobody is blamed") {
    Scene scene(1);
    auto& liar = scene.add_liar(Scene::Place::asked_first);
    scene.ask_until_found();
    CHECK(scene.counts().guilty == 0);
    CHECK(scene.counts().undecided == 1);
    CHECK(scene.trust(liar.member.identity.node_id()) >= 0.5);
    CHECK(scene.trust(scene.honest[0]->identity.node_id()) >= 0.5);
    CHECK(std::ranges::any_of(scene.asker.log, [](auto const& line) {
        return line.find("no third member") != std::string::npos;
    }));
}

TEST_CASE("S70: about one question in twenty is checked, and honest machines agree") {
    Scene scene(3);
    for (std::size_t i = 0; i < questions_max; ++i)
        static_cast<void>(scene.bench.ask(scene.asker, "is it so?", 1));
    auto const counts = scene.counts();
    CHECK(counts.begun >= 6);  // of 400, with p = 0.05: 20 +- 4.4
    CHECK(counts.begun <= 40);
    CHECK(counts.agreed == counts.begun);
    // Who only checked was paid like who computed.
    scene.bench.run_for(1min);
    for (auto const* machine : scene.honest)
        CHECK(scene.asker.ask->credits().balance(machine->identity.node_id()) > 0);
}

TEST_CASE("S70: a question that stays on this machine, or that nobody else could check, is not") {
    Scene alone(1);
    for (std::size_t i = 0; i < 100; ++i)
        static_cast<void>(alone.bench.ask(alone.asker, "is it so?", 1));
    CHECK(alone.counts().begun == 0);
    CHECK_FALSE(alone.asker.ask->last_route()->checker.has_value());
}
