#include "proto/session/keyring.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "base/sabotage.h"
#include "crypto/aead.h"
#include "crypto/kdf.h"
#include "proto/session/replay_window.h"
#include "proto/session/witness.h"
#include "wire/writer.h"

namespace kith::proto::session {

using base::Code;
using base::fail;

namespace {

crypto::Secret<32> derive(crypto::Secret<32> const& secret, base::ByteView handshake_hash,
                          std::string_view label) {
    return crypto::hkdf_sha256<32>(handshake_hash, secret.view(), base::as_bytes(label));
}

base::ByteArray<12> nonce_of(std::uint64_t counter) {
    base::ByteArray<12> nonce{};
    base::store_be<std::uint64_t>(base::MutableByteView(nonce).subspan(4), counter);
    return nonce;
}

// One lane of one direction: a key, and the counter or the window over its counters.
struct LaneState {
    std::unique_ptr<crypto::Aead> aead;
    std::uint64_t counter = 0;
    ReplayWindow window;
};

// The labels bind a key to its use: no two lanes share one.
std::unique_ptr<crypto::Aead> cipher_of(Lane lane, crypto::Secret<32> const& secret,
                                        base::ByteView handshake_hash) {
    switch (lane) {
        case Lane::tensor: {
            auto const key = derive(secret, handshake_hash, "kith/tier1/tensor/v1");
            bool const weakened = KITH_GUARD("P8.aes", false);  // never, but in a twin of the test
            if (weakened) return std::make_unique<crypto::ChaCha20Poly1305>(key);
            return std::make_unique<crypto::Aes256Gcm>(key);  // C21: inside the link's ChaCha20
        }
        case Lane::control:
            return std::make_unique<crypto::ChaCha20Poly1305>(
                derive(secret, handshake_hash, "kith/tier1/control/v1"));
        case Lane::proof:
            return std::make_unique<crypto::ChaCha20Poly1305>(
                derive(secret, handshake_hash, "kith/tier1/proof/v1"));
    }
    return nullptr;
}

constexpr Lane lanes[] = {Lane::tensor, Lane::control, Lane::proof};

std::optional<Lane> lane_of(std::uint8_t tag) {
    for (auto const lane : lanes)
        if (tag == static_cast<std::uint8_t>(lane)) return lane;
    return std::nullopt;
}

class Direction {
public:
    Direction(crypto::Secret<32> const& secret, base::ByteView handshake_hash) {
        for (auto const lane : lanes) at(lane).aead = cipher_of(lane, secret, handshake_hash);
    }
    LaneState& at(Lane lane) {
        return states_[static_cast<std::uint8_t>(lane) - static_cast<std::uint8_t>(lanes[0])];
    }
    [[nodiscard]] bool is_past(std::uint64_t frames) const {
        return std::ranges::any_of(
            states_, [frames](LaneState const& state) { return state.counter >= frames; });
    }

private:
    std::array<LaneState, std::size(lanes)> states_;
};

// The direction of the handshake's initiator first, so that both sides derive the same.
crypto::Secret<32> exporter_of(KeyMaterial const& material, Side side) {
    auto const& first = side == Side::initiator ? material.send : material.receive;
    auto const& second = side == Side::initiator ? material.receive : material.send;
    crypto::Secret<64> both;
    std::ranges::copy(first.view(), both.mutable_view().begin());
    std::ranges::copy(second.view(), both.mutable_view().begin() + 32);
    return crypto::hkdf_sha256<32>(material.handshake_hash, both.view(),
                                   base::as_bytes("kith/tier1/exporter/v1"));
}

}  // namespace

struct Keyring::Entry {
    Entry(std::uint32_t key_id, KeyMaterial const& material, Side of, base::Instant now)
        : id(key_id),
          side(of),
          may_send(of == Side::initiator),
          installed(now),
          send(material.send, material.handshake_hash),
          receive(material.receive, material.handshake_hash),
          exporter(exporter_of(material, of)),
          handshake_hash(material.handshake_hash) {}

