// tests/adversary/hostile.h: a peer made of our own parts with the checks removed: it has links
// (node::Host) and, where it owns the secrets, sessions (node::PeerChannel), and says in them
// whatever the test wants.
#pragma once

#include <deque>

#include "node/link/host.h"
#include "node/membership/joiner.h"
#include "node/peers/peer_channel.h"
#include "node/services/swarm_gossip.h"
#include "swarm_bench.h"

namespace kith::adversary {

class Hostile {
public:
    explicit Hostile(SwarmBench& bench, std::uint64_t seed = 99);
    Hostile(SwarmBench& bench, identity::Identity identity, std::uint64_t seed);
    ~Hostile();
    Hostile(Hostile const&) = delete;
    Hostile& operator=(Hostile const&) = delete;

    identity::Identity identity;
    Address address;

    // --- outside a swarm: one link, Noise completed, and one stream on it
    struct Visit {
        ports::ConnectionId connection{};
        std::optional<node::StreamId> stream;
        std::string protocol;
        base::Bytes to_send;
        bool connected = false;
        bool agreed = false;  // the other side said yes to the protocol
        bool reset = false;
        bool down = false;
        base::Bytes received;
    };
    // Dials and proposes `protocol` in the same breath as the link comes up, with `bytes` behind.
    Visit& visit(Machine& to, std::string protocol, base::Bytes bytes = {});
    // Another stream on the link of a visit.
    Visit& again(Visit const& before, std::string protocol, base::Bytes bytes = {});
    // One request on /kith/join/1.0.0; nullopt when there was no reply.
    std::optional<wire::v1::JoinReply> request_join(Machine& to,
                                                    wire::v1::JoinRequest const& request);

    // Takes over an address whose owner is gone; callers are who proved an identity to us there.
    void listen_at(Address const& taken);
    std::vector<identity::PeerId> callers;

    // --- inside: joins with a token like anybody, but keeps what it learns
    void join(Machine& op, std::string const& token);
    // Or takes part with facts that were stolen from a member.
    void take_part(node::Swarm const& swarm, base::Bytes list);
    // Tier 1 with a machine, as the side that dials. CHECK(session_ready()) says whether it stands.
    void open_session(Machine& to);
    [[nodiscard]] bool session_ready() const {
        return channel_ && channel_->ready() && visit_ != nullptr && !visit_->reset &&
               !visit_->down;
    }
    void send(wire::v1::Control const& control);
    void send(wire::v1::StageMessage const& message, base::ByteView tensor);
    // Ready to go out, but nobody moves yet.
    void queue(wire::v1::StageMessage const& message, base::ByteView tensor);
    // A frame as it would go out, taken back before it is sent; send_raw() sends any bytes.
    base::Bytes sealed(proto::session::Lane lane, base::Bytes plaintext);
    void send_raw(base::ByteView bytes);

    // --- gossip: on every link that is made from here on; envelopes are sealed with what
    // take_part() or join() has brought, and signed by this identity
    void speak_gossip();
    base::Bytes sealed_gossip(base::ByteView content);
    void publish(base::ByteView envelope);
    std::vector<base::Bytes> overheard;  // envelopes of others, as they came

    std::vector<wire::v1::Control> controls;          // heard in the session
    std::vector<node::OpenedActivation> activations;  // what Tier 2 sealed is opened as well
    std::vector<base::Bytes> tensors;                 // of the same, as Tier 1 gave them
    std::vector<base::Bytes> frames;                  // as they came out of the link, still sealed
    std::function<void(wire::v1::Control const&)> on_control;
    std::function<void(node::OpenedActivation const&)> on_activation;

    [[nodiscard]] proto::membership::VerifiedList const& list() const { return *list_; }
    [[nodiscard]] node::Swarm const& swarm() const { return *swarm_; }

private:
    void pump();
    void on_event(node::HostEvent const& event);
    void begin_stream(Visit& visit);
    void listen_to_gossip();
    void on_stream_bytes(base::ByteView bytes);
    void start_channel(identity::NodeId const& peer);
    void flush_channel();

    SwarmBench& bench_;
    SeededRng rng_;
    std::unique_ptr<node::Host> host_;
    std::deque<Visit> visits_;
    Visit* visit_ = nullptr;  // of the session
    std::unique_ptr<node::PeerChannel> channel_;
    std::unique_ptr<node::GossipService> gossip_;
    std::uint8_t boots_count_ = 0;
    std::unique_ptr<wire::FrameReader> reader_;
    std::optional<node::Swarm> swarm_;
    std::optional<proto::membership::VerifiedList> list_;
};

// What a member says it holds.
wire::v1::Control announcement(Hostile const& member, std::string const& model_id,
                               std::vector<std::uint32_t> const& shards, std::string const& name);

// What an asker seals into forward_to()'s message for the stage with this static key.
base::Bytes seal_content(wire::v1::StageForward const& forward,
                         crypto::X25519PublicKey const& stage, base::ByteView content);

// A forward of one row of `tensor` through layers [begin, end) of the bench's model, for a route
// of one hop: `to`.
wire::v1::StageMessage forward_to(identity::NodeId const& asker, identity::NodeId const& to,
                                  std::string const& model_id, std::uint32_t layers_begin,
                                  std::uint32_t layers_end);

}  // namespace kith::adversary
