#include "identity/key_file.h"

#include <algorithm>

#include "base/check.h"
#include "base/sabotage.h"
#include "crypto/hash.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace kith::identity {

using base::Code;
using base::fail;

namespace {

constexpr std::string_view file_magic = "KITHIDN1";
constexpr std::size_t checksum_bytes = crypto::sha256_bytes;

enum class Version : std::uint16_t { clear = 1, sealed = 2 };
enum class Flags : std::uint16_t { none = 0, passphrase = 1 };

std::unexpected<base::Error> damaged() {
    return fail(Code::corrupt,
                "the identity file is damaged. Restore it from a backup; without one, move it away "
                "and a new "
                "identity will be made, which others will not recognise");
}

std::unexpected<base::Error> unknown() {
    return fail(Code::corrupt,
                "the identity file has a version or option this program does not know; use a newer "
                "kith");
}

base::Result<crypto::Secret<32>> read_secret(wire::Reader& reader) {
    return crypto::Secret<32>::from(KITH_TRY(reader.take(32)));
}

base::Result<IdentityBinding> read_binding(wire::Reader& reader) {
    return decode_binding(KITH_TRY(reader.prefixed_u32(binding_bytes)));
}

base::Result<KeyFile> read_clear(wire::Reader& reader) {
    KeyFile out;
    auto& seeds = out.seeds.emplace();
    seeds.root = KITH_TRY(read_secret(reader));
    seeds.operational = KITH_TRY(read_secret(reader));
    seeds.static_key = KITH_TRY(read_secret(reader));
    out.binding = KITH_TRY(read_binding(reader));
    KITH_TRY(reader.expect_end());
    return out;
}

// The cost is looked at here, before anybody is asked for a passphrase.
base::Result<KeyFile> read_sealed(wire::Reader& reader, base::ByteView content) {
    KeyFile out;
    auto& sealed = out.sealed.emplace();
    sealed.cost.memory_kib = KITH_TRY(reader.u32());
    sealed.cost.passes = KITH_TRY(reader.u32());
    if (!KITH_GUARD("P22.cost", crypto::is_allowed(sealed.cost)))
        return fail(Code::corrupt,
                    "the identity file asks for more memory or time, or for less, than kith takes "
                    "to check a passphrase; somebody changed it. Restore it from a backup");
    sealed.salt = KITH_TRY(reader.array<crypto::password_salt_bytes>());
    out.binding = KITH_TRY(read_binding(reader));
    constexpr auto tail_bytes = crypto::aead_nonce_bytes + sealed_seeds_bytes;
    sealed.nonce = KITH_TRY(reader.array<crypto::aead_nonce_bytes>());
    sealed.sealed = base::to_bytes(KITH_TRY(reader.take(sealed_seeds_bytes)));
    KITH_TRY(reader.expect_end());
    sealed.head = base::to_bytes(content.first(content.size() - tail_bytes));
    return out;
}

// After the checksum: only a program that writes wrong files gets an error here.
base::Result<KeyFile> read_content(base::ByteView content) {
    wire::Reader reader(content);
    KITH_TRY(reader.take(file_magic.size()));
    Version const version{KITH_TRY(reader.u16())};
    Flags const flags{KITH_TRY(reader.u16())};
    if (version == Version::clear && flags == Flags::none) return read_clear(reader);
    if (version == Version::sealed && flags == Flags::passphrase)
        return read_sealed(reader, content);
    return unknown();
}

wire::Writer begin(Version version, Flags flags) {
    wire::Writer out;
    out.bytes(base::as_bytes(file_magic))
        .u16(static_cast<std::uint16_t>(version))
        .u16(static_cast<std::uint16_t>(flags));
    return out;
}

// Parts into a buffer that is sized once: a growing one would leave unwiped copies of the seeds
// behind.
crypto::SecretBytes finish(std::initializer_list<base::ByteView> parts) {
    std::size_t size = checksum_bytes;
    for (auto const part : parts) size += part.size();
    crypto::SecretBytes out(size);
    auto rest = out.mutable_view();
    for (auto const part : parts) {
        std::ranges::copy(part, rest.begin());
        rest = rest.subspan(part.size());
    }
    std::ranges::copy(crypto::sha256(out.view().first(size - checksum_bytes)), rest.begin());
    return out;
}

}  // namespace

base::Result<KeyFile> parse_key_file(base::ByteView bytes) {
    if (bytes.size() < file_magic.size() + checksum_bytes ||
        !base::equal(bytes.first(file_magic.size()), base::as_bytes(file_magic)))
        return damaged();
    auto const content = bytes.first(bytes.size() - checksum_bytes);
    bool const matches = base::equal(crypto::sha256(content), bytes.last(checksum_bytes));
    if (!KITH_GUARD("S27.checksum", matches)) return damaged();
    auto file = read_content(content);
    if (!file && file.error().code != Code::corrupt) return damaged();
    return file;
}

crypto::SecretBytes encode_key_file(IdentitySeeds const& seeds, IdentityBinding const& binding,
                                    KeySeal const* seal) {
    auto const encoded = encode(binding);
    if (seal == nullptr) {
        auto const head = begin(Version::clear, Flags::none);
        auto const tail = wire::Writer().prefixed_u32(encoded).take();
        return finish({head.view(), seeds.root.view(), seeds.operational.view(),
                       seeds.static_key.view(), tail});
    }
    auto head = begin(Version::sealed, Flags::passphrase);
    head.u32(seal->cost().memory_kib)
        .u32(seal->cost().passes)
        .bytes(seal->salt())
        .prefixed_u32(encoded);
    auto const nonce = seal->nonce_of(head.view(), seeds);
    base::ByteArray<sealed_seeds_bytes> sealed;
    seal->seal(nonce, head.view(), seeds, sealed);
    return finish({head.view(), nonce, sealed});
}

}  // namespace kith::identity
