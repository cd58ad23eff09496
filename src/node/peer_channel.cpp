#include "node/peer_channel.h"

#include "base/check.h"
#include "base/sabotage.h"
#include "crypto/kdf.h"
#include "schema/wire.pb.h"
#include "wire/writer.h"

namespace kith::node {

using base::Code;
using base::fail;
using proto::session::Lane;
using proto::session::Side;
namespace noise = proto::noise;

namespace {

constexpr std::uint8_t tag_exchange = 0x02;
constexpr std::size_t exchange_bytes_max = 8 * 1024;  // room for an ML-KEM share and ciphertext

}  // namespace

PeerChannel::PeerChannel(Side side, Parties const& parties, base::Instant now)
    : side_(side), parties_(parties), reader_(peer_frame_bytes_max), created_(now) {}

base::Result<noise::HandshakeState> PeerChannel::make_handshake(
    std::uint32_t key_id, crypto::Secret<32> const& ephemeral) const {
    auto const pattern = KITH_TRY(noise::find_pattern("IKpsk2"));
    bool const initiator = side_ == Side::initiator;
    auto const self = parties_.self.node_id();
    wire::Writer prologue;  // both ids, both roles, the swarm and the key number are bound into the
                            // handshake
    prologue.bytes(base::as_bytes("kith/tier1/v1"))
        .bytes(parties_.swarm_id)
        .bytes((initiator ? self : parties_.peer).bytes)
        .bytes((initiator ? parties_.peer : self).bytes)
        .u32(key_id);
    // P9: whoever lacks the swarm secret cannot finish this handshake.
    auto const psk = crypto::hkdf_sha256<32>(parties_.swarm_id, parties_.swarm_secret.view(),
                                             base::as_bytes("kith/tier1/psk/v1"));
    noise::HandshakeKeys keys;
    keys.static_key = &parties_.self.static_private_key();
    keys.ephemeral_key = &ephemeral;
    if (initiator) keys.remote_static = parties_.peer_static;
    keys.psks[0] = &psk;
    return noise::HandshakeState(initiator ? noise::Role::initiator : noise::Role::responder,
                                 pattern, noise::Cipher::chacha_poly, prologue.view(), keys);
}

base::Status PeerChannel::start(crypto::Secret<32> const& ephemeral, base::Instant now) {
    KITH_ASSERT(side_ == Side::initiator);
    auto const key_id = std::max(keyring_.next_key_id(), pending_ ? pending_->key_id + 1 : 1);
    auto handshake = KITH_TRY(make_handshake(key_id, ephemeral));
    base::Bytes message;
    KITH_TRY(handshake.write_message({}, message));
    pending_.emplace(Pending{.key_id = key_id, .handshake = std::move(handshake), .since = now});
    queue_exchange(key_id, message);
    return {};
}

void PeerChannel::queue_exchange(std::uint32_t key_id, base::ByteView message) {
    ::kith::wire::v1::EphemeralKeyExchange exchange;
    exchange.set_node_id(base::to_text(parties_.self.node_id().bytes));
    exchange.set_key_id(key_id);
    exchange.set_noise_message(base::to_text(message));
    base::Bytes frame{tag_exchange};
    base::append(frame, base::as_bytes(exchange.SerializeAsString()));
    wire::append_frame(out_, frame);
}

base::Status PeerChannel::feed(base::ByteView bytes, crypto::Secret<32> const& ephemeral,
                               base::Instant now) {
    while (!bytes.empty()) {
        auto frame = KITH_TRY(reader_.next(bytes));
        if (!frame) break;
        KITH_TRY(on_frame(std::move(*frame), ephemeral, now));
    }
    return {};
}

base::Status PeerChannel::on_frame(base::Bytes frame, crypto::Secret<32> const& ephemeral,
                                   base::Instant now) {
    if (frame.empty()) return fail(Code::invalid, "a member sent an empty frame");
    if (frame[0] == tag_exchange)
        return on_exchange(base::ByteView(frame).subspan(1), ephemeral, now);
    opened_.push_back(KITH_TRY(keyring_.open(frame, now)));
    return flush_waiting();
}

base::Status PeerChannel::on_exchange(base::ByteView body, crypto::Secret<32> const& ephemeral,
                                      base::Instant now) {
    if (body.size() > exchange_bytes_max)
        return fail(Code::too_large, "a key exchange message is too large");
    ::kith::wire::v1::EphemeralKeyExchange exchange;
    if (!exchange.ParseFromArray(body.data(), static_cast<int>(body.size())))
        return fail(Code::invalid, "a key exchange message is malformed");
    bool const by_peer = base::equal(base::as_bytes(exchange.node_id()), parties_.peer.bytes);
    if (!KITH_GUARD("S21.sender", by_peer))
        return fail(Code::unauthorized,
                    "a key exchange names another sender than the one it came from");
    auto const message = base::as_bytes(exchange.noise_message());
    return side_ == Side::responder ? on_offer(exchange.key_id(), message, ephemeral, now)
                                    : on_answer(exchange.key_id(), message, now);
}

base::Status PeerChannel::on_offer(std::uint32_t key_id, base::ByteView message,
                                   crypto::Secret<32> const& ephemeral, base::Instant now) {
    auto handshake = KITH_TRY(make_handshake(key_id, ephemeral));
    base::Bytes payload;
    KITH_TRY(handshake.read_message(message, payload));
    bool const bound = handshake.remote_static() == parties_.peer_static;
    if (!KITH_GUARD("E4.static_key", bound))
        return fail(Code::unauthorized,
                    "a member's session key is not the one in its signed binding");
    base::Bytes answer;
    KITH_TRY(handshake.write_message({}, answer));
    KITH_TRY(install(key_id, handshake, now));
    queue_exchange(key_id, answer);
    return {};
}

base::Status PeerChannel::on_answer(std::uint32_t key_id, base::ByteView message,
                                    base::Instant now) {
    if (!pending_ || pending_->key_id != key_id) return {};  // late answer to an offer we gave up
    base::Bytes payload;
    KITH_TRY(pending_->handshake.read_message(message, payload));
    KITH_TRY(install(key_id, pending_->handshake, now));
    pending_.reset();
    // The responder sends only after the first sealed frame, so send one even when nothing waits.
    if (waiting_.empty()) waiting_.push_back({Lane::control, {}});
    return flush_waiting();
}

base::Status PeerChannel::install(std::uint32_t key_id, noise::HandshakeState& handshake,
                                  base::Instant now) {
    auto keys = handshake.split_keys();
    return keyring_.install(key_id,
                            {.send = std::move(keys.send),
                             .receive = std::move(keys.receive),
                             .handshake_hash = keys.handshake_hash},
                            side_, now);
}

base::Status PeerChannel::send(Lane lane, base::Bytes plaintext) {
    if (plaintext.size() > peer_frame_bytes_max - proto::session::overhead_bytes)
        return fail(Code::too_large, "a message to a member is larger than a frame may be");
    if (!ready()) {
        if (waiting_.size() >= channel_waiting_max)
            return fail(Code::unavailable,
                        "the session with this member is not ready and too much waits for it");
        waiting_.push_back({lane, std::move(plaintext)});
        return {};
    }
    return seal_now(lane, plaintext);
}

base::Status PeerChannel::seal_now(Lane lane, base::ByteView plaintext) {
    if (out_.size() - out_taken_ > channel_out_bytes_max)
        return fail(Code::unavailable, "this member does not take what it was sent before");
    base::Bytes frame;
    KITH_TRY(keyring_.seal(lane, plaintext, frame));
    wire::append_frame(out_, frame);
    return {};
}

base::Status PeerChannel::flush_waiting() {
    while (ready() && !waiting_.empty()) {
        KITH_TRY(seal_now(waiting_.front().lane, waiting_.front().plaintext));
        waiting_.pop_front();
    }
    return {};
}

std::optional<proto::session::Opened> PeerChannel::poll_message() {
    while (!opened_.empty()) {
        auto message = std::move(opened_.front());
        opened_.pop_front();
        if (!message.bytes().empty()) return message;  // empty: only confirms a key
    }
    return std::nullopt;
}

void PeerChannel::taken(std::size_t size) {
    out_taken_ += size;
    if (out_taken_ == out_.size()) {
        out_.clear();
        out_taken_ = 0;
    } else if (out_taken_ > 1024 * 1024) {
        out_.erase(out_.begin(), out_.begin() + static_cast<std::ptrdiff_t>(out_taken_));
        out_taken_ = 0;
    }
}

bool PeerChannel::rekey_due(base::Instant now) const {
    if (side_ != Side::initiator || !keyring_.rekey_due(now)) return false;
    return !pending_ || now >= pending_->since + offer_lives;
}

base::Status PeerChannel::on_deadline(base::Instant now) {
    keyring_.drop_retired(now);
    if (!ready() && now >= created_ + handshake_timeout)
        return fail(Code::timeout, "a member did not answer the session handshake within 10 s");
    return {};
}

}  // namespace kith::node
