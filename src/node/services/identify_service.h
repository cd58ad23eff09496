// node/services/identify_service.h: identify, identify push and ping on the links of a Host: says
// who we are, hears who the others are, and counts what they say our own address is. The formats
// are in proto/identify and proto/ping; this is their driver by HostEvents.
//
// A stranger is told what libp2p needs and no more: our key, the program's name, the protocols he
// may open, and his own address as we see it. Where we listen is told to members only, and so are
// pushes. Nothing here says whether, or in which swarm, we are.
//
// The owner hands every HostEvent to on_event() first and goes on only when that says false. It
// says who is a member with set_audience(), and lets peers open the protocols with
// Host::set_accepted_protocols.
//
// Invariants: 1. no listen address goes to a link whose audience is not Audience::member. 2. only
// members vote on our address. 3. what a peer says never ends its link.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "node/link/host.h"
#include "ports/clock.h"
#include "proto/identify/identify.h"
#include "proto/identify/observed.h"
#include "proto/identify/peer_record.h"
#include "proto/ping/ping.h"

namespace kith::node {

inline constexpr std::string_view identify_agent = "kith";
inline constexpr std::string_view identify_version = "ipfs/0.1.0";  // libp2p's, not ours
inline constexpr std::size_t identify_answers_max = 32;  // of one link in identify_answers_per
inline constexpr base::Duration identify_answers_per = std::chrono::minutes(1);
inline constexpr std::size_t identify_pushes_max = 2;  // of one link, under way
inline constexpr base::Duration identify_timeout = std::chrono::seconds(10);

enum class Audience { stranger, member };

// What a peer said of itself, merged over identify and pushes.
struct PeerIdentity {
    proto::identify::Info said;
    std::optional<proto::identify::PeerRecord> record;  // verified; the newest
};

class IdentifyService {
public:
    struct Edges {  // all outlive the service
        Host& host;
        identity::Identity const& identity;
        ports::Clock const& clock;
    };
    explicit IdentifyService(Edges edges) : edges_(std::move(edges)) {}

    // Where we listen. A change is pushed to every member.
    void set_addresses(std::vector<wire::Multiaddr> addresses, base::Instant now);
    // Until this is called the peer is a stranger who may open nothing else. A member is asked who
    // it is.
    void set_audience(ports::ConnectionId id, Audience audience, std::vector<std::string> protocols,
                      base::Instant now);

    // True: the event was about a stream of this service, and is dealt with.
    bool on_event(HostEvent const& event, base::Instant now);
    void on_deadline(base::Instant now);
    [[nodiscard]] std::optional<base::Instant> deadline() const;

    // nullptr: nothing heard yet, or no such link.
    [[nodiscard]] PeerIdentity const* peer(ports::ConnectionId id) const;
    // Links whose peer() has become another since the last call, each once; links that are down by
    // now may be among them.
    [[nodiscard]] std::set<ports::ConnectionId> take_heard() { return std::exchange(heard_, {}); }
    // Our own addresses as enough others see them: "/ip4|ip6/..." from links that we dialled, with
    // "/tcp/PORT" from links that they did.
    [[nodiscard]] std::vector<wire::Multiaddr> observed(base::Instant now) const {
        return observed_.believed(now);
    }
    // Where single members say that others may dial this node: what they see of direct links that
    // they dialled, or that began at the port we listen on. One liar is enough for a wrong one:
    // good for a try, not to be announced. Each once.
    [[nodiscard]] std::vector<wire::Multiaddr> seen() const;

private:
    struct Peer {
        identity::PeerId peer;
        ports::SocketAddress remote;
        Direction direction;
        Path path;
        ports::DialFrom from;
        Audience audience = Audience::stranger;
        std::vector<std::string> protocols;  // that it may open
        std::optional<PeerIdentity> heard;
        std::deque<base::Instant> answers;  // given within identify_answers_per
    };
    struct Reading {  // identify or push of the other side
        proto::identify::Reader reader;
        enum class Kind { answer, push } kind;
        base::Instant deadline;
    };
    struct Pinged {
        proto::ping::Responder responder;
        bool ended = false;
    };
    struct Told {  // our side is written and closed; waits for the other's end
        base::Instant deadline;
    };
    using Stream = std::variant<Reading, Pinged, Told>;

    bool on_stream_opened(ports::ConnectionId id, StreamOpened const& opened, base::Instant now);
    void on_data(Carrier const& at, base::ByteView bytes);
    void on_ended(Carrier const& at, base::Instant now);
    void answer(Carrier const& at, Peer& peer, base::Instant now);
    void accept_push(Carrier const& at, Peer const& peer, base::Instant now);
    void accept_ping(Carrier const& at);
    void ask(ports::ConnectionId id, Peer const& peer, base::Instant now);
    void push(ports::ConnectionId id, Peer const& peer, base::Instant now);
    void learn(ports::ConnectionId id, proto::identify::Info said, Reading::Kind kind,
               base::Instant now);
    void echo(Carrier const& at, Pinged& ping);
    [[nodiscard]] static std::optional<base::Instant> deadline_of(Stream const& stream);
    [[nodiscard]] base::Bytes statement(Peer const& peer) const;

    Edges edges_;
    std::vector<wire::Multiaddr> addresses_;
    std::uint64_t record_seq_ = 0;  // of addresses_
    std::map<ports::ConnectionId, Peer> peers_;
    std::map<Carrier, Stream> streams_;
    std::set<ports::ConnectionId> heard_;
    proto::identify::ObservedAddresses observed_;
};

}  // namespace kith::node
