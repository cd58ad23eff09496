#include "proto/kad/record.h"

#include <algorithm>
#include <tuple>

#include "base/check.h"
#include "base/sabotage.h"
#include "identity/contexts.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace kith::proto::kad {

using base::Bytes;
using base::ByteView;
using base::Code;
using base::fail;
using base::Result;
using base::Status;
using base::UnixTime;

namespace {

Bytes to_sign(RecordScope const& scope, ByteView payload) {
    wire::Writer writer;
    writer.prefixed_u16(base::as_bytes(identity::context::dht_record))
        .u8(static_cast<std::uint8_t>(scope.kind))
        .prefixed_u16(base::as_bytes(scope.domain))
        .prefixed_u16(scope.key)
        .prefixed_u32(payload);
    return writer.take();
}

struct Opened {
    crypto::Ed25519PublicKey author{};
    Stamp stamp;
};

Result<Opened> open(RecordScope const& scope, ByteView value, UnixTime now) {
    if (value.size() < record_head_bytes + record_stamp_bytes)
        return fail(Code::invalid, "record: too short to be signed");
    wire::Reader reader(value);
    Opened opened;
    opened.author = KITH_TRY(reader.array<32>());
    auto const signature = KITH_TRY(reader.array<64>());
    auto const payload = reader.rest();
    opened.stamp.sequence = KITH_TRY(reader.u64());
    auto const issued = KITH_TRY(reader.u64());
    bool const genuine = crypto::ed25519_verify(opened.author, to_sign(scope, payload), signature);
    if (!KITH_GUARD("S23.signature", genuine))
        return fail(Code::unauthorized, "record: the signature is not good for this key");
    // A time of the future would outlive the hour; the subtraction below cannot overflow then.
    auto const latest = base::seconds(now) + clock_skew_seconds_max;
    if (latest < 0 || issued > static_cast<std::uint64_t>(latest))
        return fail(Code::invalid, "record: issued in the future");
    opened.stamp.issued = UnixTime{static_cast<std::int64_t>(issued)};
    bool const fresh = base::seconds(now) - static_cast<std::int64_t>(issued) < record_seconds_max;
    if (!KITH_GUARD("S26.expiry", fresh)) return fail(Code::conflict, "record: expired");
    return opened;
}

bool owns_key(ByteView key, std::string const& name, crypto::Ed25519PublicKey const& author) {
    auto const rest = key.subspan(name.size() + 2);
    return rest.size() >= author.size() && base::equal(rest.first(author.size()), author);
}

}  // namespace

Bytes sign_record(RecordScope const& scope, Stamp const& stamp, ByteView body,
                  Signer const& signer) {
    KITH_ASSERT(body.size() <= body_bytes_max);
    wire::Writer payload;
    payload.u64(stamp.sequence)
        .u64(static_cast<std::uint64_t>(base::seconds(stamp.issued)))
        .bytes(body);
    wire::Writer record;
    record.bytes(signer.public_key)
        .bytes(signer.sign(to_sign(scope, payload.view())))
        .bytes(payload.view());
    return record.take();
}

RecordChecker::RecordChecker(std::string domain, std::vector<Namespace> namespaces,
                             UnsignedProviders unsigned_providers)
    : domain_(std::move(domain)),
      namespaces_(std::move(namespaces)),
      unsigned_providers_(unsigned_providers) {
    KITH_ASSERT(namespaces_.size() <= namespaces_max);
    for (auto const& one : namespaces_) {
        KITH_ASSERT(!one.name.empty() && one.name.size() <= namespace_chars_max);
        KITH_ASSERT(one.judge || one.form == Namespace::Form::plain ||
                    one.author == Namespace::Author::in_key);
    }
}

Namespace const* RecordChecker::find(ByteView key) const {
    auto const text = base::as_text(key);
    if (text.empty() || text.front() != '/' || text.size() > message_key_bytes_max) return nullptr;
    auto const end = text.find('/', 1);
    if (end == std::string_view::npos || end + 1 == text.size()) return nullptr;
    auto const found = std::ranges::find(namespaces_, text.substr(1, end - 1), &Namespace::name);
    return found == namespaces_.end() ? nullptr : &*found;
}

Result<VerifiedRecord> RecordChecker::check(ByteView key, ByteView value, UnixTime now) const {
    auto const* const space = find(key);
    if (!space) return fail(Code::unsupported, "record: the key is in no namespace known here");
    if (value.empty()) return fail(Code::invalid, "record: no value");
    if (value.size() > value_bytes_max) return fail(Code::too_large, "record: value is too long");
    VerifiedRecord record;
    if (space->form == Namespace::Form::signed_by_author) {
        auto const opened =
            KITH_TRY(open({.kind = RecordKind::value, .domain = domain_, .key = key}, value, now));
        bool const is_owner =
            space->author == Namespace::Author::judged || owns_key(key, space->name, opened.author);
        if (!KITH_GUARD("S23.author", is_owner))
            return fail(Code::unauthorized, "record: the key belongs to somebody else");
        record.author_ = opened.author;
        record.stamp_ = opened.stamp;
        record.body_at_ = record_head_bytes + record_stamp_bytes;
    }
    record.key_ = base::to_bytes(key);
    record.value_ = base::to_bytes(value);
    if (space->judge)
        KITH_TRY(space->judge({.key = record.key_,
                               .author = record.author_ ? &*record.author_ : nullptr,
                               .body = record.body()}));
    return record;
}

Result<VerifiedProvider> RecordChecker::check_provider(ByteView key, ProviderInfo info,
                                                       UnixTime now) const {
    if (key.empty() || key.size() > provider_key_bytes_max)
        return fail(Code::invalid, "provider: the key is no multihash");
    VerifiedProvider provider;
    if (!info.proof.empty()) {
        RecordScope const scope{.kind = RecordKind::provider, .domain = domain_, .key = key};
        auto const opened = KITH_TRY(open(scope, info.proof, now));
        bool const is_signer = opened.author == info.peer.id.public_key();
        if (!KITH_GUARD("S24.signer", is_signer))
            return fail(Code::unauthorized, "provider: signed by somebody else");
        provider.stamp_ = opened.stamp;
    } else if (!KITH_GUARD("S24.unsigned", unsigned_providers_ == UnsignedProviders::allowed)) {
        return fail(Code::unauthorized, "provider: not signed");
    }
    provider.key_ = base::to_bytes(key);
    provider.info_ = std::move(info);
    return provider;
}

bool RecordChecker::is_better(VerifiedRecord const& a, VerifiedRecord const& b) const {
    if (a.stamp_ && b.stamp_) return std::tie(*a.stamp_, a.value_) > std::tie(*b.stamp_, b.value_);
    auto const* const space = find(a.key_);
    if (space && space->is_better) return space->is_better(a.value_, b.value_);
    return a.value_ > b.value_;
}

}  // namespace kith::proto::kad
