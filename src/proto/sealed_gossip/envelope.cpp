#include "proto/sealed_gossip/envelope.h"

#include <algorithm>

#include "base/sabotage.h"
#include "crypto/constant_time.h"
#include "identity/contexts.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace kith::proto::sealed_gossip {

using base::as_bytes;
using base::Bytes;
using base::ByteView;
using base::Code;
using base::fail;
using base::Result;
using base::Status;
using base::UnixTime;
using identity::NodeId;

namespace {

constexpr std::uint8_t version = 1;
constexpr std::size_t signature_bytes = sizeof(crypto::Ed25519Signature);

crypto::AeadNonce nonce_of(std::uint64_t counter) {
    crypto::AeadNonce nonce{};
    base::store_be<std::uint64_t>(base::MutableByteView(nonce).subspan(4), counter);
    return nonce;
}

std::unexpected<Refusal> refuse(Fault fault, Code code, std::string message,
                                std::optional<NodeId> origin = {}) {
    return std::unexpected<Refusal>(
        Refusal{.error = {code, std::move(message)}, .fault = fault, .origin = origin});
}

}  // namespace

Bytes signed_statement(SwarmId const& swarm, std::string_view topic,
                       ByteView header_and_ciphertext) {
    wire::Writer statement;
    statement.bytes(as_bytes(identity::context::sealed_gossip)).bytes(swarm);
    statement.prefixed_u16(as_bytes(topic)).bytes(header_and_ciphertext);
    return statement.take();
}

// ---- sealing ----

Sealer::Sealer(SwarmId const& swarm, crypto::Secret<32> const& swarm_secret,
               identity::Identity const& self, BootNonce const& boot)
    : swarm_(swarm), swarm_secret_(swarm_secret.clone()), self_(self), boot_(boot) {}

Result<Bytes> Sealer::seal_signed(std::string_view topic, ByteView content, UnixTime now) {
    if (content.size() > content_bytes_max || topic.size() > topic_bytes_max)
        return fail(Code::too_large, "sealed gossip: content or topic is too long");
    if (counter_ >= counter_max) return fail(Code::too_large, "sealed gossip: counter used up");
    bool const stuck = KITH_GUARD("S3.gossip_counter", false);  // never, but in a twin of the test
    auto const counter = stuck ? counter_ : counter_++;
    EpochKey const epoch(swarm_, swarm_secret_, epoch_of(now));
    wire::Writer header;
    header.u8(version).u64(epoch.epoch()).bytes(epoch.id()).bytes(self_.node_id().bytes);
    header.bytes(boot_).u64(counter);
    wire::Writer body;
    body.u64(static_cast<std::uint64_t>(base::seconds(now))).bytes(content);

    Bytes envelope = header.take();
    envelope.resize(header_bytes + body.view().size() + crypto::aead_tag_bytes);
    crypto::ChaCha20Poly1305 cipher(epoch.sender_key(topic, self_.node_id(), boot_));
    KITH_TRY(cipher.seal(nonce_of(counter), ByteView(envelope).first(header_bytes), body.view(),
                         base::MutableByteView(envelope).subspan(header_bytes)));
    base::append(envelope, self_.sign_operational(signed_statement(swarm_, topic, envelope)));
    return envelope;
}

// ---- opening ----

// The fixed fields of an envelope; views into it.
struct Opener::Parts {
    std::uint64_t epoch = 0;
    EpochId epoch_id{};
    NodeId sender;
    BootNonce boot{};
    std::uint64_t counter = 0;
    ByteView header, ciphertext, signed_bytes;
    crypto::Ed25519Signature signature{};

    static Result<Parts> cut(ByteView envelope) {
        if (envelope.size() < overhead_bytes)
            return fail(Code::invalid, "sealed gossip: too short");
        if (envelope.size() > overhead_bytes + content_bytes_max)
            return fail(Code::too_large, "sealed gossip: too long");
        Parts parts;
        wire::Reader reader(envelope);
        if (KITH_TRY(reader.u8()) != version)
            return fail(Code::invalid, "sealed gossip: unknown version");
        parts.epoch = KITH_TRY(reader.u64());
        parts.epoch_id = KITH_TRY(reader.array<32>());
        parts.sender.bytes = KITH_TRY(reader.array<32>());
        parts.boot = KITH_TRY(reader.array<16>());
        parts.counter = KITH_TRY(reader.u64());
        parts.header = envelope.first(header_bytes);
        parts.signed_bytes = envelope.first(envelope.size() - signature_bytes);
        parts.ciphertext = parts.signed_bytes.subspan(header_bytes);
        std::ranges::copy(envelope.last(signature_bytes), parts.signature.begin());
        return parts;
    }
};

