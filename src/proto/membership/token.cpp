#include "proto/membership/token.h"

#include "base/encoding.h"
#include "base/sabotage.h"
#include "crypto/hash.h"
#include "crypto/kdf.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace kith::proto::membership {

using base::Code;
using base::fail;

namespace {

constexpr std::string_view prefix = "kith1";
constexpr std::uint8_t token_version = 1;
constexpr std::size_t checksum_bytes = 4;
constexpr std::size_t address_chars_max = 128;
constexpr std::size_t peer_id_chars_max = 64;

base::Result<Token> parse_body(base::ByteView body) {
    wire::Reader reader(body);
    if (KITH_TRY(reader.u8()) != token_version)
        return fail(Code::unsupported,
                    "this invite was made by a newer kith; update this machine first");
    Token token;
    token.swarm_id = KITH_TRY(reader.array<32>());
    token.operator_root = identity::RootId{KITH_TRY(reader.array<32>())};
    auto const peer = KITH_TRY(reader.prefixed_u16(peer_id_chars_max));
    token.coordinator = KITH_TRY(identity::PeerId::parse(base::as_text(peer)));
    auto const addresses_count = KITH_TRY(reader.u8());
    if (addresses_count > token_addresses_max)
        return fail(Code::invalid, "the invite names too many addresses");
    for (std::size_t i = 0; i < addresses_count; ++i)
        token.addresses.push_back(base::to_text(KITH_TRY(reader.prefixed_u16(address_chars_max))));
    token.expires = base::UnixTime{static_cast<std::int64_t>(KITH_TRY(reader.u64()))};
    token.seed = KITH_TRY(crypto::Secret<32>::from(KITH_TRY(reader.take(32))));
    KITH_TRY(reader.expect_end());
    return token;
}

}  // namespace

std::string format_token(Token const& token) {
    wire::Writer writer;
    writer.u8(token_version).bytes(token.swarm_id).bytes(token.operator_root.bytes);
    writer.prefixed_u16(base::as_bytes(token.coordinator.to_text()));
    writer.u8(static_cast<std::uint8_t>(token.addresses.size()));
    for (auto const& address : token.addresses) writer.prefixed_u16(base::as_bytes(address));
    writer.u64(static_cast<std::uint64_t>(base::seconds(token.expires))).bytes(token.seed.view());
    auto body = writer.take();
    auto const checksum = crypto::sha256(body);
    base::append(body, base::ByteView(checksum).first(checksum_bytes));
    auto text = std::string(prefix) + base::to_base64url(body);
    crypto::wipe(body);
    return text;
}

base::Result<Token> parse_token(std::string_view text) {
    if (text.size() > token_chars_max || !text.starts_with(prefix))
        return fail(Code::invalid,
                    "this is no invite: it must begin with kith1 and be pasted whole");
    auto decoded = base::from_base64url(text.substr(prefix.size()));
    if (!decoded || decoded->size() <= checksum_bytes)
        return fail(Code::invalid,
                    "the invite is damaged: paste it again, whole and without line breaks");
    auto const body = base::ByteView(*decoded).first(decoded->size() - checksum_bytes);
    auto const checksum = crypto::sha256(body);
    bool const intact = base::equal(base::ByteView(*decoded).last(checksum_bytes),
                                    base::ByteView(checksum).first(checksum_bytes));
    base::Result<Token> token =
        fail(Code::invalid, "the invite is damaged: paste it again, whole and without line breaks");
    if (intact) token = parse_body(body);
    crypto::wipe(*decoded);
    return token;
}

TokenKeys derive_token_keys(crypto::Secret<32> const& seed) {
    auto const derive = [&](std::string_view use) {
        return crypto::hkdf_sha256<32>(base::as_bytes("kith/invite-token/v1"), seed.view(),
                                       base::as_bytes(use));
    };
    LookupId lookup_id;
    std::ranges::copy(derive("lookup").view(), lookup_id.begin());
    return {.lookup_id = lookup_id,
            .invite_key = crypto::Ed25519KeyPair(derive("sign")),
            .wrap_key = derive("wrap")};
}

}  // namespace kith::proto::membership
