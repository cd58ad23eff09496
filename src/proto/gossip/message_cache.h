// proto/gossip/message_cache.h: validated messages of the last heartbeats, so that what was
// advertised with IHAVE can be asked for with IWANT.
//
// Invariant: at most cache_messages_max messages and cache_bytes_max bytes; the oldest go first,
// and a message is asked for at most retransmissions_max times by one peer.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "identity/peer_id.h"
#include "proto/gossip/rpc.h"

namespace kith::proto::gossip {

// A message as it goes to every peer: made once, never changed, shared by cache and outboxes.
struct Encoded {
    MessageId id;
    std::string topic;
    base::Bytes publish;  // encode_publish()
};
using SharedMessage = std::shared_ptr<Encoded const>;

class MessageCache {
public:
    void put(SharedMessage message);
    // For an IWANT of `peer`: nullptr when it is not here or was asked for too often.
    [[nodiscard]] SharedMessage take_for(MessageId const& id, identity::PeerId const& peer);
    // Ids of `topic` from the last history_gossip windows, the newest last.
    [[nodiscard]] std::vector<MessageId> gossip_ids(std::string_view topic) const;
    // One heartbeat: what is older than history_length windows goes.
    void shift();

    [[nodiscard]] std::size_t bytes() const { return bytes_; }
    [[nodiscard]] std::size_t messages_count() const { return messages_.size(); }

private:
    struct Entry {
        SharedMessage message;
        std::map<identity::PeerId, std::uint32_t> asked;
    };
    void drop(MessageId const& id);
    void drop_oldest();

    std::unordered_map<MessageId, Entry> messages_;
    std::deque<std::deque<MessageId>> windows_{1};  // newest last
    std::size_t bytes_ = 0;
};

}  // namespace kith::proto::gossip
