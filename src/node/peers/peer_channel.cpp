#include "node/peers/peer_channel.h"

#include "base/check.h"
#include "base/sabotage.h"
#include "crypto/kdf.h"
#include "node/dispatch/dispatch_rules.h"
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
constexpr std::size_t exchange_bytes_max = 8 * 1024;
constexpr std::uint32_t no_key = 0;                  // ids begin at 1
constexpr std::uint32_t key_ids_skipped_max = 1000;  // an honest peer skips those of lost offers

template <std::size_t N>
base::Result<crypto::Secret<N>> draw(ports::Rng& rng) {
    crypto::Secret<N> out;
    KITH_TRY(rng.fill(out.mutable_view()));
    return out;
}

}  // namespace

PeerChannel::PeerChannel(Parties const& parties, base::Instant now)
    : parties_(parties),
      peer_root_id_(identity::RootId::of(parties.peer.root)),
      keyring_(parties.frames_per_key_max),
      offers_since_(now),
      reader_(peer_frame_bytes_max),
      created_(now) {}

// P9: whoever lacks the swarm secret cannot finish a handshake. `chained`: the exporter of the
// session's key before, so that a later handshake that is broken is not enough either.
crypto::Secret<32> PeerChannel::psk(crypto::Secret<32> const* chained) const {
    crypto::SecretBytes input(chained != nullptr ? 64 : 32);
    std::ranges::copy(parties_.swarm_secret.view(), input.mutable_view().begin());
    bool const weakened = KITH_GUARD("P9.secret", false);  // never, but in a twin of the test
    if (weakened) std::ranges::fill(input.mutable_view().first(32), std::uint8_t{0});
    if (chained != nullptr) std::ranges::copy(chained->view(), input.mutable_view().begin() + 32);
    return crypto::hkdf_sha256<32>(parties_.swarm_id, input.view(),
                                   base::as_bytes("kith/tier1/psk/v2"));
}

base::Result<noise::HandshakeState> PeerChannel::make_handshake(
    noise::Role role, std::uint32_t key_id, std::uint32_t chained_key_id) const {
    auto const pattern = KITH_TRY(noise::find_pattern("IKhfs+psk2"));
    bool const initiator = role == noise::Role::initiator;
    auto const* chained = chained_key_id == no_key ? nullptr : keyring_.exporter(chained_key_id);
    if (chained_key_id != no_key && chained == nullptr)
        return fail(Code::conflict, "a key exchange builds on a key that is not there");
    auto const self = parties_.self.node_id();
    wire::Writer prologue;  // both ids, both roles, the swarm and the key numbers are bound into
                            // the handshake
    prologue.bytes(base::as_bytes("kith/tier1/v2"))
        .bytes(parties_.swarm_id)
        .bytes((initiator ? self : parties_.peer.node).bytes)
        .bytes((initiator ? parties_.peer.node : self).bytes)
        .u32(key_id)
        .u32(chained_key_id);
    auto const secret = psk(chained);
    auto const ephemeral = KITH_TRY(draw<32>(parties_.rng));
    auto const kem_seed = KITH_TRY(draw<64>(parties_.rng));
    auto const kem_random = KITH_TRY(draw<32>(parties_.rng));
    noise::HandshakeKeys keys;
    keys.static_key = &parties_.self.static_private_key();
    keys.ephemeral_key = &ephemeral;
    if (initiator) keys.remote_static = parties_.peer.static_key;
    keys.psks[0] = &secret;
    keys.kem_seed = &kem_seed;
    keys.kem_random = &kem_random;
    return noise::HandshakeState(role, pattern, noise::Cipher::chacha_poly, prologue.view(), keys);
}

std::uint32_t PeerChannel::next_key_id() const {
    auto const next = std::max(keyring_.next_key_id(), pending_ ? pending_->key_id + 1 : 1);
    bool const is_odd = next % 2 == 1;
    return is_odd == offers_first() ? next : next + 1;
}

base::Status PeerChannel::offer(base::Instant now) {
    quiet_until_ = {};
    auto const key_id = next_key_id();
    auto const sending = keyring_.sending_key();
    auto const chained = sending ? sending->id : no_key;
    auto handshake = KITH_TRY(make_handshake(noise::Role::initiator, key_id, chained));
    base::Bytes message;
    KITH_TRY(handshake.write_message({}, message));
    pending_.emplace(Pending{.key_id = key_id, .handshake = std::move(handshake), .since = now});
    ::kith::wire::v1::EphemeralKeyExchange exchange;
    exchange.set_key_id(key_id);
    exchange.set_chained_key_id(chained);
    exchange.set_noise_message(base::to_text(message));
    queue_exchange(exchange);
    return {};
}

