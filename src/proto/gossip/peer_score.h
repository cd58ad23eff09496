// proto/gossip/peer_score.h: how well a peer has behaved as a relay (libp2p/specs
// gossipsub-v1.1.md, "Peer scoring"). The score decides who is grafted, believed and heard; it
// never says who may speak at all: admission does.
//
//   P1 time in the mesh (+)          P2 first deliveries (+)       P3 too few deliveries (-; off)
//   P3b the P3 deficit when pruned   P4 invalid messages (- squared)
//   P5 what the owner thinks         P6 many peers on one address (- squared)  P7 misbehaviour (-
//   squared)
//
// P3 is off: it punishes honest peers of a quiet topic. P6 spares loopback and what the owner
// lists: a team behind one NAT would graylist itself. Every counter and the sum are clamped, so no
// input makes a score infinite, NaN or unrecoverable.
//
// Invariants: 1. |score| <= score_limit. 2. at most retained_max scores of peers that are gone.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "identity/peer_id.h"

namespace kith::proto::gossip {

inline constexpr double score_limit = 10'000;
inline constexpr double counter_max = 1'000;  // of P3 deficits, P4 and P7
inline constexpr std::size_t retained_max = 1024;
inline constexpr base::Duration retained_for = std::chrono::minutes(10);
inline constexpr base::Duration decay_interval = std::chrono::seconds(1);
inline constexpr double decay_to_zero = 0.01;

enum class Colocation { spare_loopback, count_all };

struct ScoreParams {
    // Thresholds, falling: below `gossip` no IHAVE or IWANT, below `publish` no own messages to it,
    // below `graylist` nothing it says is read. `opportunistic`: a mesh whose median is below it
    // takes in better peers.
    double gossip = -10;
    double publish = -50;
    double graylist = -80;
    double opportunistic = 2;

    double positive_max = 100;  // of P1 and P2 over all topics
    double p1_weight = 0.01;    // per second
    double p1_max_seconds = 300;
    double p2_weight = 1;
    double p2_decay = 0.9;
    double p2_max = 20;
    double p3_weight = 0;  // off
    double p3_decay = 0.9;
    double p3_threshold = 1;
    double p3_max = 20;
    base::Duration p3_activation = std::chrono::seconds(30);
    base::Duration p3_window =
        std::chrono::milliseconds(10);  // a copy this late counts as delivery
    double p3b_weight = 0;
    double p3b_decay = 0.9;
    double p4_weight = -10;  // one: at the edge of gossip; three: graylisted
    double p4_decay = 0.99;
    double p5_weight = 1;
    double p5_limit = 100;  // of what the owner says
    double p6_weight = -5;
    std::size_t p6_threshold = 10;  // peers on one address that are fine
    Colocation p6_mode = Colocation::spare_loopback;
    std::vector<std::string> p6_spared;  // addresses, as the owner writes them
    double p7_weight = -10;
    double p7_decay = 0.95;
};

class PeerScore {
public:
    explicit PeerScore(ScoreParams params, base::Instant now);

    // A peer that comes back within retained_for with a bad score still has it.
    void add(identity::PeerId const& peer, std::string ip, base::Instant now);
    void remove(identity::PeerId const& peer, base::Instant now);

    void joined_mesh(identity::PeerId const& peer, std::string const& topic, base::Instant now);
    void left_mesh(identity::PeerId const& peer, std::string const& topic, base::Instant now);
    void delivered_first(identity::PeerId const& peer, std::string const& topic);
    // The same message again, `late` after the first copy.
    void delivered_again(identity::PeerId const& peer, std::string const& topic,
                         base::Duration late);
    void delivered_invalid(identity::PeerId const& peer, std::string const& topic);
    void misbehaved(identity::PeerId const& peer, double times);
    void set_owner_score(identity::PeerId const& peer, double value);  // NaN counts as 0

    void decay(base::Instant now);  // once per decay_interval; early calls do nothing
    [[nodiscard]] double score(identity::PeerId const& peer, base::Instant now) const;
    [[nodiscard]] ScoreParams const& params() const { return params_; }
    [[nodiscard]] std::size_t retained_count() const;

private:
    struct Topic {
        std::optional<base::Instant> in_mesh_since;
        double first = 0, mesh = 0, mesh_failure = 0, invalid = 0;
    };
    struct Peer {
        std::string ip;
        bool shares_ip_freely = false;  // params_ spare the address from P6
        // In connected_per_ip_, while it is connected: looked at for each score.
        std::size_t const* at_ip_count = nullptr;
        std::optional<base::Instant> gone_since;
        std::map<std::string, Topic> topics;  // only topics of ours: bounded by topics_max
        double owner = 0, behaviour = 0;
    };

    [[nodiscard]] double of_topic(Topic const& topic, base::Instant now, double& positive) const;
    [[nodiscard]] double deficit(Topic const& topic, base::Instant now) const;
    [[nodiscard]] bool is_spared(std::string const& ip) const;
    [[nodiscard]] double of_address(Peer const& peer) const;
    Topic* topic_of(identity::PeerId const& peer, std::string const& topic);
    void drop_retained();

    ScoreParams params_;
    std::map<identity::PeerId, Peer> peers_;
    std::map<std::string, std::size_t> connected_per_ip_;
    base::Instant decay_next_;
};

}  // namespace kith::proto::gossip
