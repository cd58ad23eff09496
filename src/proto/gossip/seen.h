// proto/gossip/seen.h: which messages were here before.
//
// An id is remembered for seen_for. After that its number becomes the author's floor: a signed
// message at or below the floor is a replay, for as long as the author is remembered. So numbers
// are never accepted twice, while two messages of one author may overtake each other on different
// ways (a plain "higher than the last" would lose the slower one).
//
// Invariant: at most seen_max ids and authors_max floors; the oldest go first.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <unordered_map>

#include "base/time.h"
#include "proto/gossip/signing.h"

namespace kith::proto::gossip {

class Seen {
public:
    [[nodiscard]] bool contains(MessageId const& id) const { return ids_.contains(id); }
    // How long ago it was seen first; nullopt: never.
    [[nodiscard]] std::optional<base::Duration> age(MessageId const& id, base::Instant now) const;
    [[nodiscard]] bool is_replay(Origin const& origin) const;
    // A message that was refused: whoever sends it again is at fault as well.
    void mark_rejected(MessageId const& id);
    [[nodiscard]] bool is_rejected(MessageId const& id) const;
    // Call once per id.
    void add(MessageId const& id, std::optional<Origin> const& origin, base::Instant now);
    void expire(base::Instant now);

    [[nodiscard]] std::size_t ids_count() const { return ids_.size(); }
    [[nodiscard]] std::size_t authors_count() const { return floors_.size(); }

private:
    struct Record {
        base::Instant at;
        enum class Fate { open, rejected } fate = Fate::open;
    };
    struct Entry {
        MessageId id;
        std::optional<Origin> origin;
        base::Instant at;
    };
    struct Floor {
        std::uint64_t seqno;
        std::uint64_t order;  // of its last change; names it in by_age_
    };
    void drop_oldest();
    void raise_floor(Origin const& origin);

    std::unordered_map<MessageId, Record> ids_;
    std::deque<Entry> entries_;  // oldest first
    std::map<identity::PeerId, Floor> floors_;
    std::map<std::uint64_t, identity::PeerId> by_age_;
    std::uint64_t order_next_ = 0;
};

}  // namespace kith::proto::gossip
