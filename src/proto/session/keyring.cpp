#include "proto/session/keyring.h"

#include <algorithm>

#include "base/check.h"
#include "base/sabotage.h"
#include "crypto/aead.h"
#include "crypto/kdf.h"
#include "proto/session/replay_window.h"
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

// One direction: a key and a counter or window per lane.
struct Direction {
    crypto::Aes256Gcm tensor;
    crypto::ChaCha20Poly1305 control;
    std::uint64_t tensor_counter = 0;
    std::uint64_t control_counter = 0;
    ReplayWindow tensor_window;
    ReplayWindow control_window;

    Direction(crypto::Secret<32> const& secret, base::ByteView handshake_hash)
        : tensor(derive(secret, handshake_hash, "kith/tier1/tensor/v1")),
          control(derive(secret, handshake_hash, "kith/tier1/control/v1")) {}
};

}  // namespace

struct Keyring::Entry {
    std::uint32_t id = 0;
    Direction send;
    Direction receive;
    bool may_send = false;
    base::Instant installed;
    std::optional<base::Instant> gone_at;
};

Keyring::Keyring() = default;
Keyring::~Keyring() = default;
Keyring::Keyring(Keyring&&) noexcept = default;
Keyring& Keyring::operator=(Keyring&&) noexcept = default;

base::Status Keyring::install(std::uint32_t key_id, KeyMaterial const& material, Side side,
                              base::Instant now) {
    if (!entries_.empty() && key_id <= entries_.back()->id)
        return fail(Code::conflict, "a session key with an old number was offered");
    if (side == Side::initiator)
        for (auto& entry : entries_)
            if (!entry->gone_at) entry->gone_at = now + old_key_opens_for;
    entries_.push_back(
        std::make_unique<Entry>(Entry{.id = key_id,
                                      .send = {material.send, material.handshake_hash},
                                      .receive = {material.receive, material.handshake_hash},
                                      .may_send = side == Side::initiator,
                                      .installed = now,
                                      .gone_at = std::nullopt}));
    if (entries_.size() > keys_max) entries_.erase(entries_.begin());
    return {};
}

bool Keyring::can_send() const {
    return std::ranges::any_of(entries_, [](auto const& entry) { return entry->may_send; });
}

base::Status Keyring::seal(Lane lane, base::ByteView plaintext, base::Bytes& out) {
    auto const newest = std::find_if(entries_.rbegin(), entries_.rend(),
                                     [](auto const& entry) { return entry->may_send; });
    if (newest == entries_.rend())
        return fail(Code::unavailable, "the session with this member is not ready yet");
    auto& direction = (*newest)->send;
    auto& counter = lane == Lane::tensor ? direction.tensor_counter : direction.control_counter;
    if (counter >= frames_per_key_max) return fail(Code::too_large, "the session key is used up");

    wire::Writer header;
    header.u8(static_cast<std::uint8_t>(lane)).u32((*newest)->id).u64(counter);
    auto const start = out.size();
    base::append(out, header.view());
    out.resize(start + header_bytes + plaintext.size() + 16);
    auto const sealed = base::MutableByteView(out).subspan(start + header_bytes);
    auto const nonce = nonce_of(counter++);
    return lane == Lane::tensor ? direction.tensor.seal(nonce, header.view(), plaintext, sealed)
                                : direction.control.seal(nonce, header.view(), plaintext, sealed);
}

base::Result<Opened> Keyring::open(base::ByteView frame, base::Instant now) {
    if (frame.size() < overhead_bytes) return fail(Code::invalid, "a sealed frame is too short");
    auto const tag = frame[0];
    if (tag != static_cast<std::uint8_t>(Lane::tensor) &&
        tag != static_cast<std::uint8_t>(Lane::control))
        return fail(Code::invalid, "a frame with an unknown or unencrypted tag was refused");
    auto const lane = static_cast<Lane>(tag);
    auto const id = base::load_be<std::uint32_t>(frame.subspan(1, 4));
    auto const counter = base::load_be<std::uint64_t>(frame.subspan(5, 8));
    drop_retired(now);
    auto const found =
        std::ranges::find_if(entries_, [&](auto const& entry) { return entry->id == id; });
    if (found == entries_.end())
        return fail(Code::invalid, "a frame is sealed under a key this node does not have");
    auto& entry = **found;
    auto& window =
        lane == Lane::tensor ? entry.receive.tensor_window : entry.receive.control_window;
    bool const usable = counter < frames_per_key_max && window.is_new(counter);
    if (!KITH_GUARD("P11.replay", usable))
        return fail(Code::conflict, "a sealed frame was repeated");

    base::Bytes plaintext(frame.size() - overhead_bytes);
    auto const header = frame.first(header_bytes);
    auto const sealed = frame.subspan(header_bytes);
    auto const opened =
        lane == Lane::tensor
            ? entry.receive.tensor.open(nonce_of(counter), header, sealed, plaintext)
            : entry.receive.control.open(nonce_of(counter), header, sealed, plaintext);
    if (!KITH_GUARD("P11.tag", opened.has_value())) return std::unexpected(opened.error());
    if (counter < frames_per_key_max) window.accept(counter);
    if (!entry.may_send) {  // the initiator uses the new key, so it has it: answer under it from
                            // now on
        entry.may_send = true;
        for (auto& other : entries_)
            if (other->id < id && !other->gone_at) other->gone_at = now + old_key_opens_for;
    }
    return Opened(lane, std::move(plaintext));
}

bool Keyring::rekey_due(base::Instant now) const {
    if (entries_.empty()) return true;
    auto const& newest = *entries_.back();
    return now >= newest.installed + rekey_after ||
           newest.send.tensor_counter >= frames_per_key_max / 2 ||
           newest.send.control_counter >= frames_per_key_max / 2;
}

std::uint32_t Keyring::next_key_id() const {
    return entries_.empty() ? 1 : entries_.back()->id + 1;
}

void Keyring::drop_retired(base::Instant now) {
    std::erase_if(entries_,
                  [&](auto const& entry) { return entry->gone_at && now >= *entry->gone_at; });
}

}  // namespace kith::proto::session
