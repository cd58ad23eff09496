#include "identity/ids.h"

#include "base/check.h"
#include "base/encoding.h"
#include "base/sabotage.h"
#include "crypto/hash.h"
#include "crypto/keccak.h"

namespace kith::identity {

using base::Code;
using base::fail;

namespace {

constexpr std::size_t checksum_bytes = 4;

base::ByteArray<checksum_bytes> checksum(base::ByteView payload) {
    auto const digest = crypto::sha256(crypto::sha256(payload));
    base::ByteArray<checksum_bytes> out;
    std::copy_n(digest.begin(), out.size(), out.begin());
    return out;
}

}  // namespace

RootId RootId::of(RootPublicKey const& root) {
    base::Bytes tagged = base::to_bytes(base::as_bytes(root_id_tag));
    base::append(tagged, root);
    return RootId{crypto::sha3_256(tagged)};
}

std::string RootId::to_hex() const {
    return base::to_hex(bytes);
}

base::Result<RootId> RootId::parse(std::string_view hex) {
    RootId out;
    if (hex.size() != 2 * out.bytes.size())
        return fail(Code::invalid, "a root id has 64 hex digits");
    auto const bytes = KITH_TRY(base::from_hex(hex));
    std::ranges::copy(bytes, out.bytes.begin());
    return out;
}

Address Address::of(RootPublicKey const& root) {
    return Address{crypto::ripemd160(crypto::sha256(root))};
}

std::string Address::to_text() const {
    base::Bytes payload{address_version};
    base::append(payload, hash);
    return to_base58check(payload);
}

base::Result<Address> Address::parse(std::string_view text) {
    if (text.size() != address_chars)
        return fail(Code::invalid, "an address has 34 characters and begins with E");
    auto const payload = KITH_TRY(from_base58check(text));
    if (payload.size() != 1 + address_hash_bytes)
        return fail(Code::invalid, "an address has 34 characters and begins with E");
    if (payload[0] != address_version)
        return fail(Code::invalid, "not an address of this network: it must begin with E");
    Address out;
    std::copy(payload.begin() + 1, payload.end(), out.hash.begin());
    return out;
}

std::string to_base58check(base::ByteView payload) {
    KITH_ASSERT(payload.size() + checksum_bytes <= base::base58_bytes_max);
    base::Bytes bytes = base::to_bytes(payload);
    base::append(bytes, checksum(payload));
    return base::to_base58(bytes);
}

base::Result<base::Bytes> from_base58check(std::string_view text) {
    auto bytes = KITH_TRY(base::from_base58(text));
    if (bytes.size() < checksum_bytes)
        return fail(Code::invalid, "base58check text is too short for its checksum");
    auto const payload = base::ByteView(bytes).first(bytes.size() - checksum_bytes);
    bool const matches = base::equal(checksum(payload), base::ByteView(bytes).last(checksum_bytes));
    if (!KITH_GUARD("E3.checksum", matches))
        return fail(Code::invalid, "the checksum is wrong: a character was mistyped or lost");
    bytes.resize(payload.size());
    return bytes;
}

}  // namespace kith::identity
