// proto/kad/publisher.h: what this node itself keeps in the DHT, and when it is due again: long
// before the hour of a record is over (S26), and at once after a restart.
#pragma once

#include <map>
#include <optional>

#include "proto/kad/record.h"

namespace kith::proto::kad {

inline constexpr std::size_t published_max = 256;
inline constexpr base::Duration republish_interval = std::chrono::minutes(30);
inline constexpr base::Duration republish_retry = std::chrono::minutes(1);  // after nobody took it
inline constexpr std::size_t publisher_state_bytes_max =
    16 + published_max * (16 + message_key_bytes_max + value_bytes_max);

class Publisher {
public:
    struct Item {
        RecordKind kind = RecordKind::value;
        base::Bytes key;
        base::Bytes body;  // not signed yet; empty for a provider entry
        auto operator<=>(Item const&) const = default;
    };

    // Takes it over as being published right now; on_published follows. A body given for the same
    // key and kind replaces the one before. Code::too_large: published_max.
    base::Status add(Item item, base::Instant now);
    // What add() would say about it.
    [[nodiscard]] base::Status check_room(RecordKind kind, base::ByteView key) const;
    void remove(RecordKind kind, base::ByteView key);

    // An item whose time has come; it is not due again before on_published, or republish_interval.
    std::optional<Item> poll_due(base::Instant now);
    void on_published(RecordKind kind, base::ByteView key, std::size_t peers_count,
                      base::Instant now);
    [[nodiscard]] std::optional<base::Instant> deadline() const;
    [[nodiscard]] std::size_t size() const { return items_.size(); }

    // Greater than every one before, also after a restart with or without the stored state, as long
    // as the wall clock goes on.
    std::uint64_t next_sequence(base::UnixTime now);

    // For the owner to store (it is no secret, but whoever can change it decides what we sign).
    // import_state: everything in it is due at once. Code::corrupt leaves all as it was.
    [[nodiscard]] base::Bytes export_state() const;
    base::Status import_state(base::ByteView state, base::Instant now);

private:
    using Name = std::pair<RecordKind, base::Bytes>;
    struct Entry {
        base::Bytes body;
        base::Instant due;
    };

    std::map<Name, Entry> items_;
    std::uint64_t sequence_ = 0;
};

}  // namespace kith::proto::kad
