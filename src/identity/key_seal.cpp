#include "identity/key_seal.h"

#include <algorithm>

#include "base/check.h"
#include "base/sabotage.h"
#include "crypto/kdf.h"

namespace kith::identity {

using base::Code;
using base::fail;

namespace {

crypto::Secret<seeds_bytes> joined(IdentitySeeds const& seeds) {
    crypto::Secret<seeds_bytes> out;
    auto at = out.mutable_view().begin();
    for (auto const* const seed : {&seeds.root, &seeds.operational, &seeds.static_key})
        at = std::ranges::copy(seed->view(), at).out;
    return out;
}

}  // namespace

KeySeal::KeySeal(crypto::Secret<32> sealing, crypto::Secret<32> naming,
                 crypto::PasswordSalt const& salt, crypto::PasswordCost cost)
    : sealing_(std::move(sealing)), naming_(std::move(naming)), salt_(salt), cost_(cost) {}

base::Result<KeySeal> KeySeal::create(base::ByteView passphrase, crypto::PasswordSalt const& salt,
                                      crypto::PasswordCost cost) {
    auto const key = KITH_TRY(crypto::key_from_password(passphrase, salt, cost));
    auto const part = [&key](std::string_view label) {
        return crypto::hkdf_sha256<32>({}, key.view(), base::as_bytes(label));
    };
    return KeySeal(part("kith/identity.key/seal/v2"), part("kith/identity.key/nonce/v2"), salt,
                   cost);
}

KeySeal KeySeal::clone() const {
    return {sealing_.clone(), naming_.clone(), salt_, cost_};
}

crypto::AeadNonce KeySeal::nonce_of(base::ByteView head, IdentitySeeds const& seeds) const {
    auto const tag =
        crypto::HmacSha256(naming_.view()).update(head).update(joined(seeds).view()).finish();
    crypto::AeadNonce out;
    std::copy_n(tag.begin(), out.size(), out.begin());
    return out;
}

void KeySeal::seal(crypto::AeadNonce const& nonce, base::ByteView head, IdentitySeeds const& seeds,
                   std::span<std::uint8_t, sealed_seeds_bytes> out) const {
    auto const plain = joined(seeds);
    KITH_ASSERT(crypto::Aes256Gcm(sealing_).seal(nonce, head, plain.view(), out).has_value());
}

base::Result<IdentitySeeds> KeySeal::open(crypto::AeadNonce const& nonce, base::ByteView head,
                                          base::ByteView sealed) const {
    if (sealed.size() != sealed_seeds_bytes)
        return fail(Code::corrupt, "the sealed keys have the wrong length");
    crypto::Secret<seeds_bytes> plain;
    auto const opened = crypto::Aes256Gcm(sealing_).open(nonce, head, sealed, plain.mutable_view());
    if (!KITH_GUARD("P22.passphrase", opened.has_value()))
        return fail(Code::unauthorized, "the passphrase is wrong; nothing was changed");
    auto const part = [&plain](std::size_t i) {
        return crypto::Secret<32>(plain.view().subspan(32 * i).first<32>());
    };
    return IdentitySeeds{part(0), part(1), part(2)};
}

}  // namespace kith::identity
