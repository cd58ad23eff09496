// node/services/swarm_gossip.h: what members of one swarm tell all of it (Tier 3): sealed gossip
// (proto/sealed_gossip) over GossipSub (node/services/gossip_service.h), on one topic.
//
// A member keeps saying the newest thing of each kind: at once, again when the members or the
// secret have changed, and every gossip_repeat, since nobody keeps what others missed. What it
// hears is handed out verified; what a refusal means is judged (gossip_judge.h) and told to the
// owner.
//
// Owner's loop: pass every HostEvent to on_event(), call admit() for links of members,
// set_members() and set_secret() as they change; after each call drain poll_event().
//
// Invariants: 1. only what a listed member signed under the present secret is handed out or passed
// on (S11, S12). 2. of one member at most gossip_per_origin_max a minute. 3. nothing is said to who
// was not admitted.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string_view>
#include <variant>

#include "node/services/gossip_judge.h"
#include "node/services/gossip_service.h"
#include "ports/clock.h"
#include "ports/rng.h"
#include "proto/sealed_gossip/envelope.h"

namespace kith::node {

inline constexpr std::string_view swarm_topic = "/kith/swarm/1";
inline constexpr base::Duration gossip_repeat = std::chrono::minutes(1);
// After members or the secret changed: until the others know it too.
inline constexpr base::Duration gossip_settle = std::chrono::seconds(3);
inline constexpr std::size_t gossip_kinds_max = 8;        // said by one node
inline constexpr std::size_t gossip_per_origin_max = 60;  // a minute; the rest is not passed on

struct GossipRefused {
    GossipJudgement judgement;
    identity::NodeId relay;  // who sent it to us
    base::Error error;
};
using SwarmGossipEvent =
    std::variant<proto::sealed_gossip::VerifiedGossip, GossipRefused, GossipFault>;

class SwarmGossip {
public:
    struct Edges {  // all outlive it
        Host& host;
        identity::Identity const& identity;
        ports::Rng& rng;
        ports::Clock const& clock;
    };
    // Fails only when the generator does.
    static base::Result<std::unique_ptr<SwarmGossip>> create(
        Edges edges, proto::sealed_gossip::SwarmId const& swarm, crypto::Secret<32> const& secret,
        base::Instant now);

    // From here on what is sealed under another secret is refused. Fails only when the generator
    // does; then nothing more is said under the old secret.
    base::Status set_secret(crypto::Secret<32> const& secret, base::Instant now);
    void set_members(std::span<identity::NodeId const> members, base::Instant now);

    // A link of a member.
    void admit(ports::ConnectionId connection, PeerConnected const& peer, base::Instant now);
    Handled on_event(HostEvent const& event, base::Instant now);
    void on_deadline(base::Instant now);
    [[nodiscard]] base::Instant deadline() const;
    std::optional<SwarmGossipEvent> poll_event();

    // Says it soon, and again from then on; `kind` replaces what was said under it before. The same
    // content again changes nothing. Asserts gossip_kinds_max.
    void say(std::size_t kind, base::Bytes content, base::Instant now);

    struct Counts {
        std::size_t neighbours = 0;  // members that gossip with us
        std::uint64_t said = 0, heard = 0, refused = 0;
    };
    [[nodiscard]] Counts counts() const;

private:
    SwarmGossip(Edges edges, proto::sealed_gossip::SwarmId const& swarm,
                crypto::Secret<32> const& secret, proto::gossip::Options options,
                base::Instant now);
    struct Saying {
        base::Bytes content;
        base::Instant due;
    };
    struct Heard {  // of one member, since a minute began
        base::Instant since;
        std::size_t count = 0;
    };

    void hear(proto::gossip::Deliver const& message, base::Instant now);
    void say_due(base::Instant now);
    void say_all_again(base::Instant when);
    [[nodiscard]] bool has_room(identity::NodeId const& origin, base::Instant now);
    void drain(base::Instant now);

    Edges edges_;
    proto::sealed_gossip::SwarmId swarm_;
    GossipService service_;
    std::optional<proto::sealed_gossip::Sealer> sealer_;
    std::optional<proto::sealed_gossip::Opener> opener_;
    std::vector<identity::NodeId> members_;
    std::map<std::size_t, Saying> sayings_;
    std::map<identity::NodeId, Heard> heard_;  // of members
    std::deque<SwarmGossipEvent> events_;
    Counts counts_;
};

}  // namespace kith::node