Opener::Opener(SwarmId const& swarm, crypto::Secret<32> const& swarm_secret)
    : swarm_(swarm), swarm_secret_(swarm_secret.clone()) {}

Status Opener::set_members(std::span<NodeId const> members) {
    if (members.size() > members_max)
        return fail(Code::too_large, "sealed gossip: too many members");
    members_ = std::set<NodeId>(members.begin(), members.end());
    return {};
}

EpochKey const& Opener::key_of(std::uint64_t epoch, std::uint64_t epoch_now) {
    std::erase_if(keys_, [epoch_now](EpochKey const& key) {
        return key.epoch() + 1 < epoch_now || key.epoch() > epoch_now + 1;
    });
    auto const known = std::ranges::find(keys_, epoch, &EpochKey::epoch);
    if (known != keys_.end()) return *known;
    return keys_.emplace_back(swarm_, swarm_secret_, epoch);
}

Opened<VerifiedGossip> Opener::open(std::string_view topic, ByteView envelope, UnixTime now) {
    if (topic.size() > topic_bytes_max)
        return refuse(Fault::relay, Code::too_large, "sealed gossip: topic is too long");
    auto const parts = Parts::cut(envelope);
    if (!parts) return refuse(Fault::relay, parts.error().code, parts.error().message);
    bool const is_signed = crypto::ed25519_verify(
        parts->sender.bytes, signed_statement(swarm_, topic, parts->signed_bytes),
        parts->signature);
    if (!KITH_GUARD("S11.origin_signature", is_signed))
        return refuse(Fault::relay, Code::unauthorized,
                      "sealed gossip: not signed by the member it names");
    return open_signed(topic, *parts, now);
}

Opened<VerifiedGossip> Opener::open_signed(std::string_view topic, Parts const& parts,
                                           UnixTime now) {
    auto const& origin = parts.sender;
    if (!KITH_GUARD("S11.member", members_.contains(origin)))
        return refuse(Fault::nobody, Code::forbidden, "sealed gossip: not a member", origin);
    auto const epoch_now = epoch_of(now);
    bool const is_near =
        parts.epoch >= 1 && parts.epoch <= epoch_now + 1 && parts.epoch + 1 >= epoch_now;
    if (!KITH_GUARD("S14.epoch", is_near))
        return refuse(Fault::nobody, Code::timeout, "sealed gossip: not of this hour", origin);
    auto const& key = key_of(parts.epoch, epoch_now);
    if (!crypto::constant_time_equal(key.id(), parts.epoch_id))
        return refuse(Fault::nobody, Code::conflict, "sealed gossip: under another secret", origin);
    if (parts.counter >= counter_max)
        return refuse(Fault::origin, Code::invalid, "sealed gossip: impossible counter", origin);
    replays_.expire(now);
    if (auto const status = replays_.check(origin, parts.boot, parts.counter);
        !KITH_GUARD("S42.replay", status.has_value()))
        return refuse(Fault::nobody, status.error().code, status.error().message, origin);

    Bytes body(parts.ciphertext.size() - crypto::aead_tag_bytes);
    crypto::ChaCha20Poly1305 cipher(key.sender_key(topic, origin, parts.boot));
    if (!cipher.open(nonce_of(parts.counter), parts.header, parts.ciphertext, body))
        return refuse(Fault::origin, Code::unauthorized, "sealed gossip: cannot be opened", origin);
    auto const sealed_at = static_cast<std::int64_t>(base::load_be<std::uint64_t>(body));
    // Compared without subtracting what a peer chose: it may be any 64-bit number.
    if (!KITH_GUARD("S42.not_old", sealed_at >= base::seconds(now) - age_seconds_max))
        return refuse(Fault::nobody, Code::timeout, "sealed gossip: too old", origin);
    if (!KITH_GUARD("S42.not_ahead", sealed_at <= base::seconds(now) + ahead_seconds_max))
        return refuse(Fault::nobody, Code::timeout, "sealed gossip: from the future", origin);
    replays_.accept(origin, parts.boot, parts.counter,
                    UnixTime{base::seconds(now) + age_seconds_max + ahead_seconds_max});
    body.erase(body.begin(), body.begin() + time_bytes);
    return VerifiedGossip(origin, std::string(topic), std::move(body), UnixTime{sealed_at});
}

}  // namespace kith::proto::sealed_gossip
