// node/membership/joiner.h: the joiner's side of /kith/join/1.0.0: one request on a proved link to
// the coordinator, one reply, and every check of the reply against the token (P2, P25).
#pragma once

#include "identity/identity.h"
#include "node/link/link.h"
#include "node/membership/swarm.h"
#include "ports/network_core.h"
#include "proto/membership/token.h"
#include "schema/wire.pb.h"
#include "wire/frame.h"

namespace kith::node {

inline constexpr base::Duration join_timeout = std::chrono::seconds(20);

struct JoinOutcome {
    Swarm swarm;
    base::Bytes list;
};

inline constexpr std::size_t join_reply_bytes_max = proto::membership::list_bytes_max + 16 * 1024;

// The secret of an epoch as it came over the wire (proto/membership/epoch.h), opened.
base::Result<crypto::Secret<32>> open_epoch_secret(wire::v1::EpochSecret const& offered,
                                                   identity::Identity const& self,
                                                   proto::membership::SwarmId const& swarm_id,
                                                   identity::RootPublicKey const& operator_root);

class Joiner {
public:
    Joiner(proto::membership::Token token, base::Instant now);

    [[nodiscard]] identity::PeerId const& coordinator() const { return token_.coordinator; }
    // The next address to try, or nullopt when all were tried.
    std::optional<ports::SocketAddress> next_address();
    void dialling(ports::ConnectionId id) { connection_ = id; }
    [[nodiscard]] std::optional<ports::ConnectionId> connection() const { return connection_; }
    void opened(StreamId stream) { stream_ = stream; }
    [[nodiscard]] std::optional<StreamId> stream() const { return stream_; }
    [[nodiscard]] base::Instant deadline() const { return started_ + join_timeout; }
    void note_error(base::Error error) { last_error_ = std::move(error); }
    [[nodiscard]] base::Error const& last_error() const { return last_error_; }

    // The framed request.
    base::Bytes request(identity::Identity const& identity,
                        std::vector<std::string> const& addresses) const;
    // nullopt: more bytes are needed. An error is final; the sentence says what the person can do.
    base::Result<std::optional<JoinOutcome>> feed(base::ByteView bytes,
                                                  identity::Identity const& self,
                                                  base::UnixTime now);

private:
    base::Result<JoinOutcome> check_grant(wire::v1::Grant const& grant,
                                          identity::Identity const& self, base::UnixTime now) const;

    proto::membership::Token token_;
    std::size_t next_ = 0;
    std::optional<ports::ConnectionId> connection_;
    std::optional<StreamId> stream_;
    base::Instant started_;
    base::Error last_error_{base::Code::unavailable,
                            "the invite names no address that can be dialled"};
    wire::FrameReader reader_;
};

}  // namespace kith::node
