// proto/relay/server.h: the relay of circuit relay v2: who may be reached through it
// (reservations), and the connections it carries (circuits).
//
//   hop stream:  opened -> RESERVE -> answered, closed
//                       -> CONNECT -> the target is asked on a stop stream -> OK -> circuit
//                                                                          -> else answered, closed
//
// Sans-IO. The driver tells what happened on streams, then carries out poll_action() until it is
// empty, then waits until deadline(). Streams are named by numbers of the driver's.
//
// Invariants: 1. nobody gets a reservation or a circuit whose Caller has Grant::refused or came
// through a relay himself. 2. no byte of one end reaches the other before the target said OK.
// 3. counts stay within ServerLimits. 4. a circuit's two streams end together.
#pragma once

#include <compare>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/time.h"
#include "identity/identity.h"
#include "proto/relay/circuit.h"
#include "proto/relay/message.h"
#include "wire/frame.h"

namespace kith::proto::relay {

struct StreamRef {
    std::uint64_t connection = 0;
    std::uint32_t stream = 0;
    auto operator<=>(StreamRef const&) const = default;
};
enum class CircuitId : std::uint32_t {};

enum class Grant { refused, limited, unlimited };
enum class Path { direct, relayed };

// Who opened a hop stream, and what the owner's policy says about him.
struct Caller {
    identity::PeerId peer;
    std::string ip;
    Path path = Path::direct;
    Grant grant = Grant::refused;
};

struct ServerLimits {
    std::size_t reservations_max = 128;
    std::size_t reservations_per_ip_max = 32;  // a team behind one router
    std::size_t circuits_max = 128;
    std::size_t circuits_per_peer_max = 16;
    std::size_t unanswered_per_connection_max = 8;  // hop streams without a request yet
    base::Duration reservation_lives = std::chrono::hours(1);
    base::Duration answer_timeout = std::chrono::seconds(10);  // for a request, and for the target
    Limit limited{.duration_s = 120, .data_bytes = 128 * 1024};  // as go and js
};

struct Transmit {  // write pending(to), then call sent()
    StreamRef to;
};
struct OpenStop {  // open a stop stream there, then call stop_opened() or stop_failed()
    CircuitId circuit;
    std::uint64_t connection;
};
struct Finish {  // nothing more will be written
    StreamRef stream;
};
struct Reset {
    StreamRef stream;
};
struct Consumed {  // give this much credit back
    StreamRef stream;
    std::size_t size;
};
using Action = std::variant<Transmit, OpenStop, Finish, Reset, Consumed>;

class Server {
public:
    // `self` must outlive the server.
    Server(ServerLimits limits, identity::Identity const& self) : limits_(limits), self_(self) {}

    // Where this relay can be reached, without /p2p; told with reservations.
    void set_addresses(std::vector<wire::Multiaddr> const& addresses);

    void on_hop_opened(StreamRef stream, Caller caller, base::Instant now);
    void stop_opened(CircuitId circuit, StreamRef stream);
    void stop_failed(CircuitId circuit);
    void on_data(StreamRef stream, base::ByteView bytes, base::Instant now,
                 base::UnixTime unix_now);
    void on_ended(StreamRef stream);
    void on_reset(StreamRef stream);
    void on_writable(StreamRef stream);
    void on_connection_down(std::uint64_t connection);
    void on_deadline(base::Instant now);
    [[nodiscard]] std::optional<base::Instant> deadline() const;

    std::optional<Action> poll_action();
    [[nodiscard]] base::ByteView pending(StreamRef stream) const;
    void sent(StreamRef stream, std::size_t size);

    [[nodiscard]] bool knows(StreamRef stream) const { return streams_.contains(stream); }
    [[nodiscard]] std::size_t reservations_count() const { return reservations_.size(); }
    [[nodiscard]] std::size_t circuits_count() const { return circuits_.size(); }

private:
    struct Held {  // a reservation
        std::uint64_t connection;
        std::string ip;
        Grant grant;
        base::Instant expires;
    };
    enum class Role { unanswered, answered, source, asked_target, target };
    struct Stream {
        Role role = Role::unanswered;
        CircuitId circuit{};
        Caller caller;
        wire::FrameReader reader{message_bytes_max};
        base::Bytes out;  // our messages; raw bytes come behind them
        base::Instant deadline;
    };
    struct Joint {  // the two ends of a circuit
        StreamRef source;
        std::optional<StreamRef> target;
        identity::PeerId source_peer, target_peer;
        Limit limit;
        Circuit bytes;
        std::optional<base::Instant> deadline;  // of the target's answer, then of the circuit
    };
    using Streams = std::map<StreamRef, Stream>;

    void on_request(Streams::iterator stream, base::ByteView message, base::ByteView rest,
                    base::Instant now, base::UnixTime unix_now);
    void on_target_answer(Streams::iterator stream, base::ByteView message, base::ByteView rest,
                          base::Instant now);
    void reserve(Streams::iterator stream, base::Instant now, base::UnixTime unix_now);
    void connect(Streams::iterator stream, Connect const& request, base::ByteView rest,
                 base::Instant now);
    void answer(Streams::iterator stream, Answer const& answer, base::Instant now);
    void carry(Streams::iterator stream, base::ByteView bytes);
    void refuse_circuit(CircuitId circuit);
    void cut(CircuitId circuit);
    void forget(StreamRef stream);
    void drop_expired(base::Instant now);
    void forward_closes(CircuitId circuit);
    [[nodiscard]] Status may_reserve(Caller const& caller) const;
    [[nodiscard]] Status may_connect(Caller const& caller, identity::PeerId const& target) const;
    [[nodiscard]] Limit limit_of(Grant grant) const;
    [[nodiscard]] std::size_t circuits_of(identity::PeerId const& peer) const;
    [[nodiscard]] static End end_of(Stream const& stream);

    ServerLimits limits_;
    identity::Identity const& self_;
    std::vector<wire::Multiaddr> addresses_;
    std::map<identity::PeerId, Held> reservations_;
    std::map<CircuitId, Joint> circuits_;
    Streams streams_;
    std::uint32_t next_circuit_ = 1;
    std::deque<Action> actions_;
};

}  // namespace kith::proto::relay
