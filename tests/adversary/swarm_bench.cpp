#include "swarm_bench.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>

#include "feature/ask/request_content.h"
#include "infer/shard_test_support.h"
#include "infer/synth.h"

namespace kith::adversary {

using namespace std::chrono_literals;

namespace {

constexpr std::size_t turns_max =
    200'000;  // of one settle(); beyond it the machines talk in circles
constexpr base::Duration patience_default = std::chrono::seconds(60);

infer::SynthShape constexpr model_shape{.type = infer::TensorType::f32,
                                        .layers_count = 4,
                                        .hidden_size = 64,
                                        .feed_forward_size = 96,
                                        .heads_count = 4,
                                        .kv_heads_count = 2,
                                        .context_length = 256,
                                        .seed = 7};

}  // namespace

identity::Identity new_identity(SeededRng& rng, base::UnixTime now) {
    crypto::Secret<identity::identity_random_bytes> random;
    REQUIRE(rng.fill(random.mutable_view()).has_value());
    return identity::Identity::create(random, now).value();
}

std::vector<Recorder::HeardActivation> Recorder::forwards() const {
    std::vector<HeardActivation> found;
    for (auto const& heard : activations)
        if (heard.message.has_forward()) found.push_back(heard);
    return found;
}

std::vector<std::uint32_t> Recorder::token_ids() const {
    std::vector<std::uint32_t> ids;
    for (auto const& heard : forwards()) {
        auto const& forward = heard.message.forward();
        if (forward.pre_embedded() || forward.hop() != 0) continue;
        auto const tokens = ask::decode_tokens(heard.tensor, forward.rows()).value();
        ids.insert(ids.end(), tokens.begin(), tokens.end());
    }
    return ids;
}

base::Bytes content_of(identity::Identity const& machine,
                       node::OpenedActivation const& activation) {
    auto const& forward = activation.message.forward();
    if (!activation.message.has_forward() || forward.hop() != 0) return activation.tensor;
    crypto::X25519PublicKey request_key;
    if (forward.request_key().size() != request_key.size()) return activation.tensor;
    std::ranges::copy(base::as_bytes(forward.request_key()), request_key.begin());
    auto channel = proto::seal::Channel::at_stage(machine.static_private_key(), request_key,
                                                  ask::seal_subject(forward, 0).value(),
                                                  proto::seal::Direction::prompt);
    if (!channel) return activation.tensor;
    auto const opened =
        channel->open(forward.step(), ask::bound_fields(forward), activation.tensor);
    return opened ? base::to_bytes(opened->bytes()) : activation.tensor;
}

crypto::X25519PublicKey request_key_of(Recorder const& recorder) {
    crypto::X25519PublicKey key;
    auto const bytes = recorder.forwards().at(0).message.forward().request_key();
    REQUIRE(bytes.size() == key.size());
    std::ranges::copy(base::as_bytes(bytes), key.begin());
    return key;
}

void Recorder::on_control(node::AuthenticatedControl const& message, base::Instant) {
    controls.push_back({message.sender(), *message});
}

void Recorder::on_activation(node::AuthenticatedActivation message, base::Instant) {
    if (on_result && message->message.has_result()) on_result(message);
    activations.push_back({message.sender(), message->message,
                           machine != nullptr ? content_of(*machine, *message) : message->tensor,
                           message->tensor});
}

std::filesystem::path Machine::model_folder() const {
    return models / ask->models().at(0).id;
}

namespace {

engine::WorkerProgram model_worker() {
    engine::WorkerProgram program{.path = ENGINE_WORKER};
    if (char const* const armed = std::getenv("KITH_SABOTAGE"))
        program.environment.push_back("KITH_SABOTAGE=" + std::string(armed));
    return program;
}

}  // namespace

SwarmBench::SwarmBench(std::uint64_t seed, Tape tape)
    : network(tape), worker(model_worker()), seed_(seed) {}

ask::LoadedModelPtr SwarmBench::load(Machine const& machine) {
    std::vector<std::string> warnings;
    return ask::load_model(machine.model_folder(), {.worker = model_worker()}, warnings).value();
}

std::shared_ptr<infer::Model const> SwarmBench::weights(Machine const& machine) {
    return infer::load_verified(machine.model_folder().string(), load(machine)->manifest.shards)
        .value();
}

Address SwarmBench::next_address() {
    return {"10.0.0." + std::to_string(++addresses_count_), 8810};
}

Machine& SwarmBench::add_machine(ask::PrivacyFlags flags, node::TrustOptions const& trust) {
    SeededRng rng(seed_ * 1000 + machines_.size());
    auto identity = new_identity(rng, clock.unix_now());
    machines_.push_back(std::make_unique<Machine>(
        Machine{.address = next_address(),
                .rng = rng,
                .identity = std::move(identity),
                .store = io::SqliteStore::open(":memory:").value(),
                .secrets = {},
                .pool = {},
                .models = folder_.path() / std::to_string(machines_.size()),
                .log = {},
                .node = nullptr,
                .recorder = {},
                .ask = nullptr}));
    auto& machine = *machines_.back();
    machine.node =
        node::Node::create({.identity = machine.identity,
                            .rng = machine.rng,
                            .clock = clock,
                            .store = *machine.store,
                            .secrets = machine.secrets,
                            .log = [&machine](std::string line) { machine.log.push_back(line); },
                            .trust = trust,
                            .change_identity =
                                [this, &machine](identity::KeyChange change) {
                                    return change_keys(machine, change);
                                }},
                           clock.now())
            .value();
    machine.ask =
        ask::Ask::create(
            {.flags = flags, .threads = 1, .worker = worker, .models_directory = machine.models},
            *machine.node, machine.pool)
            .value();
    machine.recorder.machine = &machine.identity;
    machine.node->attach(machine.recorder);
    machine.node->attach(*machine.ask);
    machine.node->set_listen_addresses({machine.multiaddr()});
    network.attach(machine.address, *machine.node,
                   [this, &machine] { machine.node->pump(clock.now()); });
    return machine;
}

base::Status SwarmBench::change_keys(Machine& machine, identity::KeyChange change) {
    crypto::Secret<identity::rotation_random_bytes> random;
    REQUIRE(machine.rng.fill(random.mutable_view()).has_value());
    auto const now = clock.unix_now();
    return change.kind == identity::KeyChange::Kind::rotate
               ? machine.identity.rotate(now, random, change.known_counter)
               : machine.identity.renew(now, crypto::Secret<32>(random.view().last<32>()),
                                        change.known_counter);
}

Machine& SwarmBench::add_operator(ask::PrivacyFlags flags) {
    auto& machine = add_machine(flags);
    REQUIRE(machine.node->create_swarm("kin", clock.now()).has_value());
    return machine;
}

Machine& SwarmBench::add_member(Machine& op, ask::PrivacyFlags flags) {
    auto& machine = add_machine(flags);
    auto const joined = join(machine, invite(op));
    if (!joined) FAIL(joined.error().message);
    bool const all_ready = run_until(
        [&] {
            auto const peers = machine.node->peers(clock.now());
            return std::ranges::all_of(peers, [&](auto const& peer) {
                return peer.is_self || peer.addresses.empty() || peer.session;
            });
        },
        patience_default);
    REQUIRE(all_ready);
    return machine;
}

std::string SwarmBench::invite(Machine& op, node::InviteOptions const& options) {
    auto const coordinator = op.node->coordinator();
    REQUIRE(coordinator.has_value());
    auto const issued = (*coordinator)
                            ->create_invite(options, *op.node->swarm(), op.node->listen_addresses(),
                                            clock.unix_now());
    if (!issued) FAIL(issued.error().message);
    return issued->token;
}

base::Result<node::JoinedSwarm> SwarmBench::join(Machine& machine, std::string const& token) {
    std::optional<base::Result<node::JoinedSwarm>> outcome;
    machine.node->join(
        token, [&](base::Result<node::JoinedSwarm> result) { outcome = std::move(result); },
        clock.now());
    run_until([&] { return outcome.has_value(); }, patience_default);
    REQUIRE(outcome.has_value());
    return *outcome;
}

void SwarmBench::add_model(Machine& machine) {
    auto const card = try_add_model(machine);
    if (!card) FAIL(card.error().message);
}

base::Result<ask::ModelCard> SwarmBench::try_add_model(Machine& machine) {
    auto const file = folder_.path() / "tiny.gguf";
    auto const bytes = infer::synthesise(model_shape).value();
    std::ofstream(file, std::ios::binary)
        .write(base::as_text(bytes).data(), static_cast<std::streamsize>(bytes.size()));
    std::optional<base::Result<ask::ModelCard>> outcome;
    machine.ask->add_model(
        {.file = file, .name = "tiny", .layers_per_shard = 1}, [](auto const&) {},
        [&](base::Result<ask::ModelCard> card) { outcome = std::move(card); });
    run_until([&] { return outcome.has_value(); }, patience_default);
    REQUIRE(outcome.has_value());
    settle();
    return *outcome;
}

base::Status SwarmBench::fetch(Machine& machine, std::vector<std::uint32_t> shards) {
    auto outcome = std::make_shared<std::optional<base::Status>>();
    machine.ask->fetch_model(
        "tiny", std::move(shards), [](auto const&) {},
        [outcome](base::Result<ask::ModelCard> card) {
            *outcome = card ? base::Status{} : base::Status(std::unexpected(card.error()));
        });
    run_until([&] { return outcome->has_value(); }, patience_default);
    REQUIRE(outcome->has_value());
    settle();
    return **outcome;
}

base::Status SwarmBench::drop(Machine& machine, std::vector<std::uint32_t> shards) {
    std::optional<base::Status> outcome;
    machine.ask->drop_shards("tiny", std::move(shards), ask::Ask::Drop::last_copy_too,
                             [&](base::Result<ask::ModelCard> card) {
                                 outcome = card ? base::Status{}
                                                : base::Status(std::unexpected(card.error()));
                             });
    settle();
    REQUIRE(outcome.has_value());
    return *outcome;
}

Answer SwarmBench::ask(Machine& machine, std::string const& text, std::uint32_t tokens_max) {
    auto answer = std::make_shared<Answer>();
    ask::Question question{.messages = {{"user", text}}, .tokens_max = tokens_max};
    question.temperature = 0;
    auto const id = machine.ask->ask(question, [answer](ask::Update const& update) {
        if (auto const* piece = std::get_if<ask::Piece>(&update)) answer->text += piece->text;
        if (auto const* done = std::get_if<ask::Finished>(&update)) answer->finished = *done;
        if (auto const* failed = std::get_if<ask::Failed>(&update)) answer->error = failed->error;
    });
    if (!id) {
        answer->error = id.error();
        return *answer;
    }
    run_until([&] { return answer->finished || answer->error; }, 5s);
    machine.ask->cancel(*id);
    settle();
    return *answer;
}

void SwarmBench::compute_on(Machine const& remote, Machine& asker, ask::Plan plan) {
    plan.stages = {{.node = remote.identity.node_id(),
                    .layers = {0, 4},
                    .does_embedding = true,
                    .does_head = true}};
    plan.tokens_max = 1;
    auto const pipeline = ask::Pipeline::create(
                              *asker.node, asker.pool, plan, {{1}}, [](auto const&) {}, [] {})
                              .value();
    pipeline->start(clock.now());
    settle();
}

void SwarmBench::settle() {
    bool moved = true;
    for (std::size_t turn = 0; moved; ++turn) {
        REQUIRE(turn < turns_max);
        moved = false;
        for (auto const& machine : machines_)
            while (machine->pool.run_one()) moved = true;
        moved = network.step(clock.now()) || moved;
    }
}

bool SwarmBench::run_until(std::function<bool()> const& reached, base::Duration patience) {
    auto const end = clock.now() + patience;
    for (;;) {
        settle();
        if (reached()) return true;
        auto const next = network.deadline();
        if (!next || *next > end) break;
        // A timer that is due and stays due must not stop the clock.
        clock.set(std::max(*next, clock.now() + 1ms));
        network.on_deadlines(clock.now());
    }
    clock.set(std::max(end, clock.now()));
    settle();
    return reached();
}

void SwarmBench::run_for(base::Duration span) {
    run_until([] { return false; }, span);
}

Boomerang::Boomerang(ask::PrivacyFlags flags, std::uint64_t seed)
    : bench(seed),
      asker(bench.add_operator(flags)),
      first(bench.add_member(asker)),
      second(bench.add_member(asker)) {
    bench.add_model(asker);
    REQUIRE(bench.fetch(first, {1, 2}).has_value());
    REQUIRE(bench.fetch(second, {3, 4}).has_value());
    REQUIRE(bench.drop(asker, {1, 2, 3, 4}).has_value());
    bool const linked = bench.run_until(
        [&] { return first.node->is_ready(second.identity.node_id()); }, patience_default);
    REQUIRE(linked);
}

base::Bytes file_bytes(std::filesystem::path const& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

bool contains(base::ByteView haystack, base::ByteView needle) {
    return std::ranges::search(haystack, needle).begin() != haystack.end();
}

}  // namespace kith::adversary
