// proto/session/keyring.h: seals and opens everything two members say to each other (Tier 1, DESIGN
// 5).
//
// A handshake (Noise IKhfs+psk2, composed in node/) yields KeyMaterial; this machine derives from
// it six keys with HKDF-SHA256: per direction, and per lane. Control messages and root proofs
// travel under ChaCha20-Poly1305, tensors under AES-256-GCM.
//
// Frame: lane u8 (0x10 tensor, 0x11 control, 0x12 root proof), key_id u32, counter u64, ciphertext
// and tag. The first 13 bytes are the associated data. The header names exactly one key, so there
// is no trial decryption.
//
//   install(initiator)                        a newer key may send
//   ------------------> sends and receives ------------------------> receives for 60 s ---> gone
//   install(responder)         ^ first frame opened under it
//   ------------------> receives only --- a newer responder key, or 120 s without a frame ---> gone
//
// Invariants: 1. a (key, counter) pair seals at most once. 2. the replay window moves only after a
// successful open. 3. there is no plaintext lane: 0x01 and every unknown tag are refused (S8, C20).
// 4. at most keys_max keys: one that sends, one that only receives any more, one not yet used.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/secret.h"

namespace kith::proto::session {

enum class Lane : std::uint8_t { tensor = 0x10, control = 0x11, proof = 0x12 };
enum class Side { initiator, responder };

inline constexpr std::size_t header_bytes = 1 + 4 + 8;
inline constexpr std::size_t overhead_bytes = header_bytes + 16;
inline constexpr std::size_t keys_max = 3;
inline constexpr std::uint64_t frames_per_key_max = std::uint64_t{1} << 32;
inline constexpr base::Duration old_key_opens_for = std::chrono::seconds(60);
inline constexpr base::Duration unused_key_lives = std::chrono::seconds(120);

// What the handshake yields: one secret per direction and the hash both sides agreed on.
struct KeyMaterial {
    crypto::Secret<32> send;
    crypto::Secret<32> receive;
    base::ByteArray<32> handshake_hash{};
};

// What is known about the key that seals now.
struct SendingKey {
    std::uint32_t id = 0;
    base::Instant installed;
    bool nearly_used_up = false;  // half of the frames that a key may seal, in some lane
};

// Bytes that were sealed for this node by the peer of the session: only Keyring::open makes one,
// and stages and handlers take nothing else (P11).
class Opened {
public:
    Lane lane() const { return lane_; }
    std::uint32_t key_id() const { return key_id_; }
    base::ByteView bytes() const { return bytes_; }
    Opened(Opened&&) noexcept = default;
    Opened& operator=(Opened&&) noexcept = default;

private:
    friend class Keyring;
    Opened(Lane lane, std::uint32_t key_id, base::Bytes bytes)
        : lane_(lane), key_id_(key_id), bytes_(std::move(bytes)) {}
    Lane lane_;
    std::uint32_t key_id_;
    base::Bytes bytes_;
};

class Keyring {
public:
    // `frames_max` of a lane are sealed and opened under one key.
    explicit Keyring(std::uint64_t frames_max = frames_per_key_max);
    ~Keyring();
    Keyring(Keyring&&) noexcept;
    Keyring& operator=(Keyring&&) noexcept;

    // Adds the key a finished handshake made; `side` is this node's part in that handshake. Its id
    // is above all that the keyring holds (Code::conflict otherwise); that of a key which was
    // dropped unused may come again, with other keys behind it.
    base::Status install(std::uint32_t key_id, KeyMaterial const& material, Side side,
                         base::Instant now);

    [[nodiscard]] bool can_send() const;
    // Appends the sealed frame to `out`. Code::unavailable: no key may send yet. Code::too_large:
    // the key is used up.
    base::Status seal(Lane lane, base::ByteView plaintext, base::Bytes& out);
    // Code::invalid: no frame of ours, or a plaintext tag. Code::unauthorized: wrong tag.
    // Code::conflict: seen before or older than the window. Nothing changes unless the frame
    // opened.
    base::Result<Opened> open(base::ByteView frame, base::Instant now);

    [[nodiscard]] std::optional<SendingKey> sending_key() const;
    [[nodiscard]] std::uint32_t next_key_id() const;
    // A secret that both sides of the handshake of this key can derive and nobody else: the next
    // handshake mixes it in, so that who wants to read on must have broken every one of them.
    // nullptr: no such key, or one that the peer has not proved to have. Valid until the next call
    // that is not const.
    [[nodiscard]] crypto::Secret<32> const* exporter(std::uint32_t key_id) const;
    [[nodiscard]] base::ByteArray<32> const* handshake_hash(std::uint32_t key_id) const;
    [[nodiscard]] std::optional<Side> side(std::uint32_t key_id) const;
    void drop_retired(base::Instant now);
    // When drop_retired() next has something to drop.
    [[nodiscard]] std::optional<base::Instant> next_retirement() const;

private:
    struct Entry;
    [[nodiscard]] Entry const* find(std::uint32_t key_id) const;
    void retire_before(std::uint32_t key_id, base::Instant now);
    std::uint64_t frames_max_;
    std::vector<std::unique_ptr<Entry>> entries_;  // oldest first
};

}  // namespace kith::proto::session
