// The client's half of proto/kad/kad.h: running queries, their requests, and what is made of the
// answers.
#include <algorithm>

#include "base/check.h"
#include "base/sabotage.h"
#include "proto/kad/kad_state.h"

namespace kith::proto::kad {

using base::Bytes;
using base::ByteView;
using base::Code;
using base::fail;
using base::Status;
using identity::PeerId;

void Kad::pump(Now now) {
    republish_due(now);
    while (auto const oldest = table_.poll_probe(now.instant)) probe(*oldest, now);
    std::vector<QueryId> ids;  // advance() may end a query, and with it its entry
    ids.reserve(queries_.size());
    for (auto const& [id, query] : queries_) ids.push_back(id);
    for (auto const id : ids) advance(*queries_.at(id), now);
}

void Kad::advance(Query& query, Now now) {
    if (query.deadline <= now.instant) return finish(query, now);
    if (!query.store_at) {
        while (requests_.size() < requests_max) {
            auto const next = query.lookup.poll_ask();
            if (!next) break;
            ask(query, *next, now);
        }
        if (!query.lookup.is_finished()) return;
        if (query.to_store.empty()) return finish(query, now);
        auto const nearest = query.lookup.closest(options_.lookup.results);
        query.store_at.emplace(nearest.begin(), nearest.end());
    }
    while (!query.store_at->empty() && query.stores_out < options_.lookup.asks_max &&
           requests_.size() < requests_max)
        store_at_next(query, now);
    if (query.store_at->empty() && query.stores_out == 0) finish(query, now);
}

std::vector<wire::Multiaddr> Kad::addresses_for(PeerInfo const& peer, Now now) const {
    std::vector<wire::Multiaddr> addresses;
    auto const add = [&](std::vector<wire::Multiaddr> const& more) {
        for (auto const& address : more) {
            if (addresses.size() >= addresses_kept_max) return;
            if (!is_reachable(options_.reach, address)) continue;
            if (failed_.has(peer.id, address, now.instant)) continue;
            if (std::ranges::find(addresses, address) == addresses.end())
                addresses.push_back(address);
        }
    };
    // What the peer said itself comes before what others say about it.
    if (auto const* const known = table_.find(peer.id)) add(known->addresses);
    add(peer.addresses);
    return addresses;
}

void Kad::ask(Query& query, Lookup::Ask const& ask, Now now) {
    Message message;
    switch (query.kind) {
        case Kind::get_value:
            message.type = MessageType::get_value;
            break;
        case Kind::find_providers:
            message.type = MessageType::get_providers;
            break;
        case Kind::find_peer:
        case Kind::put_value:
        case Kind::provide:
            message.type = MessageType::find_node;
            break;
    }
    message.key = query.key;
    Request request{.query = query.id,
                    .step = Request::Step::lookup,
                    .type = message.type,
                    .peer = {.id = ask.peer.id, .addresses = addresses_for(ask.peer, now)},
                    .path = ask.path};
    if (request.peer.addresses.empty() && !ready_.contains(ask.peer.id))
        return query.lookup.on_failed(ask.peer.id, ask.path);
    send(std::move(request), encode(message), now);
}

void Kad::store_at_next(Query& query, Now now) {
    auto const peer = std::move(query.store_at->front());
    query.store_at->pop_front();
    Request request{
        .query = query.id,
        .step = Request::Step::store,
        .type = query.kind == Kind::provide ? MessageType::add_provider : MessageType::put_value,
        .peer = {.id = peer.id, .addresses = addresses_for(peer, now)}};
    ++query.stores_out;
    send(std::move(request), query.to_store, now);
}

// Any request shows that the peer lives; this one also teaches us who is near it.
void Kad::probe(PeerId const& peer, Now now) {
    if (requests_.size() >= requests_max) return;
    Message message;
    message.type = MessageType::find_node;
    message.key = base::to_bytes(peer.to_multihash());
    send({.step = Request::Step::probe,
          .peer = {.id = peer, .addresses = addresses_for({.id = peer, .addresses = {}}, now)}},
         encode(message), now);
}

void Kad::send(Request request, Bytes bytes, Now now) {
    request.id = RequestId{next_id_++};
    request.deadline = now.instant + request_timeout;
    outputs_.push_back(SendRequest{.id = request.id,
                                   .peer = request.peer.id,
                                   .addresses = request.peer.addresses,
                                   .bytes = std::move(bytes),
                                   .expects = request.type == MessageType::add_provider
                                                  ? ExpectsResponse::no
                                                  : ExpectsResponse::yes});
    requests_.emplace(request.id, std::move(request));
}

void Kad::finish(Query& query, Now now) {
    std::erase_if(requests_, [this, &query](auto const& entry) {
        if (entry.second.query != query.id) return false;
        outputs_.push_back(CancelRequest{entry.first});
        return true;
    });
    QueryFinished finished{.id = query.id, .result = Stored{query.stored_count}};
    auto published = RecordKind::value;
    switch (query.kind) {
        case Kind::find_peer:
            finished.result = PeerFound{.peer = query.lookup.found(),
                                        .closest = query.lookup.closest(options_.lookup.results)};
            break;
        case Kind::get_value:
            if (auto const seen = check_seen(query.best, now); !seen) {
                report(query.best_from, query.key, seen.error());
                query.best.reset();
            }
            finished.result = ValueFound{std::move(query.best)};
            break;
        case Kind::find_providers: {
            ProvidersFound found;
            for (auto& [id, provider] : query.providers)
                found.providers.push_back(std::move(provider));
            finished.result = std::move(found);
            break;
        }
        case Kind::provide:
            published = RecordKind::provider;
            break;
        case Kind::put_value:
            break;
    }
    if (!query.to_store.empty())
        publisher_.on_published(published, query.key, query.stored_count, now.instant);
    if (query.origin == Origin::command) outputs_.push_back(std::move(finished));
    if (query.origin == Origin::republish)
        outputs_.push_back(
            Republished{.kind = published, .key = query.key, .peers_count = query.stored_count});
    queries_.erase(query.id);
}

// ---- answers ----

void Kad::on_response(RequestId id, ByteView bytes, Now now) {
    auto const found = requests_.find(id);
    if (found == requests_.end()) return;
    auto const request = std::move(found->second);
    requests_.erase(found);
    take_answer(request, bytes, now);
    pump(now);
}

void Kad::on_request_failed(RequestId id, base::Error const& error, Now now) {
    auto const found = requests_.find(id);
    if (found == requests_.end()) return;
    auto const request = std::move(found->second);
    requests_.erase(found);
    // What failed for a limit of our own says nothing about the peer.
    bool const is_ours = error.code == Code::too_large || error.code == Code::cancelled ||
                         error.code == Code::internal;
    if (!is_ours) {
        if (!ready_.contains(request.peer.id))
            for (auto const& address : request.peer.addresses)
                failed_.add(request.peer.id, address, now.instant);
        table_.on_failed(request.peer.id, now.instant);
        if (!next_tick_) next_tick_ = now.instant + tick_interval;
    }
    end_request(request);
    pump(now);
}

// A request of a query came to nothing; the query goes on without it.
void Kad::end_request(Request const& request) {
    if (!request.query) return;
    auto& query = *queries_.at(*request.query);
    if (request.step == Request::Step::store) --query.stores_out;
    if (request.step == Request::Step::lookup)
        query.lookup.on_failed(request.peer.id, request.path);
}

void Kad::take_answer(Request const& request, ByteView bytes, Now now) {
    if (request.type == MessageType::add_provider) {
        auto& query = *queries_.at(*request.query);
        --query.stores_out;
        ++query.stored_count;
        return;
    }
    auto answer = decode(bytes);
    if (!answer || answer->type != request.type) {
        table_.on_failed(request.peer.id, now.instant);
        return end_request(request);
    }
    table_.on_alive(request.peer.id, now.instant);
    if (!request.query) return;
    auto& query = *queries_.at(*request.query);
    if (request.step == Request::Step::store) {
        --query.stores_out;
        // The echo says that it was taken; what is echoed is not looked at any further.
        if (answer->record) ++query.stored_count;
        return;
    }
    if (query.kind == Kind::get_value) take_value(query, request.peer.id, *answer, now);
    if (query.kind == Kind::find_providers) take_providers(query, request.peer.id, *answer, now);
    query.lookup.on_answer(request.peer.id, request.path,
                           usable(std::move(answer->closer_peers), now));
}

std::vector<PeerInfo> Kad::usable(std::vector<PeerInfo> peers, Now now) const {
    std::erase_if(peers, [this, now](PeerInfo& peer) {
        if (peer.id == options_.self.id || !admits(peer.id)) return true;
        std::erase_if(peer.addresses, [&](wire::Multiaddr const& address) {
            return !is_reachable(options_.reach, address) ||
                   failed_.has(peer.id, address, now.instant);
        });
        return peer.addresses.empty() && !ready_.contains(peer.id) && !table_.find(peer.id);
    });
    return peers;
}

void Kad::take_value(Query& query, PeerId const& from, Message const& answer, Now now) {
    if (!answer.record) return;
    if (answer.record->key != query.key)
        return report(from, query.key,
                      {.code = Code::invalid, .message = "record: of another key than asked for"});
    auto record = checker_.check(query.key, answer.record->value, now.wall);
    if (!record) return report(from, query.key, record.error());
    bool const better = !query.best || checker_.is_better(*record, *query.best);
    if (!KITH_GUARD("S25.newest", better)) return;  // an honest peer may be late
    query.best = std::move(*record);
    query.best_from = from;
}

// The best record of a query is remembered while an older one could still be shown: whoever keeps
// one of those, equally valid, cannot pass it off on us later (S25).
Status Kad::check_seen(std::optional<VerifiedRecord> const& record, Now now) {
    if (!record || !record->stamp()) return {};
    auto const known = seen_.find(record->key());
    bool const is_known = known != seen_.end() && now.instant < known->second.until;
    if (is_known) {
        auto const& seen = known->second;
        bool const newer =
            std::tie(*record->stamp(), record->value()) >= std::tie(seen.stamp, seen.value);
        if (!KITH_GUARD("S25.seen", newer))
            return fail(Code::conflict, "record: older than one that was read before");
    }
    if (!is_known && seen_.size() >= seen_records_max)
        seen_.erase(std::ranges::min_element(seen_, {},
                                             [](auto const& entry) { return entry.second.until; }));
    if (!next_tick_) next_tick_ = now.instant + tick_interval;
    seen_.insert_or_assign(record->key(),
                           Seen{.stamp = *record->stamp(),
                                .value = record->value(),
                                .until = now.instant + std::chrono::seconds(record_seconds_max)});
    return {};
}

void Kad::take_providers(Query& query, PeerId const& from, Message const& answer, Now now) {
    for (auto const& entry : answer.provider_peers) {
        if (query.providers.size() >= providers_found_max) return;
        auto provider = checker_.check_provider(query.key, entry, now.wall);
        if (!provider) {
            report(from, query.key, provider.error());
            continue;
        }
        auto info = provider->info();
        keep_reachable(options_.reach, info.peer.addresses);
        query.providers.try_emplace(info.peer.id, std::move(info));
    }
}

}  // namespace kith::proto::kad
