// tests/adversary/swarm_bench.h: real machines (node::Node with ask::Ask) on an in-memory network
// under a virtual clock, and what an attacker on one of them could look at.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/temporary_folder.h"
#include "feature/ask/ask.h"
#include "identity/identity.h"
#include "io/store/sqlite_store.h"
#include "node/node.h"
#include "sim/chance.h"
#include "sim/clock.h"
#include "sim/disk.h"
#include "sim/network.h"
#include "sim/turn_pool.h"

namespace kith::adversary {

using sim::Address;
using sim::SeededRng;

identity::Identity new_identity(SeededRng& rng, base::UnixTime now);

// What a machine can make of a stage message it was handed: the content that is sealed for it,
// opened with its own keys; what is not for it as it came.
base::Bytes content_of(identity::Identity const& machine, node::OpenedActivation const& activation);

class Recorder;
// The public half of the request's key, of the first forward that was heard.
crypto::X25519PublicKey request_key_of(Recorder const& recorder);

// What an administrator of a machine reads out of the running program: every message as it reaches
// the handlers, and what is sealed in it for this machine.
class Recorder final : public node::Feature {
public:
    struct HeardControl {
        identity::NodeId sender;
        wire::v1::Control message;
    };
    struct HeardActivation {
        identity::NodeId sender;
        wire::v1::StageMessage message;
        base::Bytes tensor;   // as content_of() has it
        base::Bytes as_sent;  // before any seal was opened
    };
    identity::Identity const* machine = nullptr;
    std::vector<HeardControl> controls;
    std::vector<HeardActivation> activations;
    std::vector<identity::NodeId> lost;
    std::function<void(node::AuthenticatedActivation const&)> on_result;

    [[nodiscard]] std::vector<std::uint32_t> token_ids() const;  // of all forwards
    [[nodiscard]] std::vector<HeardActivation> forwards() const;

    void on_control(node::AuthenticatedControl const& message, base::Instant now) override;
    void on_activation(node::AuthenticatedActivation message, base::Instant now) override;
    void on_peer_up(identity::NodeId const&, base::Instant) override {}
    void on_peer_down(identity::NodeId const& peer, base::Error const&, base::Instant) override {
        lost.push_back(peer);
    }
    [[nodiscard]] std::optional<base::Instant> deadline() const override { return std::nullopt; }
    void on_deadline(base::Instant) override {}
};

struct Machine {
    Address address;
    SeededRng rng;
    identity::Identity identity;
    std::unique_ptr<io::SqliteStore> store;
    sim::Disk secrets;
    sim::TurnPool pool;
    std::filesystem::path models;
    std::vector<std::string> log;
    std::unique_ptr<node::Node> node;
    Recorder recorder;
    std::unique_ptr<ask::Ask> ask;

    [[nodiscard]] std::string multiaddr() const { return "/ip4/" + address.ip + "/tcp/8810"; }
    [[nodiscard]] std::filesystem::path model_folder() const;  // of the only model
};

struct Answer {
    std::string text;
    std::optional<ask::Finished> finished;
    std::optional<base::Error> error;
};

class SwarmBench {
public:
    using Tape = sim::Network::Tape;
    explicit SwarmBench(std::uint64_t seed = 1, Tape tape = Tape::keep);
    SwarmBench(SwarmBench const&) = delete;
    SwarmBench& operator=(SwarmBench const&) = delete;

    Machine& add_machine(ask::PrivacyFlags flags = {}, node::TrustOptions const& trust = {});
    // A machine that has created its swarm.
    Machine& add_operator(ask::PrivacyFlags flags = {});
    // A machine that has joined the swarm of `op`, with sessions to every member.
    Machine& add_member(Machine& op, ask::PrivacyFlags flags = {});

    std::string invite(Machine& op, node::InviteOptions const& options = {});
    base::Result<node::JoinedSwarm> join(Machine& machine, std::string const& token);

    // The synthetic model (4 layers, 6 shards: embedding, one per layer, head), cut on this
    // machine.
    void add_model(Machine& machine);
    base::Result<ask::ModelCard> try_add_model(Machine& machine);
    base::Status fetch(Machine& machine, std::vector<std::uint32_t> shards);
    // What is on its disk, in a worker of its own.
    static ask::LoadedModelPtr load(Machine const& machine);
    static std::shared_ptr<infer::Model const> weights(Machine const& machine);  // in this process
    base::Status drop(Machine& machine, std::vector<std::uint32_t> shards);
    Answer ask(Machine& machine, std::string const& text, std::uint32_t tokens_max = 4);
    // Past the planner: one token by `plan` (its model, prompt and flags), all of it computed by
    // `remote`.
    void compute_on(Machine const& remote, Machine& asker, ask::Plan plan);

    void settle();                      // until nothing moves at this instant
    void run_for(base::Duration span);  // with every timer on the way
    bool run_until(std::function<bool()> const& reached, base::Duration patience);
    void skip(base::Duration span) { clock.set(clock.now() + span); }  // time passes, no timer runs
    Address next_address();

    sim::VirtualClock clock;
    sim::Network network;
    engine::WorkerProgram worker;  // of the machines that are added from now on

private:
    base::Status change_keys(Machine& machine, identity::KeyChange change);

    std::uint64_t seed_;
    base::TemporaryFolder folder_;
    std::uint8_t addresses_count_ = 0;
    std::vector<std::unique_ptr<Machine>> machines_;
};

// The asker holds both ends and nothing else, `first` layers 0 and 1, `second` layers 2 and 3.
struct Boomerang {
    explicit Boomerang(ask::PrivacyFlags flags, std::uint64_t seed = 1);
    SwarmBench bench;
    Machine& asker;
    Machine& first;
    Machine& second;
};

bool contains(base::ByteView haystack, base::ByteView needle);
base::Bytes file_bytes(std::filesystem::path const& path);

}  // namespace kith::adversary
