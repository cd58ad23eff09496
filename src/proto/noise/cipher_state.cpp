#include "proto/noise/cipher_state.h"

#include <limits>

#include "base/sabotage.h"

namespace kith::proto::noise {

using base::ByteView;
using base::Code;
using base::fail;
using base::MutableByteView;
using base::Status;

namespace {

// Section 5.1 reserves it.
constexpr std::uint64_t counter_end = std::numeric_limits<std::uint64_t>::max();

std::variant<crypto::ChaCha20Poly1305, crypto::Aes256Gcm> make_aead(
    Cipher cipher, crypto::Secret<key_bytes> const& key) {
    if (cipher == Cipher::aes_gcm) return crypto::Aes256Gcm(key);
    return crypto::ChaCha20Poly1305(key);
}

}  // namespace

CipherState::CipherState(Cipher cipher, crypto::Secret<key_bytes> const& key)
    : cipher_(cipher), aead_(make_aead(cipher, key)) {}

// Section 12: 32 zero bits, then the counter: little-endian for ChaChaPoly, big-endian for AESGCM.
base::ByteArray<12> CipherState::nonce() const {
    base::ByteArray<12> nonce{};
    auto const field = MutableByteView(nonce).subspan(4);
    if (cipher_ == Cipher::chacha_poly)
        base::store_le(field, counter_);
    else
        base::store_be(field, counter_);
    return nonce;
}

Status CipherState::seal(ByteView associated_data, ByteView plaintext, base::Bytes& out) {
    if (counter_ == counter_end) return fail(Code::too_large, "the key has sealed all it may");
    auto const start = out.size();
    out.resize(start + plaintext.size() + tag_bytes);
    auto const sealed = MutableByteView(out).subspan(start);
    auto const status = std::visit(
        [&](auto& aead) { return aead.seal(nonce(), associated_data, plaintext, sealed); }, aead_);
    bool const stuck = KITH_GUARD("S3.link_counter", false);  // never, but in a twin of the test
    if (!stuck) ++counter_;  // also when sealing failed: whatever left, this nonce is spent
    if (!status) out.resize(start);
    return status;
}

Status CipherState::open(ByteView associated_data, ByteView sealed, base::Bytes& out) {
    if (counter_ == counter_end) return fail(Code::too_large, "the key has opened all it may");
    if (sealed.size() < tag_bytes)
        return fail(Code::unauthorized, "sealed message is shorter than its tag");
    auto const start = out.size();
    out.resize(start + sealed.size() - tag_bytes);
    auto const plaintext = MutableByteView(out).subspan(start);
    auto status = std::visit(
        [&](auto& aead) { return aead.open(nonce(), associated_data, sealed, plaintext); }, aead_);
    if (!status) {
        out.resize(start);
        return status;
    }
    ++counter_;
    return {};
}

}  // namespace kith::proto::noise