void PeerChannel::queue_exchange(::kith::wire::v1::EphemeralKeyExchange const& exchange) {
    auto named = exchange;
    named.set_node_id(base::to_text(parties_.self.node_id().bytes));
    base::Bytes frame{tag_exchange};
    base::append(frame, base::as_bytes(named.SerializeAsString()));
    wire::append_frame(out_, frame);
}

base::Status PeerChannel::feed(base::ByteView bytes, base::Instant now) {
    quiet_until_ = {};
    forget_old_offer(now);
    while (!bytes.empty()) {
        auto frame = KITH_TRY(reader_.next(bytes));
        if (!frame) break;
        KITH_TRY(on_frame(std::move(*frame), now));
    }
    return {};
}

base::Status PeerChannel::on_frame(base::Bytes frame, base::Instant now) {
    if (frame.empty()) return fail(Code::invalid, "a member sent an empty frame");
    if (frame[0] == tag_exchange) return on_exchange(base::ByteView(frame).subspan(1), now);
    auto opened = KITH_TRY(keyring_.open(frame, now));
    KITH_TRY(on_key_usable(now));  // the first frame under a new key lets us answer under it
    KITH_TRY(on_opened(std::move(opened), now));
    return flush_waiting();
}

base::Status PeerChannel::on_opened(proto::session::Opened opened, base::Instant now) {
    if (opened.lane() == Lane::proof) return on_proof(opened, now);
    if (!KITH_GUARD("E4.root_proof", peer_proof_at_.has_value()))
        return fail(Code::unauthorized, "a member spoke before it proved its root key");
    if (!opened.bytes().empty()) opened_.push_back(std::move(opened));  // empty: confirms a key
    return {};
}

RootProofSubject PeerChannel::proof_subject(std::uint32_t key_id, bool by_self) const {
    auto const own_side = keyring_.side(key_id).value_or(Side::initiator);
    auto const peer_side = own_side == Side::initiator ? Side::responder : Side::initiator;
    auto const* hash = keyring_.handshake_hash(key_id);
    RootProofSubject subject{.swarm_id = parties_.swarm_id,
                             .signer_side = by_self ? own_side : peer_side,
                             .signer_root = parties_.self.root_id(),
                             .peer_root = peer_root_id_,
                             .signer_node = parties_.self.node_id(),
                             .peer_node = parties_.peer.node,
                             .key_id = key_id,
                             .handshake_hash = hash != nullptr ? *hash : base::ByteArray<32>{}};
    if (!by_self) {
        std::swap(subject.signer_root, subject.peer_root);
        std::swap(subject.signer_node, subject.peer_node);
    }
    return subject;
}

base::Status PeerChannel::on_proof(proto::session::Opened const& opened, base::Instant now) {
    bool const proved =
        check_root_proof(proof_subject(opened.key_id(), false), parties_.peer.root, opened.bytes());
    if (!KITH_GUARD("E4.root_signature", proved))
        return fail(Code::unauthorized,
                    "a member's root key does not stand behind its session (wrong signature)");
    peer_proof_at_ = now;
    return {};
}

base::Status PeerChannel::send_proof(std::uint32_t key_id, base::Instant now) {
    auto const random = KITH_TRY(draw<32>(parties_.rng));
    auto const proof =
        KITH_TRY(make_root_proof(proof_subject(key_id, true), parties_.self, random));
    own_proof_at_ = now;
    return seal_now(Lane::proof, proof);
}

base::Status PeerChannel::on_key_usable(base::Instant now) {
    auto const key = keyring_.sending_key();
    if (!key || key->id == last_key_used_) return {};
    last_key_used_ = key->id;
    if (!own_proof_at_ || now >= *own_proof_at_ + root_proof_every) return send_proof(key->id, now);
    // The responder sends only after the first sealed frame, so send one even when nothing waits.
    bool const confirm = keyring_.side(key->id) == Side::initiator && waiting_.empty();
    return confirm ? seal_now(Lane::control, {}) : base::Status{};
}

base::Status PeerChannel::on_exchange(base::ByteView body, base::Instant now) {
    if (body.size() > exchange_bytes_max)
        return fail(Code::too_large, "a key exchange message is too large");
    ::kith::wire::v1::EphemeralKeyExchange exchange;
    if (!exchange.ParseFromArray(body.data(), static_cast<int>(body.size())))
        return fail(Code::invalid, "a key exchange message is malformed");
    bool const by_peer = may_say(MessageKind::key_exchange, parties_.peer.node, exchange.node_id());
    if (!KITH_GUARD("S21.sender", by_peer)) {
        ++false_claims_count_;
        return {};
    }
    return exchange.is_answer() ? on_answer(exchange, now) : on_offer(exchange, now);
}

bool PeerChannel::accepts_another_offer(base::Instant now) {
    if (now >= offers_since_ + std::chrono::minutes(1)) {
        offers_since_ = now;
        offers_count_ = 0;
    }
    return ++offers_count_ <= offers_per_minute_max;
}

