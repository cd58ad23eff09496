// proto/seal/request_seal.h: what belongs to one question, sealed between the asker and one stage
// (Tier 2, DESIGN 5): the prompt to the first stage, the answer from the last one.
//
// The asker draws an X25519 key for the request; its public half travels with the request along the
// route. With a stage's static key (of its signed binding) it gives a key that only these two can
// derive, one per direction:
//
//   HKDF-SHA256(salt: request id 16, input: X25519(request key, stage's static key), info: label |
//   asker's node id | stage's node id | request public key 32), label "kith/tier2/prompt/v1" or
//   "kith/tier2/answer/v1"
//
// Sealed: tag u8 = 0x10 (TENSOR_TAG_ENCRYPTED), AES-256-GCM ciphertext, tag 16. Nonce: u32 step at
// the end of 12 bytes. Associated data: 0x10 | step | what the caller binds (shape, position). It
// travels inside Tier 1, which adds ML-KEM; no stage on the way can open what is not for it, and
// who opens it knows that it was made for this request, this step and this pair.
//
// Invariants: 1. a step is sealed once and opened once, in rising order. 2. there is no plaintext
// tag: 0x01 and every other one are refused (S8). 3. only open() makes an OpenedContent.
#pragma once

#include <memory>
#include <optional>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/aead.h"
#include "crypto/x25519.h"
#include "identity/node_id.h"

namespace kith::proto::seal {

inline constexpr std::uint8_t tag_encrypted = 0x10;
inline constexpr std::size_t overhead_bytes = 1 + crypto::aead_tag_bytes;
inline constexpr std::size_t request_id_bytes = 16;

enum class Direction { prompt, answer };  // asker -> first stage, last stage -> asker

struct Subject {
    base::ByteArray<request_id_bytes> request{};
    identity::NodeId asker;
    identity::NodeId stage;
};

// What an authentic message held.
class OpenedContent {
public:
    [[nodiscard]] base::ByteView bytes() const { return bytes_; }

private:
    friend class Channel;
    explicit OpenedContent(base::Bytes bytes) : bytes_(std::move(bytes)) {}
    base::Bytes bytes_;
};

// One direction between the asker and one stage, for one request. Wiped on destruction.
class Channel {
public:
    // Asker: with the request's private key. Code::unauthorized: the stage's key is of small order.
    static base::Result<Channel> at_asker(crypto::X25519PrivateKey const& request_key,
                                          crypto::X25519PublicKey const& stage_static,
                                          Subject const& subject, Direction direction);
    // Stage: with its own static key. Code::unauthorized: the request key is of small order.
    static base::Result<Channel> at_stage(crypto::X25519PrivateKey const& stage_static,
                                          crypto::X25519PublicKey const& request_key,
                                          Subject const& subject, Direction direction);

    // Code::conflict: this step or a later one was sealed before.
    base::Result<base::Bytes> seal(std::uint32_t step, base::ByteView bound,
                                   base::ByteView content);
    // Code::invalid: too short, or another tag than 0x10. Code::conflict: this step or a later one
    // was opened before. Code::unauthorized: not sealed for this request, step, pair or `bound`.
    base::Result<OpenedContent> open(std::uint32_t step, base::ByteView bound,
                                     base::ByteView sealed);

private:
    explicit Channel(crypto::AeadKey const& key)
        : cipher_(std::make_unique<crypto::Aes256Gcm>(key)) {}
    static base::Result<Channel> derive(crypto::X25519PrivateKey const& own,
                                        crypto::X25519PublicKey const& theirs,
                                        crypto::X25519PublicKey const& request_key,
                                        Subject const& subject, Direction direction);

    std::unique_ptr<crypto::Aes256Gcm> cipher_;
    std::optional<std::uint32_t> last_step_;
};

}  // namespace kith::proto::seal
