// proto/gossip/outbox.h: what is still to be said to one peer, put together into RPCs when the
// owner can send one.
//
// Control goes first and is merged: one entry per topic, the last word counts. Then messages, in
// order, several small ones to an RPC. A peer that does not read costs a bounded amount: gossip
// (which is only advice) and then messages beyond the limit are dropped, and the router gives it up
// after slow_peer_after.
//
// Invariant: at most outbox_bytes_max and outbox_messages_max of messages, topics_max changes of
// subscriptions and mesh, outbox_gossip_bytes_max of each kind of ids.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "proto/gossip/message_cache.h"

namespace kith::proto::gossip {

enum class Interest { subscribed, unsubscribed };
enum class Queued { yes, dropped };

class Outbox {
public:
    // dropped: too many topics changed while the peer read nothing. It would be left with a wrong
    // view of us, so the router gives it up.
    Queued interest(std::string const& topic, Interest interest);
    Queued graft(std::string const& topic);
    // Without seconds for a peer of version 1.0, whose protocol has no backoff.
    Queued prune(std::string const& topic, std::optional<std::uint64_t> backoff_seconds);

    void ihave(std::string const& topic, std::vector<MessageId> const& ids);
    // How many were taken, from the front.
    std::size_t iwant(std::vector<MessageId> const& ids);
    void idontwant(MessageId const& id);
    Queued message(SharedMessage message);
    // The peer has it already (IDONTWANT, or it sent a copy): saves the bytes if it still waits
    // here.
    void forget(MessageId const& id);

    [[nodiscard]] bool empty() const;
    [[nodiscard]] std::size_t message_bytes() const { return message_bytes_; }
    // The next RPC, at most rpc_bytes_sent_max bytes; nullopt: nothing to say.
    std::optional<base::Bytes> next();

private:
    struct MeshChange {
        bool is_graft;
        std::optional<std::uint64_t> backoff_seconds;
    };
    [[nodiscard]] base::Bytes take_control();

    std::map<std::string, Interest> interests_;
    std::map<std::string, MeshChange> mesh_;
    std::map<std::string, std::vector<MessageId>> ihave_;
    std::vector<MessageId> iwant_, idontwant_;
    std::size_t ihave_bytes_ = 0, iwant_bytes_ = 0;
    std::deque<SharedMessage> messages_;
    std::size_t message_bytes_ = 0;
};

}  // namespace kith::proto::gossip
