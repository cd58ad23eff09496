#include "proto/kad/responder.h"

#include <algorithm>

#include "base/sabotage.h"

namespace kith::proto::kad {

using base::ByteView;
using base::Code;
using base::fail;
using base::Result;
using base::Status;
using identity::PeerId;

Result<std::optional<Message>> Responder::answer(PeerId const& from, Message const& request,
                                                 Now now) {
    switch (request.type) {
        case MessageType::put_value:
            return KITH_TRY(put_value(from, request, now));
        case MessageType::get_value:
            return KITH_TRY(get_value(from, request, now));
        case MessageType::add_provider:
            KITH_TRY(add_provider(from, request, now));
            return std::nullopt;
        case MessageType::get_providers:
            return KITH_TRY(get_providers(from, request, now));
        case MessageType::find_node:
            return KITH_TRY(find_node(from, request));
        case MessageType::ping: {
            Message echo;
            echo.type = MessageType::ping;
            return echo;
        }
    }
    return fail(Code::unsupported, "kad: unknown message type");
}

std::vector<PeerInfo> Responder::closer(PeerId const& from, ByteView key) const {
    auto peers = table_.closest(Key::of(key), 2 * bucket_peers_max);
    // A peer that can only be reached over its connection to us is of no use to others.
    std::erase_if(
        peers, [&from](PeerInfo const& peer) { return peer.id == from || peer.addresses.empty(); });
    if (peers.size() > bucket_peers_max) peers.resize(bucket_peers_max);
    return peers;
}

Result<Message> Responder::find_node(PeerId const& from, Message const& request) const {
    if (request.key.empty()) return fail(Code::invalid, "kad: FIND_NODE without a key");
    Message answer;
    answer.type = MessageType::find_node;
    answer.closer_peers = closer(from, request.key);
    if (base::equal(request.key, self_.id.to_multihash()))
        answer.closer_peers.insert(answer.closer_peers.begin(), self_);
    return answer;
}

Result<Message> Responder::get_value(PeerId const& from, Message const& request, Now now) const {
    if (request.key.empty()) return fail(Code::invalid, "kad: GET_VALUE without a key");
    Message answer;
    answer.type = MessageType::get_value;
    answer.key = request.key;
    if (auto const* const record = store_.find(request.key, now))
        answer.record = Record{.key = record->key(), .value = record->value()};
    answer.closer_peers = closer(from, request.key);
    return answer;
}

Result<Message> Responder::put_value(PeerId const& from, Message const& request, Now now) {
    if (!request.record) return fail(Code::invalid, "kad: PUT_VALUE without a record");
    if (request.record->key != request.key)
        return fail(Code::invalid, "kad: PUT_VALUE with a record of another key");
    auto record = KITH_TRY(checker_.check(request.key, request.record->value, now.wall));
    KITH_TRY(store_.put(std::move(record), from, checker_, now));
    Message answer;
    answer.type = MessageType::put_value;
    answer.key = request.key;
    answer.record = request.record;
    return answer;
}

Status Responder::add_provider(PeerId const& from, Message const& request, Now now) {
    if (request.key.empty() || request.key.size() > provider_key_bytes_max)
        return fail(Code::invalid, "kad: ADD_PROVIDER without a multihash");
    Status status = fail(Code::invalid, "kad: ADD_PROVIDER without an entry of its sender");
    bool is_one_stored = false;
    for (auto entry : request.provider_peers) {
        if (!KITH_GUARD("S24.sender", entry.peer.id == from)) continue;
        keep_reachable(reach_, entry.peer.addresses);
        if (entry.peer.addresses.empty()) continue;
        auto provider = checker_.check_provider(request.key, std::move(entry), now.wall);
        status = provider ? store_.add_provider(std::move(*provider), from, now)
                          : Status(std::unexpected(provider.error()));
        is_one_stored = is_one_stored || status.has_value();
    }
    return is_one_stored ? Status{} : status;
}

Result<Message> Responder::get_providers(PeerId const& from, Message const& request,
                                         Now now) const {
    if (request.key.empty() || request.key.size() > provider_key_bytes_max)
        return fail(Code::invalid, "kad: GET_PROVIDERS without a multihash");
    Message answer;
    answer.type = MessageType::get_providers;
    answer.key = request.key;
    answer.provider_peers = store_.providers(request.key, now);
    answer.closer_peers = closer(from, request.key);
    return answer;
}

}  // namespace kith::proto::kad
