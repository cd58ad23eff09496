#include "proto/kad/publisher.h"

#include <algorithm>

#include "wire/reader.h"
#include "wire/writer.h"

namespace kith::proto::kad {

using base::Bytes;
using base::ByteView;
using base::Code;
using base::fail;
using base::Instant;
using base::Result;
using base::Status;

namespace {

constexpr std::uint8_t state_version = 1;
// Room for this many publications in each second of the wall clock.
constexpr unsigned sequence_shift = 16;

Result<Publisher::Item> read_item(wire::Reader& reader) {
    auto const kind = KITH_TRY(reader.u8());
    if (kind != static_cast<std::uint8_t>(RecordKind::value) &&
        kind != static_cast<std::uint8_t>(RecordKind::provider))
        return fail(Code::corrupt, "kad state: unknown kind");
    auto const key = KITH_TRY(reader.prefixed_u16(message_key_bytes_max));
    auto const body = KITH_TRY(reader.prefixed_u32(value_bytes_max));
    return Publisher::Item{.kind = static_cast<RecordKind>(kind),
                           .key = base::to_bytes(key),
                           .body = base::to_bytes(body)};
}

}  // namespace

Status Publisher::check_room(RecordKind kind, ByteView key) const {
    if (items_.size() < published_max || items_.contains(Name{kind, base::to_bytes(key)}))
        return {};
    return fail(Code::too_large, "kad: too many things published by this node");
}

Status Publisher::add(Item item, Instant now) {
    KITH_TRY(check_room(item.kind, item.key));
    Name name{item.kind, std::move(item.key)};
    items_.insert_or_assign(std::move(name),
                            Entry{.body = std::move(item.body), .due = now + republish_interval});
    return {};
}

void Publisher::remove(RecordKind kind, ByteView key) {
    items_.erase(Name{kind, base::to_bytes(key)});
}

std::optional<Publisher::Item> Publisher::poll_due(Instant now) {
    auto const next =
        std::ranges::min_element(items_, {}, [](auto const& one) { return one.second.due; });
    if (next == items_.end() || now < next->second.due) return std::nullopt;
    next->second.due = now + republish_interval;
    return Item{.kind = next->first.first, .key = next->first.second, .body = next->second.body};
}

void Publisher::on_published(RecordKind kind, ByteView key, std::size_t peers_count, Instant now) {
    auto const item = items_.find(Name{kind, base::to_bytes(key)});
    if (item == items_.end()) return;
    item->second.due = now + (peers_count > 0 ? republish_interval : republish_retry);
}

std::optional<Instant> Publisher::deadline() const {
    if (items_.empty()) return std::nullopt;
    auto const next =
        std::ranges::min_element(items_, {}, [](auto const& one) { return one.second.due; });
    return next->second.due;
}

std::uint64_t Publisher::next_sequence(base::UnixTime now) {
    auto const wall = static_cast<std::uint64_t>(std::max<std::int64_t>(base::seconds(now), 0));
    sequence_ = std::max(sequence_ + 1, wall << sequence_shift);
    return sequence_;
}

Bytes Publisher::export_state() const {
    wire::Writer writer;
    writer.u8(state_version).u64(sequence_).u16(static_cast<std::uint16_t>(items_.size()));
    for (auto const& [name, entry] : items_)
        writer.u8(static_cast<std::uint8_t>(name.first))
            .prefixed_u16(name.second)
            .prefixed_u32(entry.body);
    return writer.take();
}

Status Publisher::import_state(ByteView state, Instant now) {
    if (state.size() > publisher_state_bytes_max) return fail(Code::corrupt, "kad state: too long");
    wire::Reader reader(state);
    auto const version = KITH_TRY(reader.u8());
    if (version != state_version) return fail(Code::corrupt, "kad state: unknown version");
    auto const sequence = KITH_TRY(reader.u64());
    auto const count = KITH_TRY(reader.u16());
    if (count > published_max) return fail(Code::corrupt, "kad state: too many items");
    std::map<Name, Entry> items;
    for (std::size_t i = 0; i < count; ++i) {
        auto item = KITH_TRY(read_item(reader));
        items.insert_or_assign(Name{item.kind, std::move(item.key)},
                               Entry{.body = std::move(item.body), .due = now});
    }
    KITH_TRY(reader.expect_end());
    items_ = std::move(items);
    sequence_ = std::max(sequence_, sequence);
    return {};
}

}  // namespace kith::proto::kad
