#include "proto/noise/handshake.h"

#include <algorithm>

#include "base/check.h"
#include "base/declassify.h"
#include "base/sabotage.h"
#include "crypto/constant_time.h"
#include "crypto/hash.h"
#include "crypto/kdf.h"
#include "crypto/x25519.h"

namespace kith::proto::noise {

using base::Bytes;
using base::ByteView;
using base::Code;
using base::fail;
using base::Status;
using crypto::Secret;

namespace {

std::string protocol_name(Pattern const& pattern, Cipher cipher) {
    return "Noise_" + pattern.name + (pattern.uses(Token::e1) ? "_25519+MLKEM768_" : "_25519_") +
           (cipher == Cipher::aes_gcm ? "AESGCM" : "ChaChaPoly") + "_SHA256";
}

// Section 5.2: chaining key, handshake hash and the key of the moment.
class SymmetricState {
public:
    SymmetricState(std::string_view name, Cipher cipher) : cipher_(cipher) {
        auto const bytes = base::as_bytes(name);
        if (bytes.size() <= hash_bytes)
            std::ranges::copy(bytes, hash_.begin());
        else
            hash_ = crypto::sha256(bytes);
        std::ranges::copy(hash_, chaining_key_.mutable_view().begin());
    }

    void mix_hash(ByteView bytes) { hash_ = crypto::Sha256().update(hash_).update(bytes).finish(); }

    void mix_key(ByteView input) {
        Secret<64> out;
        crypto::hkdf_sha256(chaining_key_.view(), input, {}, out.mutable_view());
        auto const both = out.view();
        chaining_key_ = Secret<32>(both.first<32>());
        key_.emplace(cipher_, Secret<32>(both.last<32>()));
    }

    void mix_key_and_hash(ByteView input) {
        Secret<96> out;
        crypto::hkdf_sha256(chaining_key_.view(), input, {}, out.mutable_view());
        auto const all = out.view();
        chaining_key_ = Secret<32>(all.first<32>());
        mix_hash(all.subspan<32, 32>());
        key_.emplace(cipher_, Secret<32>(all.last<32>()));
    }

    Status encrypt_and_hash(ByteView plaintext, Bytes& out) {
        auto const start = out.size();
        if (key_)
            KITH_TRY(key_->seal(hash_, plaintext, out));
        else
            base::append(out, plaintext);
        mix_hash(ByteView(out).subspan(start));
        return {};
    }

    Status decrypt_and_hash(ByteView sealed, Bytes& out) {
        if (key_)
            KITH_TRY(key_->open(hash_, sealed, out));
        else
            base::append(out, sealed);
        mix_hash(sealed);
        return {};
    }

    [[nodiscard]] bool has_key() const { return key_.has_value(); }
    [[nodiscard]] HandshakeHash const& hash() const { return hash_; }

    // The keys of the initiator's and of the responder's direction (section 5.2, Split). The
    // handshake key is gone afterwards.
    std::pair<Secret<32>, Secret<32>> split() {
        Secret<64> out;
        crypto::hkdf_sha256(chaining_key_.view(), {}, {}, out.mutable_view());
        key_.reset();
        crypto::wipe(chaining_key_.mutable_view());
        auto const both = out.view();
        return {Secret<32>(both.first<32>()), Secret<32>(both.last<32>())};
    }
    [[nodiscard]] Cipher cipher() const { return cipher_; }

private:
    Cipher cipher_;
    Secret<32> chaining_key_;
    HandshakeHash hash_{};
    std::optional<CipherState> key_;
};

struct KeyPair {
    PrivateKey private_key;
    PublicKey public_key;

    explicit KeyPair(PrivateKey const& key)
        : private_key(key.clone()), public_key(crypto::x25519_public_key(key)) {}
};

}  // namespace

struct HandshakeState::Impl {
    Impl(Role role_in, Pattern const& pattern_in, Cipher cipher, ByteView prologue,
         HandshakeKeys const& keys);

