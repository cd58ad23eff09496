#include "proto/kad/kad.h"

#include <algorithm>

#include "base/check.h"
#include "base/sabotage.h"
#include "proto/kad/kad_state.h"

namespace kith::proto::kad {

using base::Bytes;
using base::ByteView;
using base::Code;
using base::fail;
using base::Instant;
using base::Result;
using base::Status;
using identity::PeerId;

namespace {

void limit_addresses(PeerInfo& peer) {
    if (peer.addresses.size() > addresses_kept_max) peer.addresses.resize(addresses_kept_max);
}

}  // namespace

Kad::Kad(KadOptions options, ports::Rng& rng)
    : options_(std::move(options)),
      rng_(rng),
      checker_(options_.domain, options_.namespaces, options_.unsigned_providers),
      table_(options_.self.id, options_.group_exempt),
      store_(options_.store, options_.self.id),
      responder_(options_.self, options_.reach, table_, store_, checker_) {
    limit_addresses(options_.self);
}

Kad::~Kad() = default;

void Kad::set_addresses(std::vector<wire::Multiaddr> addresses) {
    options_.self.addresses = std::move(addresses);
    limit_addresses(options_.self);
}

// ---- peers ----

bool Kad::admits(PeerId const& peer) const {
    return KITH_GUARD("S88.admits", !options_.admits || options_.admits(peer));
}

void Kad::forget_unadmitted() {
    std::erase_if(ready_, [this](auto const& entry) { return !admits(entry.first); });
    table_.remove_if([this](PeerId const& peer) { return !admits(peer); });
}

void Kad::on_peer_ready(ReadyPeer ready, Now now) {
    if (!admits(ready.peer.id)) return;
    // What we would not dial ourselves we do not tell others either.
    keep_reachable(options_.reach, ready.peer.addresses);
    limit_addresses(ready.peer);
    auto const& id = ready.peer.id;
    if (ready_.contains(id) || ready_.size() < ready_peers_max)
        ready_.insert_or_assign(id, ready.peer);
    if (ready.serves == ServesKad::yes)
        table_.offer(std::move(ready.peer), ready.remote, now.instant);
    else
        table_.remove(id);
    if (!next_tick_) next_tick_ = now.instant + tick_interval;
    pump(now);
}

void Kad::on_peer_gone(PeerId const& peer, Now now) {
    ready_.erase(peer);
    pump(now);
}

// ---- the server's half ----

Status Kad::spend(PeerId const& peer, Now now) {
    auto budget = budgets_.find(peer);
    if (budget == budgets_.end()) {
        if (budgets_.size() >= ready_peers_max) return fail(Code::too_large, "kad: too many peers");
        budget = budgets_.emplace(peer, Budget{.refilled = now.instant}).first;
        if (!next_tick_) next_tick_ = now.instant + tick_interval;
    }
    auto& [tokens, refilled] = budget->second;
    auto const due = static_cast<std::size_t>(
        std::max<std::int64_t>((now.instant - refilled) / request_refill, 0));
    tokens = std::min(requests_burst_max, tokens + due);
    refilled += static_cast<std::int64_t>(due) * request_refill;
    if (tokens == 0) return fail(Code::too_large, "kad: the peer asks too fast");
    --tokens;
    return {};
}

Result<std::optional<Bytes>> Kad::on_request(PeerId const& peer, ByteView bytes, Now now) {
    if (options_.mode == Mode::client)
        return fail(Code::unsupported, "kad: this node is a client only");
    if (!admits(peer)) return fail(Code::forbidden, "kad: this peer is not admitted");
    KITH_TRY(spend(peer, now));
    auto const request = KITH_TRY(decode(bytes));
    table_.on_alive(peer, now.instant);
    auto const answer = responder_.answer(peer, request, now);
    if (!answer) {
        if (request.type == MessageType::put_value || request.type == MessageType::add_provider)
            report(peer, request.key, answer.error());
        return std::unexpected(answer.error());
    }
    if (!*answer) return std::nullopt;
    return encode(**answer);
}

// Queued events are bounded by what peers can cause; only these come from nothing but their bytes.
void Kad::report(PeerId const& from, ByteView key, base::Error reason) {
    if (bad_records_queued_ >= bad_records_queued_max) return;
    ++bad_records_queued_;
    outputs_.push_back(
        BadRecord{.from = from, .key = base::to_bytes(key), .reason = std::move(reason)});
}

// ---- commands ----

Result<Kad::Query*> Kad::start(Kind kind, Origin origin, Bytes key, Now now) {
    if (queries_.size() >= queries_max)
        return fail(Code::too_large, "kad: too many queries at once");
    auto const target = Key::of(key);
    std::optional<PeerId> sought;
    if (kind == Kind::find_peer && origin == Origin::command)
        sought = KITH_TRY(PeerId::from_multihash(key));
    QueryId const id{next_id_++};
    auto const seeds = table_.closest(target, bucket_peers_max);
    auto query = std::make_unique<Query>(
        Query{.id = id,
              .kind = kind,
              .origin = origin,
              .key = std::move(key),
              .lookup = Lookup(options_.lookup, {.target = target, .sought = sought}, seeds,
                               options_.group_exempt),
              .deadline = now.instant + query_duration_max,
              .best = {},
              .best_from = options_.self.id,
              .providers = {},
              .to_store = {},
              .store_at = {}});
    return queries_.emplace(id, std::move(query)).first->second.get();
}

Result<QueryId> Kad::find_peer(PeerId const& peer, Now now) {
    auto const known = ready_.find(peer);
    if (known != ready_.end() || peer == options_.self.id) {
        QueryId const id{next_id_++};
        auto const& info = known == ready_.end() ? options_.self : known->second;
        outputs_.push_back(
            QueryFinished{.id = id, .result = PeerFound{.peer = info, .closest = {}}});
        return id;
    }
    auto* const query =
        KITH_TRY(start(Kind::find_peer, Origin::command, base::to_bytes(peer.to_multihash()), now));
    auto const id = query->id;
    pump(now);
    return id;
}

Result<QueryId> Kad::get_value(Bytes key, Now now) {
    if (!checker_.find(key)) return fail(Code::unsupported, "kad: unknown namespace");
    auto* const query = KITH_TRY(start(Kind::get_value, Origin::command, std::move(key), now));
    if (auto const* const own = store_.find(query->key, now)) query->best = *own;
    auto const id = query->id;
    pump(now);
    return id;
}

Result<QueryId> Kad::put_value(Bytes key, Bytes body, Now now) {
    auto const* const query = KITH_TRY(publish_value(Origin::command, std::move(key), body, now));
    auto const id = query->id;
    // Cannot fail: publish_value made sure of the room.
    KITH_TRY(publisher_.add({.kind = RecordKind::value, .key = query->key, .body = std::move(body)},
                            now.instant));
    pump(now);
    return id;
}

Result<QueryId> Kad::provide(Bytes key, Now now) {
    auto const* const query = KITH_TRY(publish_provider(Origin::command, std::move(key), now));
    auto const id = query->id;
    KITH_TRY(
        publisher_.add({.kind = RecordKind::provider, .key = query->key, .body = {}}, now.instant));
    pump(now);
    return id;
}

Result<QueryId> Kad::find_providers(Bytes key, Now now) {
    if (key.empty() || key.size() > provider_key_bytes_max)
        return fail(Code::invalid, "kad: providers are found by a multihash");
    auto* const query = KITH_TRY(start(Kind::find_providers, Origin::command, std::move(key), now));
    for (auto& provider : store_.providers(query->key, now))
        query->providers.emplace(provider.peer.id, std::move(provider));
    auto const id = query->id;
    pump(now);
    return id;
}

Result<QueryId> Kad::bootstrap(Now now) {
    if (table_.size() == 0) return fail(Code::unavailable, "kad: no peer is known yet");
    auto* const query = KITH_TRY(start(Kind::find_peer, Origin::command,
                                       base::to_bytes(options_.self.id.to_multihash()), now));
    auto const id = query->id;
    look_for_somebody(now);
    next_refresh_ = now.instant + refresh_interval;
    pump(now);
    return id;
}

void Kad::withdraw_value(ByteView key) {
    publisher_.remove(RecordKind::value, key);
    store_.forget_value(key);
}

void Kad::withdraw_provider(ByteView key) {
    publisher_.remove(RecordKind::provider, key);
    store_.forget_provider(key, options_.self.id);
}

// ---- publishing ----

Result<Kad::Query*> Kad::publish_value(Origin origin, Bytes key, ByteView body, Now now) {
    auto const* const space = checker_.find(key);
    if (!space) return fail(Code::unsupported, "kad: unknown namespace");
    if (body.size() > body_bytes_max) return fail(Code::too_large, "kad: the value is too long");
    KITH_TRY(publisher_.check_room(RecordKind::value, key));
    Stamp const stamp{.sequence = publisher_.next_sequence(now.wall), .issued = now.wall};
    auto value =
        space->form == Namespace::Form::plain
            ? base::to_bytes(body)
            : sign_record({.kind = RecordKind::value, .domain = checker_.domain(), .key = key},
                          stamp, body, options_.signer);
    auto record = KITH_TRY(checker_.check(key, value, now.wall));
    Message message;
    message.type = MessageType::put_value;
    message.key = key;
    message.record = Record{.key = key, .value = std::move(value)};
    auto* const query = KITH_TRY(start(Kind::put_value, origin, std::move(key), now));
    query->to_store = encode(message);
    // Our store may have a better one of another author; what is near the key decides then.
    if (auto const stored = store_.put(std::move(record), options_.self.id, checker_, now); !stored)
        report(options_.self.id, query->key, stored.error());
    return query;
}

Result<Kad::Query*> Kad::publish_provider(Origin origin, Bytes key, Now now) {
    if (options_.self.addresses.empty())
        return fail(Code::conflict, "kad: no address of this node is known yet");
    KITH_TRY(publisher_.check_room(RecordKind::provider, key));
    Stamp const stamp{.sequence = publisher_.next_sequence(now.wall), .issued = now.wall};
    if (key.size() > provider_key_bytes_max)
        return fail(Code::invalid, "kad: a provider's key is a multihash");
    ProviderInfo info{.peer = options_.self,
                      .proof = sign_record(
                          {.kind = RecordKind::provider, .domain = checker_.domain(), .key = key},
                          stamp, {}, options_.signer)};
    auto provider = KITH_TRY(checker_.check_provider(key, info, now.wall));
    Message message;
    message.type = MessageType::add_provider;
    message.key = key;
    message.provider_peers.push_back(std::move(info));
    auto* const query = KITH_TRY(start(Kind::provide, origin, std::move(key), now));
    query->to_store = encode(message);
    if (auto const stored = store_.add_provider(std::move(provider), options_.self.id, now);
        !stored)
        report(options_.self.id, query->key, stored.error());
    return query;
}

void Kad::republish_due(Now now) {
    if (table_.size() == 0) return;  // nobody to tell; the first peer wakes us
    while (auto item = publisher_.poll_due(now.instant)) {
        auto const started = item->kind == RecordKind::value
                                 ? publish_value(Origin::republish, item->key, item->body, now)
                                 : publish_provider(Origin::republish, item->key, now);
        if (!started) publisher_.on_published(item->kind, item->key, 0, now.instant);
    }
}

Status Kad::import_state(ByteView state, Now now) {
    KITH_TRY(publisher_.import_state(state, now.instant));
    pump(now);
    return {};
}

// ---- time ----

// A busy machine, or one without randomness (app/reported_rng.h says so), does it another time.
void Kad::look_for_somebody(Now now) {
    base::ByteArray<32> random;
    if (!rng_.fill(random)) return;
    auto somebody = base::to_bytes(PeerId(random).to_multihash());
    static_cast<void>(
        start(Kind::find_peer, Origin::refresh, std::move(somebody), now).has_value());
}

void Kad::refresh(Now now) {
    next_refresh_ = now.instant + refresh_interval;
    if (table_.size() == 0) return;
    look_for_somebody(now);
    auto self = base::to_bytes(options_.self.id.to_multihash());
    static_cast<void>(start(Kind::find_peer, Origin::refresh, std::move(self), now).has_value());
}

void Kad::tick(Now now) {
    next_tick_ = now.instant + tick_interval;
    store_.expire(now);
    failed_.expire(now.instant);
    std::erase_if(seen_, [now](auto const& entry) { return entry.second.until <= now.instant; });
    std::erase_if(budgets_, [now](auto const& entry) {
        auto const& [tokens, refilled] = entry.second;
        return refilled + requests_burst_max * request_refill <= now.instant;
    });
    for (auto const& peer : table_.stale(now.instant, stale_probes_max)) probe(peer, now);
    if (next_refresh_ <= now.instant) refresh(now);
    bool const is_idle = table_.size() == 0 && store_.values_count() == 0 &&
                         store_.providers_count() == 0 && failed_.size() == 0 && seen_.empty() &&
                         budgets_.empty();
    if (is_idle) next_tick_.reset();
}

void Kad::on_deadline(Now now) {
    if (next_tick_ && *next_tick_ <= now.instant) tick(now);
    std::vector<RequestId> late;
    for (auto const& [id, request] : requests_)
        if (request.deadline <= now.instant) late.push_back(id);
    for (auto const id : late) {
        outputs_.push_back(CancelRequest{id});
        on_request_failed(id, {.code = Code::timeout, .message = "no answer in time"}, now);
    }
    pump(now);
}

std::optional<Instant> Kad::deadline() const {
    std::optional<Instant> due = next_tick_;
    auto const at = [&due](Instant instant) { due = due ? std::min(*due, instant) : instant; };
    for (auto const& [id, request] : requests_) at(request.deadline);
    for (auto const& [id, query] : queries_) at(query->deadline);
    if (table_.size() > 0 && publisher_.deadline()) at(*publisher_.deadline());
    return due;
}

std::optional<Output> Kad::poll_output() {
    if (outputs_.empty()) return std::nullopt;
    auto output = std::move(outputs_.front());
    outputs_.pop_front();
    if (std::holds_alternative<BadRecord>(output)) --bad_records_queued_;
    return output;
}

}  // namespace kith::proto::kad
