// The refusals of E5: every way in which a binding can be wrong, and each signature attacked alone.
#include "identity/binding.h"

#include <doctest/doctest.h>

#include "identity/contexts.h"
#include "identity/identity.h"

using namespace kith;
using namespace identity;
using base::Code;
using base::UnixTime;

namespace {

constexpr std::int64_t day = 86400;
constexpr UnixTime now{1'800'000'000};

UnixTime after(std::int64_t seconds) {
    return UnixTime{base::seconds(now) + seconds};
}

crypto::Secret<32> filled(std::uint8_t byte) {
    crypto::Secret<32> out;
    std::ranges::fill(out.mutable_view(), byte);
    return out;
}

struct Person {
    explicit Person(std::uint8_t number)
        : root(filled(number)), operational(filled(static_cast<std::uint8_t>(number + 100))) {
        body.counter = 1;
        body.not_before = after(-day);
        body.not_after = after(day);
        body.root = root.public_key();
        body.operational = operational.public_key();
        body.static_key[0] = number;
    }
    [[nodiscard]] IdentityBinding binding() const {
        auto out = sign_binding(body, root, operational, filled(0));
        REQUIRE(out);
        return *out;
    }

    crypto::MlDsa65SigningKey root;
    crypto::Ed25519KeyPair operational;
    BindingBody body;
};

void refused(IdentityBinding const& binding, Code code, std::string_view word) {
    auto const result = verify_binding(binding, now);
    REQUIRE(!result);
    CHECK(result.error().code == code);
    CHECK_MESSAGE(result.error().message.find(word) != std::string::npos, result.error().message);
}

static_assert(!std::is_default_constructible_v<VerifiedBinding>);
static_assert(!std::is_constructible_v<VerifiedBinding, IdentityBinding, RootId>);

}  // namespace

TEST_CASE("E5: a binding signed by both keys verifies and yields the four ids") {
    Person const person(1);
    auto const verified = verify_binding(person.binding(), now);
    REQUIRE(verified);
    CHECK(verified->node_id().bytes == person.operational.public_key());
    CHECK(verified->peer_id().public_key() == person.operational.public_key());
    CHECK(verified->root_id() == RootId::of(person.root.public_key()));
    CHECK(verified->address() == Address::of(person.root.public_key()));
}

TEST_CASE("E5: a binding is valid from its first second until before its last") {
    Person const person(1);
    auto const binding = person.binding();
    CHECK(verify_binding(binding, after(-day)));
    CHECK(verify_binding(binding, after(day - 1)));
    for (auto const when : {after(-day - 1), after(day), after(1000 * day), UnixTime{0}}) {
        auto const result = verify_binding(binding, when);
        REQUIRE(!result);
        CHECK(result.error().code == Code::unauthorized);
    }
}

TEST_CASE("E5: validity that is empty, reversed or longer than allowed is refused") {
    Person person(1);
    person.body.not_after = person.body.not_before;
    refused(person.binding(), Code::invalid, "validity");
    person.body.not_after = after(-2 * day);
    refused(person.binding(), Code::invalid, "validity");
    person.body.not_after =
        UnixTime{base::seconds(person.body.not_before) + binding_validity_seconds_max};
    CHECK(verify_binding(person.binding(), now));
    person.body.not_after = UnixTime{base::seconds(person.body.not_after) + 1};
    refused(person.binding(), Code::invalid, "validity");
}

TEST_CASE("E5: an operational key of somebody else cannot be bound without its signature") {
    Person const thief(1);
    Person const victim(2);
    auto body = thief.body;
    body.operational = victim.operational.public_key();
    IdentityBinding forged;
    forged.body = body;
    auto const root_signature = thief.root.sign(
        binding_to_sign(body), base::as_bytes(context::identity_binding), filled(0));
    REQUIRE(root_signature);
    forged.root_signature = *root_signature;
    refused(forged, Code::unauthorized, "operational key");  // no signature at all
    forged.operational_signature = thief.operational.sign(binding_to_sign(body));
    refused(forged, Code::unauthorized, "operational key");
    forged.operational_signature =
        victim.binding().operational_signature;  // real, over another body
    refused(forged, Code::unauthorized, "operational key");
}

TEST_CASE("E5: an operational key cannot bind itself to somebody else's root") {
    Person const thief(1);
    Person const victim(2);
    IdentityBinding forged;
    forged.body = thief.body;
    forged.body.root = victim.root.public_key();
    forged.operational_signature = thief.operational.sign(binding_to_sign(forged.body));
    refused(forged, Code::unauthorized, "its root");
    forged.root_signature = victim.binding().root_signature;
    refused(forged, Code::unauthorized, "its root");
    forged.root_signature = thief.binding().root_signature;
    refused(forged, Code::unauthorized, "its root");
}

TEST_CASE("E5: a root signature under any other context is refused") {
    Person const person(1);
    for (auto const other :
         {context::invite, context::membership, context::channel_auth, std::string_view{}}) {
        auto binding = person.binding();
        auto const signature =
            person.root.sign(binding_to_sign(person.body), base::as_bytes(other), filled(0));
        REQUIRE(signature);
        binding.root_signature = *signature;
        refused(binding, Code::unauthorized, "its root");
    }
}

TEST_CASE("E5: unknown flags are refused, the service flag is known") {
    Person person(1);
    person.body.flags = binding_flag_service;
    CHECK(verify_binding(person.binding(), now));
    person.body.flags = 2;
    refused(person.binding(), Code::invalid, "flag");
    person.body.flags = 0x80000001;
    refused(person.binding(), Code::invalid, "flag");
}

TEST_CASE("a binding encodes to its fixed size and decodes to itself") {
    Person const person(3);
    auto const binding = person.binding();
    auto const bytes = encode(binding);
    CHECK(bytes.size() == binding_bytes);
    auto const decoded = decode_binding(bytes);
    REQUIRE(decoded);
    CHECK(*decoded == binding);
}

TEST_CASE("E5: a flipped bit in any byte of an encoded binding is refused") {
    auto const good = encode(Person(1).binding());
    for (std::size_t i = 0; i < good.size(); i += i < 100 || i > good.size() - 70 ? 1U : 41U) {
        auto bad = good;
        bad[i] ^= static_cast<std::uint8_t>(1 << (i % 8));
        auto const decoded = decode_binding(bad);
        CAPTURE(i);
        if (decoded) CHECK(!verify_binding(*decoded, now));
    }
}

TEST_CASE("a binding of any other length is refused") {
    auto const good = encode(Person(1).binding());
    for (std::size_t size = 0; size < good.size(); size += 97)
        CHECK(!decode_binding(base::ByteView(good).first(size)));
    auto longer = good;
    longer.push_back(0);
    CHECK(!decode_binding(longer));
}

TEST_CASE(
    "an identity signs with each key for its purpose and renews its binding with the next "
    "counter") {
    crypto::Secret<identity_random_bytes> random;
    for (std::size_t i = 0; i < identity_random_bytes; ++i)
        random.mutable_view()[i] = static_cast<std::uint8_t>(i);
    auto identity = Identity::create(random, now);
    REQUIRE(identity);
    CHECK(identity->binding().body.counter == 1);
    CHECK(verify_binding(identity->binding(), now));
    CHECK(identity->node_id().bytes == identity->operational_public_key());

    auto const message = base::as_bytes("hello");
    CHECK(crypto::ed25519_verify(identity->operational_public_key(), message,
                                 identity->sign_operational(message)));
    auto const signature = identity->sign_root(context::invite, message, filled(1));
    REQUIRE(signature);
    CHECK(crypto::mldsa65_verify(identity->root_public_key(), message,
                                 base::as_bytes(context::invite), *signature));
    CHECK(!crypto::mldsa65_verify(identity->root_public_key(), message,
                                  base::as_bytes(context::membership), *signature));

    CHECK(!identity->needs_renewal(now));
    CHECK(!identity->needs_renewal(after(binding_renewal_seconds - 1)));
    CHECK(identity->needs_renewal(after(binding_renewal_seconds)));
    CHECK(identity->needs_renewal(after(-2 * day)));  // the clock was set back
    auto const address = identity->address();
    REQUIRE(identity->renew(after(binding_renewal_seconds), filled(2)));
    CHECK(identity->binding().body.counter == 2);
    CHECK(identity->address() == address);
    CHECK(verify_binding(identity->binding(), after(binding_validity_seconds + day)));
}
