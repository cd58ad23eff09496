// tests/sim/hostile_member.h: a member with a true identity and our own links and sessions that
// does not stop when it is removed: it dials every machine it knows all the time, speaks in each
// session, now and then in the name of the other end, and plays back frames from a tape of all its
// sessions.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "node/link/host.h"
#include "node/membership/joiner.h"
#include "node/peers/peer_channel.h"
#include "probe.h"
#include "sim/chance.h"
#include "sim/clock.h"
#include "sim/network.h"

namespace kith::simtest {

inline constexpr std::size_t tape_frames_max = 256;

class HostileMember final : public ports::NetworkCore {
public:
    // `identity` and `clock` outlive it.
    HostileMember(identity::Identity const& identity, sim::VirtualClock const& clock,
                  std::uint64_t machine, std::uint64_t seed);

    void join(std::string const& token);
    [[nodiscard]] bool has_joined() const { return swarm_.has_value(); }
    [[nodiscard]] bool is_joining() const { return joiner_.has_value(); }
    // The newest list, as long as somebody gives it one; and where the others are.
    void learn(proto::membership::VerifiedList const& list) { list_.emplace(list); }
    void knows(identity::NodeId const& node, sim::Address const& address);
    void pump();

    [[nodiscard]] std::uint64_t dials_count() const { return dials_count_; }
    [[nodiscard]] std::uint64_t replays_count() const { return replays_count_; }

    void on_accepted(ports::ConnectionId id, ports::SocketAddress remote,
                     base::Instant now) override {
        host_->on_accepted(id, std::move(remote), now);
    }
    void on_connected(ports::ConnectionId id, base::Instant now) override {
        host_->on_connected(id, now);
    }
    void on_bytes(ports::ConnectionId id, base::ByteView bytes, base::Instant now) override {
        host_->on_bytes(id, bytes, now);
    }
    void on_closed(ports::ConnectionId id, base::Error reason, base::Instant now) override {
        host_->on_closed(id, std::move(reason), now);
    }
    void on_deadline(base::Instant now) override;
    bool poll_transmit(ports::ConnectionId id, base::Bytes& out, base::Instant now) override {
        return host_->poll_transmit(id, out, now);
    }
    std::optional<ports::NetworkOutput> poll_output() override { return host_->poll_output(); }
    [[nodiscard]] std::optional<base::Instant> deadline() const override;

private:
    struct Target {
        identity::NodeId node;
        sim::Address address;
        std::optional<ports::ConnectionId> connection;
        std::optional<node::StreamId> stream;
        std::unique_ptr<node::PeerChannel> channel;
        base::Instant dial_at{};
    };
    void act();
    void speak(Target& target);
    void flush(Target& target);
    void hang_up(Target& target);
    void start_session(Target& target);
    void on_join_event(node::HostEvent const& event);
    void on_target_event(Target& target, node::HostEvent const& event);

    identity::Identity const& identity_;
    sim::VirtualClock const& clock_;
    sim::SeededRng rng_;
    sim::Chance chance_;
    sim::Chance names_;  // whether it speaks in its own
    Numbers numbers_;
    std::unique_ptr<node::Host> host_;
    std::optional<node::Joiner> joiner_;
    std::optional<node::Swarm> swarm_;
    std::optional<proto::membership::VerifiedList> list_;
    std::vector<Target> targets_;
    std::deque<base::Bytes> tape_;
    base::Instant act_at_{};
    std::uint64_t dials_count_ = 0, replays_count_ = 0;
};

}  // namespace kith::simtest
