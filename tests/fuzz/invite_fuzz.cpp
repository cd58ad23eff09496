// tests/fuzz/invite_fuzz.cpp: invite tokens, as pasted and with a right checksum over hostile
// content.
#include <string>

#include "base/check.h"
#include "base/encoding.h"
#include "crypto/hash.h"
#include "proto/membership/token.h"

using namespace kith;

namespace {

// What parses prints to something that parses and prints to the same.
void check(std::string_view text) {
    auto const token = proto::membership::parse_token(text);
    if (!token) return;
    auto const printed = proto::membership::format_token(*token);
    auto const again = proto::membership::parse_token(printed);
    KITH_ASSERT(again.has_value());
    KITH_ASSERT(proto::membership::format_token(*again) == printed);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    base::ByteView const bytes(data, size);
    check(base::as_text(bytes));

    // The checksum would stop almost every mutation, so it is made right here.
    base::Bytes body(bytes.begin(), bytes.end());
    auto const checksum = crypto::sha256(body);
    body.insert(body.end(), checksum.begin(), checksum.begin() + 4);
    check("kith1" + base::to_base64url(body));
    return 0;
}