base::Status PeerChannel::on_offer(::kith::wire::v1::EphemeralKeyExchange const& offer,
                                   base::Instant now) {
    if (!KITH_GUARD("S6.offers", accepts_another_offer(now)))
        return fail(Code::too_large, "a member offers new session keys without end");
    auto const next = keyring_.next_key_id();
    if (offer.key_id() < next) return {};  // overtaken by a newer key
    bool const near = offer.key_id() - next <= key_ids_skipped_max;
    if (!KITH_GUARD("S6.leaps", near))
        return fail(Code::invalid, "a member numbers its session keys in leaps");
    auto handshake =
        KITH_TRY(make_handshake(noise::Role::responder, offer.key_id(), offer.chained_key_id()));
    base::Bytes payload;
    KITH_TRY(handshake.read_message(base::as_bytes(offer.noise_message()), payload));
    bool const bound = handshake.remote_static() == parties_.peer.static_key;
    if (!KITH_GUARD("E4.static_key", bound))
        return fail(Code::unauthorized,
                    "a member's session key is not the one in its signed binding");
    base::Bytes message;
    KITH_TRY(handshake.write_message({}, message));
    KITH_TRY(install(offer.key_id(), handshake, Side::responder, now));
    ::kith::wire::v1::EphemeralKeyExchange answer;
    answer.set_key_id(offer.key_id());
    answer.set_is_answer(true);
    answer.set_noise_message(base::to_text(message));
    queue_exchange(answer);
    return {};
}

base::Status PeerChannel::on_answer(::kith::wire::v1::EphemeralKeyExchange const& answer,
                                    base::Instant now) {
    if (!pending_ || pending_->key_id != answer.key_id())
        return {};                                   // late, to an offer we gave up
    if (answer.key_id() < keyring_.next_key_id()) {  // overtaken by an offer of the peer
        pending_.reset();
        return {};
    }
    base::Bytes payload;
    KITH_TRY(pending_->handshake.read_message(base::as_bytes(answer.noise_message()), payload));
    KITH_TRY(install(answer.key_id(), pending_->handshake, Side::initiator, now));
    pending_.reset();
    KITH_TRY(on_key_usable(now));
    return flush_waiting();
}

base::Status PeerChannel::install(std::uint32_t key_id, noise::HandshakeState& handshake, Side side,
                                  base::Instant now) {
    auto keys = handshake.split_keys();
    return keyring_.install(key_id,
                            {.send = std::move(keys.send),
                             .receive = std::move(keys.receive),
                             .handshake_hash = keys.handshake_hash},
                            side, now);
}

bool PeerChannel::ready() const {
    return keyring_.sending_key() && peer_proof_at_;
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
    quiet_until_ = {};  // the key may be nearly used up now
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
    if (opened_.empty()) return std::nullopt;
    auto message = std::move(opened_.front());
    opened_.pop_front();
    return message;
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

base::Instant PeerChannel::quiet_until() const {
    auto const key = keyring_.sending_key();
    if (!ready() || pending_ || key->nearly_used_up) return {};
    auto const until = std::min(key->installed + rekey_after, *peer_proof_at_ + root_proof_age_max);
    return std::min(until, keyring_.next_retirement().value_or(until));
}

bool PeerChannel::rekey_due(base::Instant now) const {
    if (now < quiet_until_) return false;
    auto const key = keyring_.sending_key();
    if (!key || pending_) return false;
    static_assert(rekey_after < rekey_late);
    auto const age = now - key->installed;
    bool const due = age >= rekey_after && (offers_first() || age >= rekey_late);
    bool const young = !due && !key->nearly_used_up;
    return !KITH_GUARD("S2.rekey", young);
}

void PeerChannel::forget_old_offer(base::Instant now) {
    if (pending_ && !KITH_GUARD("S6.expiry", now < pending_->since + offer_lives)) pending_.reset();
}

base::Status PeerChannel::on_deadline(base::Instant now) {
    if (now < quiet_until_) return {};
    keyring_.drop_retired(now);
    forget_old_offer(now);
    if (!ready()) {
        if (now >= created_ + handshake_timeout)
            return fail(Code::timeout, "a member did not finish the session handshake within 10 s");
        return {};
    }
    bool const young = now < keyring_.sending_key()->installed + key_age_max;
    if (!KITH_GUARD("S2.age", young))
        return fail(Code::timeout, "a member did not agree to a new session key for 15 minutes");
    bool const proved = now < *peer_proof_at_ + root_proof_age_max;
    if (!KITH_GUARD("E4.proof_age", proved))
        return fail(Code::timeout, "a member did not prove its root key for a day");
    quiet_until_ = quiet_until();
    return {};
}

}  // namespace kith::node
