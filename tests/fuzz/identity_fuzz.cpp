// tests/fuzz/identity_fuzz.cpp: names of identities as people paste them, the encodings under them,
// and bindings of roots to keys as members send them.
//
// First byte: 0 text, for all that reads names; 1 bytes, for all that reads them; 2 a true binding
// with the edits of the input (fuzz_edits.h); 3 a binding whose flags u32, counter u64 and two
// times u64 are the input's, signed right here by its two keys. Checked: what is read is written
// again the same; no edited binding is accepted; a signed one is, exactly when its dates and flags
// say so.
#include "base/check.h"
#include "base/encoding.h"
#include "fuzz_edits.h"
#include "fuzz_identity.h"
#include "wire/reader.h"

using namespace kith;

namespace {

template <class Id>
void read_name(std::string_view text, std::string (Id::*print)() const) {
    auto const id = Id::parse(text);
    if (!id) return;
    auto const again = Id::parse(((*id).*print)());
    KITH_ASSERT(again.has_value() && *again == *id);
}

void read_text(std::string_view text) {
    read_name<identity::NodeId>(text, &identity::NodeId::to_hex);
    read_name<identity::RootId>(text, &identity::RootId::to_hex);
    read_name<identity::PeerId>(text, &identity::PeerId::to_text);
    read_name<identity::Address>(text, &identity::Address::to_text);
    if (auto const bytes = base::from_base64url(text))
        KITH_ASSERT(base::to_base64url(*bytes) == text);
    if (auto const bytes = base::from_hex(text))
        KITH_ASSERT(base::from_hex(base::to_hex(*bytes)).value() == *bytes);
    auto const plain = base::from_base58(text);
    if (plain) KITH_ASSERT(base::to_base58(*plain) == text);
    if (auto const bytes = identity::from_base58check(text))
        KITH_ASSERT(identity::to_base58check(*bytes) == text);
}

void read_bytes(base::ByteView bytes) {
    if (auto const peer = identity::PeerId::from_multihash(bytes))
        KITH_ASSERT(base::equal(peer->to_multihash(), bytes));
    if (auto const peer = identity::PeerId::from_protobuf(bytes))
        KITH_ASSERT(base::equal(peer->to_protobuf(), bytes));
    if (auto const binding = identity::decode_binding(bytes))
        KITH_ASSERT(base::equal(identity::encode(*binding), bytes));
    KITH_ASSERT(base::equal(base::from_hex(base::to_hex(bytes)).value(), bytes));
    KITH_ASSERT(base::equal(base::from_base64url(base::to_base64url(bytes)).value(), bytes));
    if (bytes.size() <= base::base58_bytes_max)
        KITH_ASSERT(base::equal(base::from_base58(base::to_base58(bytes)).value(), bytes));
}

struct Signers {
    identity::Identity alice = fuzz::identity_of(1);
    base::Bytes encoded = identity::encode(alice.binding());
    crypto::MlDsa65SigningKey root{fuzz::secret_of<32>(3)};
    crypto::Ed25519KeyPair operational{fuzz::secret_of<32>(4)};
};

void read_edited(fuzz::FuzzInput& input, Signers const& signers) {
    auto const bytes = fuzz::edited(input, signers.encoded);
    read_bytes(bytes);
    auto binding = identity::decode_binding(bytes);
    if (!binding) return;
    bool const is_true = bytes == signers.encoded;
    KITH_ASSERT(identity::verify_binding(std::move(*binding), fuzz::today).has_value() == is_true);
}

constexpr std::uint64_t now = base::seconds(fuzz::today);
constexpr std::uint64_t validity_max = identity::binding_validity_seconds_max;

void verify_signed(base::ByteView bytes, Signers const& signers) {
    wire::Reader reader(bytes);
    auto const flags = reader.u32();
    auto const counter = reader.u64(), begin = reader.u64(), end = reader.u64();
    if (!flags || !counter || !begin || !end) return;
    identity::BindingBody body{.flags = *flags,
                               .counter = *counter,
                               .not_before = base::UnixTime{static_cast<std::int64_t>(*begin)},
                               .not_after = base::UnixTime{static_cast<std::int64_t>(*end)},
                               .root = signers.root.public_key(),
                               .operational = signers.operational.public_key(),
                               .static_key = signers.alice.static_public_key()};
    auto const made =
        identity::sign_binding(body, signers.root, signers.operational, fuzz::secret_of<32>(5));
    KITH_ASSERT(made.has_value());
    auto const encoded = identity::encode(*made);
    KITH_ASSERT(encoded.size() == identity::binding_bytes);
    auto read = identity::decode_binding(encoded);
    constexpr std::uint64_t time_max = std::uint64_t{1} << 40;
    KITH_ASSERT(read.has_value() == (*begin <= time_max && *end <= time_max));
    if (!read) return;
    KITH_ASSERT(*read == *made);
    bool const is_right = *begin <= now && now < *end && *end - *begin <= validity_max &&
                          (*flags & ~identity::binding_flags_known) == 0;
    KITH_ASSERT(identity::verify_binding(std::move(*read), fuzz::today).has_value() == is_right);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    static Signers const signers;
    fuzz::FuzzInput input(data, size);
    auto const kind = input.byte() % 4;
    if (kind == 2) {
        read_edited(input, signers);
        return 0;
    }
    auto const rest = input.text(size);
    if (kind == 0) read_text(rest);
    if (kind == 1) read_bytes(base::as_bytes(rest));
    if (kind == 3) verify_signed(base::as_bytes(rest), signers);
    return 0;
}
