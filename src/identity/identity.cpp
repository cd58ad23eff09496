#include "identity/identity.h"

#include <algorithm>

#include "base/check.h"
#include "identity/contexts.h"

namespace kith::identity {

using base::Code;
using base::fail;
using base::seconds;
using base::UnixTime;

namespace {

UnixTime plus(UnixTime time, std::int64_t by) {
    return UnixTime{seconds(time) + by};
}

// What every binding of this identity has in common; keys from the seeds, dates from `now`.
BindingBody make_body(IdentitySeeds const& seeds, crypto::MlDsa65SigningKey const& root,
                      crypto::Ed25519KeyPair const& operational, UnixTime now) {
    BindingBody body;
    body.not_before = std::max(UnixTime{0}, plus(now, -binding_backdate_seconds));
    body.not_after = plus(now, binding_validity_seconds);
    body.root = root.public_key();
    body.operational = operational.public_key();
    body.static_key = crypto::x25519_public_key(seeds.static_key);
    return body;
}

crypto::Secret<32> slice(crypto::Secret<identity_random_bytes> const& random, std::size_t i) {
    return crypto::Secret<32>(random.view().subspan(32 * i).first<32>());
}

}  // namespace

Identity::Identity(IdentitySeeds seeds, IdentityBinding binding)
    : seeds_(std::move(seeds)),
      root_(seeds_.root),
      operational_(seeds_.operational),
      binding_(std::move(binding)),
      root_id_(RootId::of(root_.public_key())),
      address_(Address::of(root_.public_key())) {}

base::Result<Identity> Identity::create(crypto::Secret<identity_random_bytes> const& random,
                                        UnixTime now) {
    IdentitySeeds seeds{slice(random, 0), slice(random, 1), slice(random, 2)};
    Identity out(std::move(seeds), {});
    KITH_TRY(out.renew(now, slice(random, 3)));
    return out;
}

base::Result<Identity> Identity::restore(IdentitySeeds seeds, IdentityBinding binding) {
    Identity out(std::move(seeds), std::move(binding));
    auto const& body = out.binding_.body;
    if (body.root != out.root_.public_key() || body.operational != out.operational_.public_key() ||
        body.static_key != crypto::x25519_public_key(out.seeds_.static_key))
        return fail(Code::corrupt, "the stored identity binding belongs to other keys");
    return out;
}

crypto::Ed25519Signature Identity::sign_operational(base::ByteView message) const {
    return operational_.sign(message);
}

base::Result<crypto::MlDsa65Signature> Identity::sign_root(std::string_view context,
                                                           base::ByteView message,
                                                           crypto::Secret<32> const& random) const {
    KITH_ASSERT(!context.empty());
    return root_.sign(message, base::as_bytes(context), random);
}

bool Identity::needs_renewal(UnixTime now) const {
    auto const& body = binding_.body;
    auto const issued = plus(body.not_before, binding_backdate_seconds);
    return now < body.not_before || now >= plus(issued, binding_renewal_seconds) ||
           now >= body.not_after;
}

base::Status Identity::renew(UnixTime now, crypto::Secret<32> const& random,
                             std::uint64_t known_counter) {
    auto body = make_body(seeds_, root_, operational_, now);
    body.flags = binding_.body.flags;
    body.counter = std::max(binding_.body.counter, known_counter) + 1;
    binding_ = KITH_TRY(sign_binding(body, root_, operational_, random));
    return {};
}

base::Status Identity::rotate(UnixTime now, crypto::Secret<rotation_random_bytes> const& random,
                              std::uint64_t known_counter) {
    auto const part = [&](std::size_t i) {
        return crypto::Secret<32>(random.view().subspan(32 * i).first<32>());
    };
    IdentitySeeds seeds{seeds_.root.clone(), part(0), part(1)};
    Identity next(std::move(seeds), binding_);
    KITH_TRY(next.renew(now, part(2), known_counter));
    next.seal_ = std::move(seal_);
    *this = std::move(next);
    return {};
}

Identity Identity::clone() const {
    Identity out({seeds_.root.clone(), seeds_.operational.clone(), seeds_.static_key.clone()},
                 binding_);
    if (seal_) out.seal_ = seal_->clone();
    return out;
}

crypto::SecretBytes Identity::to_file_bytes() const {
    return encode_key_file(seeds_, binding_, seal_ ? &*seal_ : nullptr);
}

base::Result<Identity> Identity::from_file_bytes(base::ByteView bytes, AskPassphrase const& ask) {
    auto file = KITH_TRY(parse_key_file(bytes));
    if (file.seeds) return restore(*std::move(file.seeds), std::move(file.binding));
    auto const& sealed = *file.sealed;
    if (!ask)
        return fail(Code::unauthorized, "the identity has a passphrase, and nobody can be asked");
    auto const passphrase = KITH_TRY(ask());
    auto seal = KITH_TRY(KeySeal::create(passphrase.view(), sealed.salt, sealed.cost));
    auto seeds = KITH_TRY(seal.open(sealed.nonce, sealed.head, sealed.sealed));
    auto out = KITH_TRY(restore(std::move(seeds), std::move(file.binding)));
    out.seal_ = std::move(seal);
    return out;
}

}  // namespace kith::identity
