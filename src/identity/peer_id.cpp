#include "identity/peer_id.h"

#include "base/encoding.h"
#include "base/sabotage.h"

namespace kith::identity {

using base::Code;
using base::fail;

namespace {

// PublicKey protobuf {1: type = Ed25519 (1), 2: data, 32 bytes} in its one deterministic form.
constexpr base::ByteArray<4> protobuf_prefix = {0x08, 0x01, 0x12, 0x20};
constexpr base::ByteArray<2> identity_multihash = {0x00, public_key_protobuf_bytes};
constexpr base::ByteArray<2> sha256_multihash = {0x12, 0x20};
constexpr base::ByteArray<2> cid_v1_libp2p_key = {0x01, 0x72};

bool begins_with(base::ByteView bytes, base::ByteView prefix) {
    return bytes.size() >= prefix.size() && base::equal(bytes.first(prefix.size()), prefix);
}

std::unexpected<base::Error> other_key_type() {
    return fail(Code::unsupported, "this peer's key is not Ed25519; only Ed25519 is supported");
}

// RFC 4648 base32, lower case, no padding; trailing bits must be zero.
base::Result<base::Bytes> from_base32(std::string_view text) {
    constexpr std::string_view digits = "abcdefghijklmnopqrstuvwxyz234567";
    base::Bytes out;
    std::uint32_t bits = 0;
    unsigned count = 0;
    for (char const c : text) {
        auto const value = digits.find(c);
        if (value == std::string_view::npos)
            return fail(Code::invalid, "peer id has a character outside base32");
        bits = (bits << 5) | static_cast<std::uint32_t>(value);
        count += 5;
        if (count >= 8) {
            count -= 8;
            out.push_back(static_cast<std::uint8_t>(bits >> count));
            bits &= (1U << count) - 1;
        }
    }
    if (count >= 5 || bits != 0) return fail(Code::invalid, "peer id ends in stray bits");
    return out;
}

}  // namespace

std::string PeerId::to_text() const {
    return base::to_base58(to_multihash());
}

base::ByteArray<peer_id_bytes> PeerId::to_multihash() const {
    base::ByteArray<peer_id_bytes> out;
    auto const rest = std::copy(identity_multihash.begin(), identity_multihash.end(), out.begin());
    std::ranges::copy(to_protobuf(), rest);
    return out;
}

base::ByteArray<public_key_protobuf_bytes> PeerId::to_protobuf() const {
    base::ByteArray<public_key_protobuf_bytes> out;
    auto const rest = std::copy(protobuf_prefix.begin(), protobuf_prefix.end(), out.begin());
    std::ranges::copy(node_.bytes, rest);
    return out;
}

base::Result<PeerId> PeerId::parse(std::string_view text) {
    if (text.size() > peer_id_chars_max)
        return fail(Code::invalid, "this is too long for a peer id");
    if (text.starts_with('b')) {  // multibase prefix of lower-case base32
        auto const cid = KITH_TRY(from_base32(text.substr(1)));
        if (!begins_with(cid, cid_v1_libp2p_key))
            return fail(Code::invalid, "this CID does not name a libp2p key");
        return from_multihash(base::ByteView(cid).subspan(cid_v1_libp2p_key.size()));
    }
    return from_multihash(KITH_TRY(base::from_base58(text)));
}

base::Result<PeerId> PeerId::from_multihash(base::ByteView bytes) {
    if (begins_with(bytes, sha256_multihash) && bytes.size() == 2 + 32) return other_key_type();
    if (bytes.size() < 2 || bytes[0] != 0 || bytes[1] != bytes.size() - 2)
        return fail(Code::invalid, "this is not a peer id");
    return from_protobuf(bytes.subspan(2));
}

base::Result<PeerId> PeerId::from_protobuf(base::ByteView bytes) {
    // Field 1 first, as the deterministic form has it; RSA is 0, secp256k1 2, ECDSA 3.
    bool const has_type = bytes.size() > 2 && bytes[0] == 0x08 && bytes[2] == 0x12;
    bool const is_ed25519 = has_type && bytes[1] == protobuf_prefix[1];
    if (has_type && !KITH_GUARD("P7.ed25519_only", is_ed25519)) return other_key_type();
    if (!has_type || bytes.size() != public_key_protobuf_bytes || bytes[3] != protobuf_prefix[3])
        return fail(Code::invalid, "this is not the encoding of a public key");
    NodeId node;
    std::ranges::copy(bytes.subspan(protobuf_prefix.size()), node.bytes.begin());
    return PeerId(node);
}

}  // namespace kith::identity