    Status write_token(Token token, Bytes& out);
    Status read_token(Token token, ByteView& message);
    Status mix_token(Token token);
    Status mix_psk();
    Status write_kem_key(Bytes& out);
    Status read_kem_key(ByteView sealed);
    Status write_kem_ciphertext(Bytes& out);
    Status read_kem_ciphertext(ByteView sealed);
    void mix_kem(Secret<32> const& shared);
    // Bytes of a value that EncryptAndHash has made of `size` bytes.
    [[nodiscard]] std::size_t sealed_bytes(std::size_t size) const {
        return size + (symmetric.has_key() ? tag_bytes : 0);
    }
    void mix_ephemeral(PublicKey const& key);
    Status dh(std::optional<KeyPair> const& ours, std::optional<PublicKey> const& theirs);
    [[nodiscard]] bool is_my_turn() const {
        return message_index < pattern.messages_count &&
               (message_index % 2 == 0) == (role == Role::initiator);
    }

    Role role;
    Pattern pattern;
    SymmetricState symmetric;
    std::optional<KeyPair> static_pair, ephemeral_pair;
    std::optional<PublicKey> remote_static, remote_ephemeral;
    std::optional<crypto::MlKem768PrivateKey> kem_key;        // the initiator's, of token e1
    std::optional<crypto::MlKem768PublicKey> remote_kem_key;  // the same at the responder
    std::optional<Secret<32>> kem_random;
    std::vector<Secret<32>> psks;
    std::size_t psk_index = 0;
    std::size_t message_index = 0;
    bool has_psk =
        false;  // of the pattern: ephemeral keys are then mixed into the key as well (section 9.2)
    bool failed = false;
    bool was_split = false;
};

HandshakeState::Impl::Impl(Role role_in, Pattern const& pattern_in, Cipher cipher,
                           ByteView prologue, HandshakeKeys const& keys)
    : role(role_in),
      pattern(pattern_in),
      symmetric(protocol_name(pattern_in, cipher), cipher),
      remote_static(keys.remote_static),
      has_psk(pattern_in.uses(Token::psk)) {
    if (keys.static_key) static_pair.emplace(*keys.static_key);
    if (keys.ephemeral_key) ephemeral_pair.emplace(*keys.ephemeral_key);
    for (auto const* psk : keys.psks)
        if (psk) psks.push_back(psk->clone());
    if (pattern.uses(Token::e1)) {
        KITH_ASSERT(role == Role::initiator ? keys.kem_seed != nullptr
                                            : keys.kem_random != nullptr);
        if (role == Role::initiator)
            kem_key.emplace(*keys.kem_seed);
        else
            kem_random.emplace(keys.kem_random->clone());
    }
    symmetric.mix_hash(prologue);
    bool const is_initiator = role == Role::initiator;
    auto const mix_known = [&](bool ours) {
        KITH_ASSERT(ours ? static_pair.has_value() : remote_static.has_value());
        symmetric.mix_hash(ours ? static_pair->public_key : *remote_static);
    };
    if (pattern.initiator_static_known) mix_known(is_initiator);
    if (pattern.responder_static_known) mix_known(!is_initiator);
}

void HandshakeState::Impl::mix_ephemeral(PublicKey const& key) {
    symmetric.mix_hash(key);
    if (has_psk) symmetric.mix_key(key);
}

Status HandshakeState::Impl::dh(std::optional<KeyPair> const& ours,
                                std::optional<PublicKey> const& theirs) {
    KITH_ASSERT(ours && theirs);
    auto const shared = KITH_TRY(crypto::x25519(ours->private_key, *theirs));
    symmetric.mix_key(shared.view());
    return {};
}

// The tokens that send nothing.
Status HandshakeState::Impl::mix_token(Token token) {
    if (token == Token::psk) return mix_psk();
    if (token == Token::ee) return dh(ephemeral_pair, remote_ephemeral);
    if (token == Token::ss) return dh(static_pair, remote_static);
    // es: the initiator's ephemeral with the responder's static key; se: the other way round.
    KITH_ASSERT(token == Token::es || token == Token::se);
    bool const is_initiator = role == Role::initiator;
    bool const ours_is_ephemeral = (token == Token::es) == is_initiator;
    return ours_is_ephemeral ? dh(ephemeral_pair, remote_static)
                             : dh(static_pair, remote_ephemeral);
}

Status HandshakeState::Impl::mix_psk() {
    KITH_ASSERT(psk_index < psks.size());
    symmetric.mix_key_and_hash(psks[psk_index++].view());
    return {};
}

Status HandshakeState::Impl::write_kem_key(Bytes& out) {
    KITH_ASSERT(kem_key.has_value());
    return symmetric.encrypt_and_hash(kem_key->public_key(), out);
}

Status HandshakeState::Impl::read_kem_key(ByteView sealed) {
    Bytes key;
    KITH_TRY(symmetric.decrypt_and_hash(sealed, key));
    base::declassify(key);  // a public key; that it travels sealed hides it from others
    std::ranges::copy(key, remote_kem_key.emplace().begin());
    return {};
}

Status HandshakeState::Impl::write_kem_ciphertext(Bytes& out) {
    KITH_ASSERT(remote_kem_key.has_value() && kem_random.has_value());
    auto const sent = KITH_TRY(crypto::mlkem768_encapsulate(*remote_kem_key, *kem_random));
    KITH_TRY(symmetric.encrypt_and_hash(sent.ciphertext, out));
    mix_kem(sent.shared);
    return {};
}

void HandshakeState::Impl::mix_kem(Secret<32> const& shared) {
    bool const weakened = KITH_GUARD("S1.kem", false);  // never, but in a twin of the test
    if (!weakened) symmetric.mix_key(shared.view());
}

Status HandshakeState::Impl::read_kem_ciphertext(ByteView sealed) {
    KITH_ASSERT(kem_key.has_value());
    Bytes bytes;
    KITH_TRY(symmetric.decrypt_and_hash(sealed, bytes));
    crypto::MlKem768Ciphertext ciphertext;
    std::ranges::copy(bytes, ciphertext.begin());
    mix_kem(kem_key->decapsulate(ciphertext));
    return {};
}

Status HandshakeState::Impl::write_token(Token token, Bytes& out) {
    switch (token) {
        case Token::e:
            KITH_ASSERT(ephemeral_pair.has_value());
            base::append(out, ephemeral_pair->public_key);
            mix_ephemeral(ephemeral_pair->public_key);
            return {};
        case Token::s:
            KITH_ASSERT(static_pair.has_value());
            return symmetric.encrypt_and_hash(static_pair->public_key, out);
        case Token::e1:
            return write_kem_key(out);
        case Token::ekem1:
            return write_kem_ciphertext(out);
        case Token::ee:
        case Token::es:
        case Token::se:
        case Token::ss:
        case Token::psk:
            break;
    }
    return mix_token(token);
}

Status HandshakeState::Impl::read_token(Token token, ByteView& message) {
    auto const take = [&](std::size_t size) -> base::Result<ByteView> {
        if (message.size() < size) return fail(Code::invalid, "Noise message is too short");
        auto const taken = message.first(size);
        message = message.subspan(size);
        return taken;
    };
    switch (token) {
        case Token::e: {
            auto const key = KITH_TRY(take(public_key_bytes));
            std::ranges::copy(key, remote_ephemeral.emplace().begin());
            mix_ephemeral(*remote_ephemeral);
            return {};
        }
        case Token::s: {
            Bytes key;
            auto const sealed = KITH_TRY(take(sealed_bytes(public_key_bytes)));
            KITH_TRY(symmetric.decrypt_and_hash(sealed, key));
            std::ranges::copy(key, remote_static.emplace().begin());
            return {};
        }
        case Token::e1: {
            auto const sealed = KITH_TRY(take(sealed_bytes(crypto::mlkem768_public_key_bytes)));
            return read_kem_key(sealed);
        }
        case Token::ekem1: {
            auto const sealed = KITH_TRY(take(sealed_bytes(crypto::mlkem768_ciphertext_bytes)));
            return read_kem_ciphertext(sealed);
        }
        case Token::ee:
        case Token::es:
        case Token::se:
        case Token::ss:
        case Token::psk:
            break;
    }
    return mix_token(token);
}

HandshakeState::HandshakeState(Role role, Pattern const& pattern, Cipher cipher, ByteView prologue,
                               HandshakeKeys const& keys)
    : impl_(std::make_unique<Impl>(role, pattern, cipher, prologue, keys)) {}
HandshakeState::~HandshakeState() = default;
HandshakeState::HandshakeState(HandshakeState&&) noexcept = default;
HandshakeState& HandshakeState::operator=(HandshakeState&&) noexcept = default;

Status HandshakeState::write_message(ByteView payload, Bytes& out) {
    KITH_ASSERT(is_my_turn());
    if (impl_->failed) return fail(Code::conflict, "the handshake has failed before");
    impl_->failed = true;  // until this message is through
    auto const start = out.size();
    for (auto const token : impl_->pattern.messages[impl_->message_index].tokens())
        KITH_TRY(impl_->write_token(token, out));
    KITH_TRY(impl_->symmetric.encrypt_and_hash(payload, out));
    if (out.size() - start > message_bytes_max)
        return fail(Code::too_large, "Noise message is too long");
    ++impl_->message_index;
    impl_->failed = false;
    return {};
}

Status HandshakeState::read_message(ByteView message, Bytes& payload) {
    if (impl_->failed) return fail(Code::conflict, "the handshake has failed before");
    impl_->failed = true;
    if (is_finished() || is_my_turn()) return fail(Code::invalid, "Noise message out of turn");
    if (message.size() > message_bytes_max) return fail(Code::invalid, "Noise message is too long");
    for (auto const token : impl_->pattern.messages[impl_->message_index].tokens())
        KITH_TRY(impl_->read_token(token, message));
    KITH_TRY(impl_->symmetric.decrypt_and_hash(message, payload));
    ++impl_->message_index;
    impl_->failed = false;
    return {};
}

bool HandshakeState::is_my_turn() const {
    return impl_->is_my_turn();
}

bool HandshakeState::is_finished() const {
    return impl_->message_index == impl_->pattern.messages_count;
}

std::optional<PublicKey> HandshakeState::remote_static() const {
    return impl_->remote_static;
}

HandshakeHash HandshakeState::handshake_hash() const {
    return impl_->symmetric.hash();
}

ChannelKeys HandshakeState::split_keys() {
    KITH_ASSERT(is_finished() && !impl_->failed && !impl_->was_split);
    impl_->was_split = true;
    auto [first, second] = impl_->symmetric.split();
    auto const hash = impl_->symmetric.hash();
    impl_->static_pair.reset();
    impl_->ephemeral_pair.reset();
    impl_->kem_key.reset();
    impl_->kem_random.reset();
    impl_->psks.clear();
    if (impl_->role == Role::initiator)
        return {.send = std::move(first), .receive = std::move(second), .handshake_hash = hash};
    return {.send = std::move(second), .receive = std::move(first), .handshake_hash = hash};
}

Channel HandshakeState::split() {
    auto const cipher = impl_->symmetric.cipher();
    auto const keys = split_keys();
    return {.send = CipherState(cipher, keys.send),
            .receive = CipherState(cipher, keys.receive),
            .handshake_hash = keys.handshake_hash};
}

}  // namespace kith::proto::noise
