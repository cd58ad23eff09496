#include "crypto/aead.h"

#include <openssl/evp.h>

#include "base/check.h"
#include "base/sabotage.h"
#include "crypto/constant_time.h"
#include "crypto/seal_witness.h"

namespace kith::crypto {

using base::Code;
using base::fail;

namespace detail {
struct CipherContext {
    EVP_CIPHER_CTX* evp;
#ifdef KITH_SABOTAGE
    std::uint64_t witnessed_key = 0;
#endif
};
void CipherContextDeleter::operator()(CipherContext* context) const {
    EVP_CIPHER_CTX_free(context->evp);  // wipes the key schedule
    delete context;
    // Round keys stay in vector registers, which the dynamic linker and signals put on the stack.
    wipe_stack_below(std::size_t{32} * 1024);
}
}  // namespace detail

namespace {

enum Direction : int { decrypt = 0, encrypt = 1 };

// OpenSSL takes int lengths; the limit on plaintext keeps every length within.
int to_int(std::size_t size) {
    return static_cast<int>(size);
}

// Starts a message: same key, new nonce, then the associated data.
bool start(EVP_CIPHER_CTX* evp, Direction direction, AeadNonce const& nonce,
           base::ByteView associated_data) {
    int done = 0;
    return EVP_CipherInit_ex(evp, nullptr, nullptr, nullptr, nonce.data(), direction) == 1 &&
           (associated_data.empty() || EVP_CipherUpdate(evp, nullptr, &done, associated_data.data(),
                                                        to_int(associated_data.size())) == 1);
}

bool run(EVP_CIPHER_CTX* evp, base::ByteView in, std::uint8_t* out) {
    int done = 0;
    return in.empty() || EVP_CipherUpdate(evp, out, &done, in.data(), to_int(in.size())) == 1;
}

bool finish(EVP_CIPHER_CTX* evp) {
    int done = 0;
    std::uint8_t nothing[16];  // both are stream modes: no bytes come out here
    return EVP_CipherFinal_ex(evp, nothing, &done) == 1;
}

std::unexpected<base::Error> library_failed() {
    return fail(Code::internal, "the crypto library failed to encrypt");
}

}  // namespace

Aead::Aead(Algorithm algorithm, AeadKey const& key)
    : context_(new detail::CipherContext{.evp = EVP_CIPHER_CTX_new()}) {
    EVP_CIPHER const* cipher = nullptr;
    switch (algorithm) {
        case Algorithm::chacha20_poly1305:
            cipher = EVP_chacha20_poly1305();
            break;
        case Algorithm::aes_256_gcm:
            cipher = EVP_aes_256_gcm();
            break;
    }
    // Fails only when memory is gone or the library lacks the algorithm: nothing the outside world
    // decides.
    KITH_ASSERT(context_->evp != nullptr);
    KITH_ASSERT(EVP_CipherInit_ex(context_->evp, cipher, nullptr, key.view().data(), nullptr,
                                  encrypt) == 1);
#ifdef KITH_SABOTAGE
    context_->witnessed_key = witnessed_key(key);
#endif
}

base::Status Aead::seal(AeadNonce const& nonce, base::ByteView associated_data,
                        base::ByteView plaintext, base::MutableByteView out) {
    KITH_ASSERT(out.size() == plaintext.size() + aead_tag_bytes);
    if (plaintext.size() > aead_plaintext_bytes_max ||
        associated_data.size() > aead_plaintext_bytes_max)
        return fail(Code::too_large, "message is too long to encrypt in one piece");
    auto* const evp = context_->evp;
    if (!start(evp, encrypt, nonce, associated_data) || !run(evp, plaintext, out.data()) ||
        !finish(evp) ||
        EVP_CIPHER_CTX_ctrl(evp, EVP_CTRL_AEAD_GET_TAG, to_int(aead_tag_bytes),
                            out.last(aead_tag_bytes).data()) != 1)
        return library_failed();
#ifdef KITH_SABOTAGE
    witness_seal(context_->witnessed_key, nonce);
#endif
    return {};
}

base::Status Aead::open(AeadNonce const& nonce, base::ByteView associated_data,
                        base::ByteView sealed, base::MutableByteView out) {
    if (sealed.size() < aead_tag_bytes)
        return fail(Code::unauthorized, "encrypted message is too short");
    KITH_ASSERT(out.size() == sealed.size() - aead_tag_bytes);
    if (out.size() > aead_plaintext_bytes_max || associated_data.size() > aead_plaintext_bytes_max)
        return fail(Code::too_large, "message is too long to decrypt in one piece");
    // Copied first: in place, decryption must not be able to touch the tag it is compared with.
    base::ByteArray<aead_tag_bytes> tag;
    std::ranges::copy(sealed.last(aead_tag_bytes), tag.begin());
    auto* const evp = context_->evp;
    if (!start(evp, decrypt, nonce, associated_data) ||
        !run(evp, sealed.first(out.size()), out.data()) ||
        EVP_CIPHER_CTX_ctrl(evp, EVP_CTRL_AEAD_SET_TAG, to_int(aead_tag_bytes), tag.data()) != 1 ||
        !KITH_GUARD("P11.tag", finish(evp))) {
        wipe(out);
        return fail(Code::unauthorized, "encrypted message does not verify");
    }
    return {};
}

}  // namespace kith::crypto