    // What is looked at every second comes first: one cache line.
    std::uint32_t id;
    Side side;
    bool may_send;
    base::Instant installed;
    std::optional<base::Instant> gone_at;
    Direction send;
    Direction receive;
    crypto::Secret<32> exporter;
    base::ByteArray<32> handshake_hash;
};

Keyring::Keyring(std::uint64_t frames_max) : frames_max_(frames_max) {}
Keyring::~Keyring() = default;
Keyring::Keyring(Keyring&&) noexcept = default;
Keyring& Keyring::operator=(Keyring&&) noexcept = default;

base::Status Keyring::install(std::uint32_t key_id, KeyMaterial const& material, Side side,
                              base::Instant now) {
    if (!entries_.empty() && key_id <= entries_.back()->id)
        return fail(Code::conflict, "a session key with an old number was offered");
    if (side == Side::initiator)
        retire_before(key_id, now);
    else  // an initiator that offers anew has given up the key it never used
        std::erase_if(entries_, [](auto const& entry) { return !entry->may_send; });
    entries_.push_back(std::make_unique<Entry>(key_id, material, side, now));
    witness_keys(material);
    if (side == Side::responder) entries_.back()->gone_at = now + unused_key_lives;
    if (entries_.size() > keys_max) entries_.erase(entries_.begin());
    return {};
}

void Keyring::retire_before(std::uint32_t key_id, base::Instant now) {
    for (auto& entry : entries_)
        if (entry->id < key_id && entry->may_send && !entry->gone_at)
            entry->gone_at = now + old_key_opens_for;
}

bool Keyring::can_send() const {
    return std::ranges::any_of(entries_, [](auto const& entry) { return entry->may_send; });
}

base::Status Keyring::seal(Lane lane, base::ByteView plaintext, base::Bytes& out) {
    auto const newest = std::find_if(entries_.rbegin(), entries_.rend(),
                                     [](auto const& entry) { return entry->may_send; });
    if (newest == entries_.rend())
        return fail(Code::unavailable, "the session with this member is not ready yet");
    auto& state = (*newest)->send.at(lane);
    if (state.counter >= frames_max_) return fail(Code::too_large, "the session key is used up");

    wire::Writer header;
    header.u8(static_cast<std::uint8_t>(lane)).u32((*newest)->id).u64(state.counter);
    auto const start = out.size();
    base::append(out, header.view());
    out.resize(start + header_bytes + plaintext.size() + 16);
    auto const sealed = base::MutableByteView(out).subspan(start + header_bytes);
    auto const nonce = nonce_of(state.counter);
    bool const stuck = KITH_GUARD("S3.counter", false);  // never, but in a twin of the test
    if (!stuck) ++state.counter;
    KITH_TRY(state.aead->seal(nonce, header.view(), plaintext, sealed));
    bool const weakened = KITH_GUARD("P8.sealed", false);  // never, but in a twin of the test
    if (weakened) std::ranges::copy(plaintext, sealed.begin());
    return {};
}

base::Result<Opened> Keyring::open(base::ByteView frame, base::Instant now) {
    if (frame.size() < overhead_bytes) return fail(Code::invalid, "a sealed frame is too short");
    auto const known = lane_of(frame[0]);
    if (!KITH_GUARD("S8.lane", known.has_value()))
        return fail(Code::invalid, "a frame with an unknown or unencrypted tag was refused");
    auto const lane = known.value_or(Lane::control);
    auto const id = base::load_be<std::uint32_t>(frame.subspan(1, 4));
    auto const counter = base::load_be<std::uint64_t>(frame.subspan(5, 8));
    drop_retired(now);
    auto const found =
        std::ranges::find_if(entries_, [&](auto const& entry) { return entry->id == id; });
    if (found == entries_.end())
        return fail(Code::invalid, "a frame is sealed under a key this node does not have");
    auto& entry = **found;
    auto& state = entry.receive.at(lane);
    bool const usable = counter < frames_max_ && state.window.is_new(counter);
    if (!KITH_GUARD("P11.replay", usable))
        return fail(Code::conflict, "a sealed frame was repeated");

    base::Bytes plaintext(frame.size() - overhead_bytes);
    bool const weakened = KITH_GUARD("P8.sealed", false);  // never, but in a twin of the test
    if (weakened)
        std::ranges::copy(frame.subspan(header_bytes).first(plaintext.size()), plaintext.begin());
    else
        KITH_TRY(state.aead->open(nonce_of(counter), frame.first(header_bytes),
                                  frame.subspan(header_bytes), plaintext));
    if (counter < frames_max_) state.window.accept(counter);
    witness({.handshake_hash = entry.handshake_hash, .side = entry.side, .frame = frame});
    if (!entry.may_send) {  // the initiator uses the new key, so it has it: answer under it from
                            // now on
        entry.may_send = true;
        entry.gone_at.reset();
        retire_before(id, now);
    }
    return Opened(lane, id, std::move(plaintext));
}

std::optional<SendingKey> Keyring::sending_key() const {
    auto const newest = std::find_if(entries_.rbegin(), entries_.rend(),
                                     [](auto const& entry) { return entry->may_send; });
    if (newest == entries_.rend()) return std::nullopt;
    return SendingKey{.id = (*newest)->id,
                      .installed = (*newest)->installed,
                      .nearly_used_up = (*newest)->send.is_past(frames_max_ / 2)};
}

Keyring::Entry const* Keyring::find(std::uint32_t key_id) const {
    auto const found =
        std::ranges::find_if(entries_, [&](auto const& entry) { return entry->id == key_id; });
    return found == entries_.end() ? nullptr : found->get();
}

crypto::Secret<32> const* Keyring::exporter(std::uint32_t key_id) const {
    auto const* entry = find(key_id);
    return entry != nullptr && entry->may_send ? &entry->exporter : nullptr;
}

base::ByteArray<32> const* Keyring::handshake_hash(std::uint32_t key_id) const {
    auto const* entry = find(key_id);
    return entry != nullptr ? &entry->handshake_hash : nullptr;
}

std::optional<Side> Keyring::side(std::uint32_t key_id) const {
    auto const* entry = find(key_id);
    return entry != nullptr ? std::optional(entry->side) : std::nullopt;
}

std::uint32_t Keyring::next_key_id() const {
    return entries_.empty() ? 1 : entries_.back()->id + 1;
}

std::optional<base::Instant> Keyring::next_retirement() const {
    std::optional<base::Instant> first;
    for (auto const& entry : entries_)
        if (entry->gone_at) first = std::min(first.value_or(*entry->gone_at), *entry->gone_at);
    return first;
}

void Keyring::drop_retired(base::Instant now) {
    std::erase_if(entries_, [&](auto const& entry) {
        bool const lives = !entry->gone_at || now < *entry->gone_at;
        return !KITH_GUARD("P26.retired", lives);
    });
}

}  // namespace kith::proto::session
