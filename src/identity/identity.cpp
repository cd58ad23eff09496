#include "identity/identity.h"

#include <algorithm>

#include "base/check.h"
#include "base/sabotage.h"
#include "crypto/hash.h"
#include "identity/contexts.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace kith::identity {

using base::Code;
using base::fail;
using base::seconds;
using base::UnixTime;

namespace {

constexpr std::string_view file_magic = "KITHIDN1";
constexpr std::uint16_t file_version = 1;
constexpr std::size_t checksum_bytes = crypto::sha256_bytes;

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

std::unexpected<base::Error> damaged() {
    return fail(Code::corrupt,
                "the identity file is damaged. Restore it from a backup; without one, move it away "
                "and a new "
                "identity will be made, which others will not recognise");
}

base::Result<crypto::Secret<32>> read_secret(wire::Reader& reader) {
    return crypto::Secret<32>::from(KITH_TRY(reader.take(32)));
}

struct FileParts {
    IdentitySeeds seeds;
    IdentityBinding binding;
};

// After the checksum: only a program that writes wrong files gets an error here.
base::Result<FileParts> read_parts(base::ByteView bytes) {
    wire::Reader reader(bytes);
    KITH_TRY(reader.take(file_magic.size()));
    if (KITH_TRY(reader.u16()) != file_version || KITH_TRY(reader.u16()) != 0)
        return fail(Code::corrupt,
                    "the identity file has a version or option this program does not know; use a "
                    "newer kith");
    FileParts out;
    out.seeds.root = KITH_TRY(read_secret(reader));
    out.seeds.operational = KITH_TRY(read_secret(reader));
    out.seeds.static_key = KITH_TRY(read_secret(reader));
    out.binding = KITH_TRY(decode_binding(KITH_TRY(reader.prefixed_u32(binding_bytes))));
    KITH_TRY(reader.expect_end());
    return out;
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
    *this = std::move(next);
    return {};
}

crypto::SecretBytes Identity::to_file_bytes() const {
    auto const binding = encode(binding_);
    // Sized once: a growing buffer would leave unwiped copies of the seeds behind.
    crypto::SecretBytes out(file_magic.size() + 4 + 96 + 4 + binding.size() + checksum_bytes);
    auto rest = out.mutable_view();
    auto const put = [&rest](base::ByteView bytes) {
        std::ranges::copy(bytes, rest.begin());
        rest = rest.subspan(bytes.size());
    };
    put(base::as_bytes(file_magic));
    put(wire::Writer().u16(file_version).u16(0).view());
    put(seeds_.root.view());
    put(seeds_.operational.view());
    put(seeds_.static_key.view());
    put(wire::Writer().prefixed_u32(binding).view());
    put(crypto::sha256(out.view().first(out.size() - checksum_bytes)));
    KITH_ASSERT(rest.empty());
    return out;
}

base::Result<Identity> Identity::from_file_bytes(base::ByteView bytes) {
    if (bytes.size() < file_magic.size() + checksum_bytes ||
        !base::equal(bytes.first(file_magic.size()), base::as_bytes(file_magic)))
        return damaged();
    auto const content = bytes.first(bytes.size() - checksum_bytes);
    bool const matches = base::equal(crypto::sha256(content), bytes.last(checksum_bytes));
    if (!KITH_GUARD("S27.checksum", matches)) return damaged();
    auto parts = read_parts(content);
    if (!parts) {
        if (parts.error().code == Code::corrupt) return std::unexpected(parts.error());
        return damaged();
    }
    return restore(std::move(parts->seeds), std::move(parts->binding));
}

}  // namespace kith::identity
