#include "identity/binding.h"

#include "base/check.h"
#include "base/sabotage.h"
#include "identity/contexts.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace kith::identity {

using base::Code;
using base::fail;
using base::seconds;

namespace {

base::ByteView tag() {
    return base::as_bytes(context::identity_binding);
}

template <std::size_t N>
base::Result<base::ByteArray<N>> read_exactly(wire::Reader& reader) {
    auto const bytes = KITH_TRY(reader.prefixed_u16(N));
    if (bytes.size() != N)
        return fail(Code::invalid, "identity binding has a field of the wrong length");
    base::ByteArray<N> out;
    std::ranges::copy(bytes, out.begin());
    return out;
}

base::Result<base::UnixTime> read_time(wire::Reader& reader) {
    auto const value = KITH_TRY(reader.u64());
    // Far beyond any date, yet far from overflow in the arithmetic on validity.
    constexpr std::uint64_t time_max = std::uint64_t{1} << 40;
    if (value > time_max) return fail(Code::invalid, "identity binding has an impossible date");
    return base::UnixTime{static_cast<std::int64_t>(value)};
}

base::Result<BindingBody> decode_body(base::ByteView bytes) {
    wire::Reader reader(bytes);
    auto const found_tag = KITH_TRY(reader.prefixed_u16(tag().size()));
    if (!base::equal(found_tag, tag())) return fail(Code::invalid, "this is no identity binding");
    if (KITH_TRY(reader.u16()) != binding_version)
        return fail(Code::unsupported, "identity binding has an unknown version");
    BindingBody out;
    out.flags = KITH_TRY(reader.u32());
    out.counter = KITH_TRY(reader.u64());
    out.not_before = KITH_TRY(read_time(reader));
    out.not_after = KITH_TRY(read_time(reader));
    out.root = KITH_TRY(read_exactly<crypto::mldsa65_public_key_bytes>(reader));
    out.operational = KITH_TRY(read_exactly<32>(reader));
    out.static_key = KITH_TRY(read_exactly<32>(reader));
    KITH_TRY(reader.expect_end());
    return out;
}

}  // namespace

base::Bytes binding_to_sign(BindingBody const& body) {
    wire::Writer writer;
    writer.prefixed_u16(tag())
        .u16(binding_version)
        .u32(body.flags)
        .u64(body.counter)
        .u64(static_cast<std::uint64_t>(seconds(body.not_before)))
        .u64(static_cast<std::uint64_t>(seconds(body.not_after)))
        .prefixed_u16(body.root)
        .prefixed_u16(body.operational)
        .prefixed_u16(body.static_key);
    KITH_ASSERT(writer.view().size() == binding_body_bytes);
    return writer.take();
}

base::Bytes encode(IdentityBinding const& binding) {
    wire::Writer writer;
    writer.prefixed_u16(binding_to_sign(binding.body))
        .prefixed_u16(binding.root_signature)
        .prefixed_u16(binding.operational_signature);
    KITH_ASSERT(writer.view().size() == binding_bytes);
    return writer.take();
}

base::Result<IdentityBinding> decode_binding(base::ByteView bytes) {
    wire::Reader reader(bytes);
    IdentityBinding out;
    out.body = KITH_TRY(decode_body(KITH_TRY(reader.prefixed_u16(binding_body_bytes))));
    out.root_signature = KITH_TRY(read_exactly<crypto::mldsa65_signature_bytes>(reader));
    out.operational_signature = KITH_TRY(read_exactly<64>(reader));
    KITH_TRY(reader.expect_end());
    return out;
}

base::Result<IdentityBinding> sign_binding(BindingBody const& body,
                                           crypto::MlDsa65SigningKey const& root,
                                           crypto::Ed25519KeyPair const& operational,
                                           crypto::Secret<32> const& random) {
    KITH_ASSERT(body.root == root.public_key());
    KITH_ASSERT(body.operational == operational.public_key());
    auto const bytes = binding_to_sign(body);
    IdentityBinding out;
    out.body = body;
    out.root_signature = KITH_TRY(root.sign(bytes, tag(), random));
    out.operational_signature = operational.sign(bytes);
    return out;
}

base::Result<VerifiedBinding> verify_binding(IdentityBinding binding, base::UnixTime now) {
    auto const& body = binding.body;
    if ((body.flags & ~binding_flags_known) != 0)
        return fail(Code::invalid, "identity binding has a flag this version does not know");
    if (body.not_after <= body.not_before ||
        seconds(body.not_after) - seconds(body.not_before) > binding_validity_seconds_max)
        return fail(Code::invalid, "identity binding has an impossible or too long validity");
    bool const is_current = body.not_before <= now && now < body.not_after;
    if (!KITH_GUARD("E5.validity", is_current))
        return fail(Code::unauthorized,
                    now < body.not_before ? "identity binding is not valid yet; compare the clocks"
                                          : "identity binding has expired");
    auto const bytes = binding_to_sign(body);
    // The cheap signature first: a peer cannot make us do the expensive one with a binding it did
    // not sign.
    bool const operational_ok =
        crypto::ed25519_verify(body.operational, bytes, binding.operational_signature);
    if (!KITH_GUARD("E5.operational_signature", operational_ok))
        return fail(Code::unauthorized, "identity binding is not signed by its operational key");
    bool const root_ok = crypto::mldsa65_verify(body.root, bytes, tag(), binding.root_signature);
    if (!KITH_GUARD("E5.root_signature", root_ok))
        return fail(Code::unauthorized, "identity binding is not signed by its root");
    auto const root_id = RootId::of(body.root);
    return VerifiedBinding(std::move(binding), root_id);
}

}  // namespace kith::identity
