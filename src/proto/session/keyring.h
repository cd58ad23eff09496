// proto/session/keyring.h: seals and opens everything two members say to each other (Tier 1, DESIGN
// 5).
//
// A handshake (Noise IKpsk2, composed in node/) yields KeyMaterial; this machine derives from it
// four keys with HKDF-SHA256: per direction, and per lane. Control messages travel under
// ChaCha20-Poly1305, tensors under AES-256-GCM.
//
// Frame: lane u8 (0x10 tensor, 0x11 control), key_id u32, counter u64, ciphertext and tag. The
// first 13 bytes are the associated data. The header names exactly one key, so there is no trial
// decryption.
//
//                 install(initiator)                                a newer key took over
//   (no key) ---------------------------> sends and receives ------------------------------>
//   receives for 60 s --> gone
//            \  install(responder)                ^
//             ---------------------> receives ----/ first frame opened under it
//
// Invariants: 1. a (key, counter) pair seals at most once. 2. the replay window moves only after a
// successful open.
//             3. there is no plaintext lane: 0x01 and every unknown tag are refused (S8, C20).
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/secret.h"

namespace kith::proto::session {

enum class Lane : std::uint8_t { tensor = 0x10, control = 0x11 };
enum class Side { initiator, responder };

inline constexpr std::size_t header_bytes = 1 + 4 + 8;
inline constexpr std::size_t overhead_bytes = header_bytes + 16;
inline constexpr std::size_t keys_max = 3;
inline constexpr std::uint64_t frames_per_key_max = std::uint64_t{1} << 32;
inline constexpr base::Duration rekey_after = std::chrono::minutes(10);  // S2
inline constexpr base::Duration old_key_opens_for = std::chrono::seconds(60);

// What the handshake yields: one secret per direction and the hash both sides agreed on.
struct KeyMaterial {
    crypto::Secret<32> send;
    crypto::Secret<32> receive;
    base::ByteArray<32> handshake_hash{};
};

// Bytes that were sealed for this node by the peer of the session: only Keyring::open makes one,
// and stages and handlers take nothing else (P11).
class Opened {
public:
    Lane lane() const { return lane_; }
    base::ByteView bytes() const { return bytes_; }
    Opened(Opened&&) noexcept = default;
    Opened& operator=(Opened&&) noexcept = default;

private:
    friend class Keyring;
    Opened(Lane lane, base::Bytes bytes) : lane_(lane), bytes_(std::move(bytes)) {}
    Lane lane_;
    base::Bytes bytes_;
};

class Keyring {
public:
    Keyring();
    ~Keyring();
    Keyring(Keyring&&) noexcept;
    Keyring& operator=(Keyring&&) noexcept;

    // Adds the key a finished handshake made. Ids of one keyring only grow; Code::conflict
    // otherwise.
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

    // The initiator starts a new handshake when this is true; true from the start when there is no
    // key.
    [[nodiscard]] bool rekey_due(base::Instant now) const;
    [[nodiscard]] std::uint32_t next_key_id() const;
    void drop_retired(base::Instant now);

private:
    struct Entry;
    std::vector<std::unique_ptr<Entry>> entries_;  // oldest first
};

}  // namespace kith::proto::session
