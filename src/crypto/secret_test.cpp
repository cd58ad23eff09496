#include "crypto/secret.h"

#include <doctest/doctest.h>

#include <concepts>
#include <new>
#include <ostream>

#include "crypto/constant_time.h"
#include "crypto/ed25519.h"
#include "crypto/x25519.h"

using namespace kith;
using crypto::Secret;
using crypto::SecretBytes;

namespace {

template <class T>
concept Printable = requires(std::ostream& out, T const& value) {
    out << value;
};

static_assert(!std::is_copy_constructible_v<Secret<32>>);
static_assert(!std::is_copy_assignable_v<Secret<32>>);
static_assert(!std::equality_comparable<Secret<32>>);
static_assert(!Printable<Secret<32>>);
static_assert(!std::is_copy_constructible_v<SecretBytes>);
static_assert(!std::equality_comparable<SecretBytes>);
static_assert(!Printable<SecretBytes>);
static_assert(std::is_nothrow_move_constructible_v<Secret<32>>);

Secret<32> filled(std::uint8_t byte) {
    Secret<32> out;
    std::ranges::fill(out.mutable_view(), byte);
    return out;
}

}  // namespace

TEST_CASE("moving a secret wipes its source") {
    auto source = filled(7);
    Secret<32> const target = std::move(source);
    CHECK(target.view()[31] == 7);
    CHECK(std::ranges::count(source.view(), 0) ==
          32);  // NOLINT(bugprone-use-after-move): the point
    Secret<32> assigned;
    auto other = filled(9);
    assigned = std::move(other);
    CHECK(assigned.view()[0] == 9);
    CHECK(std::ranges::count(other.view(), 0) == 32);  // NOLINT(bugprone-use-after-move)
}

TEST_CASE("destroying a secret wipes it") {
    alignas(Secret<32>) base::ByteArray<sizeof(Secret<32>)> storage{};
    auto* const secret = new (storage.data()) Secret<32>(filled(0x5a));
    CHECK(std::ranges::count(storage, 0x5a) == 32);
    secret->~Secret();
    CHECK(std::ranges::count(storage, 0x5a) == 0);
}

TEST_CASE("a secret is taken only from bytes of its exact length") {
    base::Bytes const bytes(33, 1);
    CHECK(Secret<32>::from(base::ByteView(bytes).first(32)));
    CHECK(Secret<32>::from(bytes).error().code == base::Code::invalid);
    CHECK(!Secret<32>::from(base::ByteView(bytes).first(31)));
    CHECK(!Secret<32>::from({}));
}

TEST_CASE("clone makes an independent copy and dynamic secrets move their storage") {
    auto const original = filled(3);
    auto copy = original.clone();
    copy.mutable_view()[0] = 4;
    CHECK(original.view()[0] == 3);
    SecretBytes dynamic(base::Bytes{1, 2, 3});
    SecretBytes const moved = std::move(dynamic);
    CHECK(moved.size() == 3);
    CHECK(dynamic.size() == 0);  // NOLINT(bugprone-use-after-move)
    CHECK(moved.clone().view()[2] == 3);
}

TEST_CASE("constant_time_equal compares contents and lengths") {
    base::Bytes const a = {1, 2, 3};
    CHECK(crypto::constant_time_equal(a, base::Bytes{1, 2, 3}));
    CHECK(!crypto::constant_time_equal(a, base::Bytes{1, 2, 4}));
    CHECK(!crypto::constant_time_equal(a, base::Bytes{1, 2}));
    CHECK(crypto::constant_time_equal({}, {}));
}

TEST_CASE("both sides of X25519 agree and a point of small order is refused") {
    auto const a = filled(0x11);
    auto const b = filled(0x22);
    auto const left = crypto::x25519(a, crypto::x25519_public_key(b));
    auto const right = crypto::x25519(b, crypto::x25519_public_key(a));
    REQUIRE(left);
    REQUIRE(right);
    CHECK(crypto::constant_time_equal(left->view(), right->view()));
    crypto::X25519PublicKey one{1};
    CHECK(crypto::x25519(a, one).error().code == base::Code::unauthorized);
    CHECK(crypto::x25519(a, crypto::X25519PublicKey{}).error().code == base::Code::unauthorized);
}

TEST_CASE("an Ed25519 signature verifies only for its key, message and bytes") {
    crypto::Ed25519KeyPair const pair(filled(1));
    crypto::Ed25519KeyPair const other(filled(2));
    auto const message = base::as_bytes("kith and kin");
    auto const signature = pair.sign(message);
    CHECK(crypto::ed25519_verify(pair.public_key(), message, signature));
    CHECK(!crypto::ed25519_verify(other.public_key(), message, signature));
    CHECK(!crypto::ed25519_verify(pair.public_key(), base::as_bytes("kith and kim"), signature));
    for (std::size_t i = 0; i < signature.size(); ++i) {
        auto flipped = signature;
        flipped[i] ^= 1;
        CHECK(!crypto::ed25519_verify(pair.public_key(), message, flipped));
    }
    auto const empty = pair.sign({});
    CHECK(crypto::ed25519_verify(pair.public_key(), {}, empty));
}
