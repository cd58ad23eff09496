// What no vector file covers (measured: mutants of these survive ACVP and Wycheproof). The vectors
// themselves run in tests/vectors.
#include "crypto/mldsa65.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <random>

#include "crypto/mldsa/core.h"

using namespace kith;
using namespace crypto::mldsa;
using base::as_bytes;
using crypto::mldsa65_verify;

namespace {

crypto::Secret<32> filled(std::uint8_t byte) {
    crypto::Secret<32> out;
    std::ranges::fill(out.mutable_view(), byte);
    return out;
}

// FIPS 204 algorithms 36 and 39, word for word, with divisions.
Split decompose_by_definition(std::int32_t r) {
    auto low = r % (2 * gamma2);
    if (low > gamma2) low -= 2 * gamma2;
    if (r - low == q - 1) return {0, low - 1};
    return {(r - low) / (2 * gamma2), low};
}
std::int32_t modulo(std::int64_t a) {
    return static_cast<std::int32_t>(((a % q) + q) % q);
}

}  // namespace

TEST_CASE(
    "decompose and power2_round agree with their definition around every boundary and across the "
    "field") {
    auto const check = [](std::int32_t r) {
        auto const fast = decompose(r);
        auto const slow = decompose_by_definition(r);
        REQUIRE(fast.high == slow.high);
        REQUIRE(fast.low == slow.low);
        auto const rounded = power2_round(r);
        REQUIRE(rounded.high * 8192 + rounded.low == r);
        REQUIRE(rounded.low > -4096);
        REQUIRE(rounded.low <= 4096);
    };
    for (std::int32_t step = 0; step <= 32; ++step)
        for (std::int32_t offset = -3; offset <= 3; ++offset) check(modulo(step * gamma2 + offset));
    for (std::int32_t r = 0; r < q; r += 251) check(r);
}

TEST_CASE(
    "make_hint says whether the high bits change, and use_hint recovers them, at every boundary") {
    // As the signer uses it: r = w - c s2 and z = c t0, |z| < gamma2; low(r) + z and high(r) go in.
    // r runs over every value around every multiple of gamma2, z over every value that puts the
    // sum, or z itself, at a boundary.
    std::size_t tried = 0;
    for (std::int32_t step = 0; step <= 32; ++step) {
        for (std::int32_t offset = -4; offset <= 4; ++offset) {
            auto const r = modulo(step * gamma2 + offset);
            auto const split = decompose_by_definition(r);
            auto const check = [&](std::int32_t z) {
                if (z <= -gamma2 || z >= gamma2) return;
                auto const moved = modulo(std::int64_t{r} + z);
                auto const high = decompose_by_definition(moved).high;
                auto const hint = make_hint(split.low + z, split.high);
                CAPTURE(r);
                CAPTURE(z);
                REQUIRE(hint == (high != split.high ? 1 : 0));
                REQUIRE(use_hint(moved, hint) == split.high);
                ++tried;
            };
            for (std::int32_t delta = -4; delta <= 4; ++delta) {
                for (std::int32_t const edge : {-gamma2, 0, gamma2}) {
                    check(edge + delta - split.low);  // low(r) + z is edge + delta
                    check(edge + delta);              // z is
                }
            }
        }
    }
    CHECK(tried > 8000);
}

TEST_CASE("the product of a challenge and t0 is small enough for every key there can be") {
    // The extreme t0, every coefficient 2^12 with the sign that adds up: its norm is tau 2^12,
    // still below gamma2. The norm check on it is therefore never the reason of a rejection.
    auto challenge = sample_in_ball(base::ByteArray<challenge_bytes>{});
    Poly extreme;
    for (std::size_t i = 0; i < n; ++i)  // coefficient 0 of the product: c_0 t_0 - sum c_i t_(n-i)
        extreme.c[(n - i) % n] = (i == 0 ? 4096 : -4096) * (challenge.c[i] < 0 ? -1 : 1);
    ntt(challenge);
    ntt(extreme);
    Poly product;
    multiply(product, &challenge, &extreme, 1);
    inverse_ntt(product);
    reduce(product);
    CHECK(std::abs(product.c[0]) == static_cast<std::int32_t>(tau) * 4096);
    CHECK(norm_below(product, gamma2));
    CHECK(!norm_below(product, static_cast<std::int32_t>(tau) * 4096));
}

TEST_CASE("the norm check is exact at its bound and takes both signs") {
    for (std::int32_t const bound : {gamma1 - beta, gamma2 - beta, gamma2, eta + 1}) {
        for (std::size_t const place : {0U, 100U, 255U}) {
            Poly poly;
            for (std::int32_t const sign : {-1, 1}) {
                poly.c[place] = sign * (bound - 1);
                CHECK(norm_below(poly, bound));
                poly.c[place] = sign * bound;
                CHECK(!norm_below(poly, bound));
            }
        }
    }
}

TEST_CASE("the transform multiplies polynomials modulo X^256 + 1") {
    Poly a;
    Poly b;
    for (std::size_t i = 0; i < n; ++i) {
        a.c[i] = static_cast<std::int32_t>(i * 32749 % q) - 4'000'000;
        b.c[i] = q - 1 - static_cast<std::int32_t>(i);
    }
    std::array<std::int64_t, n> expected{};
    for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = 0; j < n; ++j) {
            auto const product = std::int64_t{a.c[i]} * b.c[j] % q;
            auto& place = expected[(i + j) % n];
            place = (place + (i + j < n ? product : -product)) % q;
        }
    }
    ntt(a);
    ntt(b);
    Poly out;
    multiply(out, &a, &b, 1);
    inverse_ntt(out);
    for (std::size_t i = 0; i < n; ++i) REQUIRE(modulo(out.c[i]) == modulo(expected[i]));
}

TEST_CASE("a hint of weight omega encodes and decodes; every other encoding of it is refused") {
    Vector<rows> hint{};
    for (std::size_t i = 0; i < omega; ++i) hint[i % rows].c[4 * i] = 1;
    base::ByteArray<hint_bytes> bytes;
    encode_hint(hint, bytes);
    Vector<rows> decoded;
    REQUIRE(decode_hint(decoded, bytes));
    for (std::size_t row = 0; row < rows; ++row) CHECK(decoded[row].c == hint[row].c);
    for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
        auto changed = bytes;
        changed[bit / 8] ^= static_cast<std::uint8_t>(1 << (bit % 8));
        if (!decode_hint(decoded, changed)) continue;
        base::ByteArray<hint_bytes> again;
        encode_hint(decoded, again);
        CHECK(again == changed);
    }
}

TEST_CASE("whatever decodes as a hint encodes to the same bytes: seeded random encodings") {
    std::uint64_t const seed = 20260917;
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    std::size_t accepted = 0;
    for (int i = 0; i < 20'000; ++i) {
        // Mostly plausible: rising positions and counts, then a few damaged bytes.
        base::ByteArray<hint_bytes> bytes{};
        std::size_t count = 0;
        for (std::size_t row = 0; row < rows; ++row) {
            std::size_t position = random() % 60;
            for (auto ones = random() % 12; ones > 0 && position < n && count < omega; --ones) {
                bytes[count++] = static_cast<std::uint8_t>(position);
                position += 1 + random() % 40;
            }
            bytes[omega + row] = static_cast<std::uint8_t>(count);
        }
        for (auto damage = random() % 3; damage > 0; --damage)
            bytes[random() % bytes.size()] = static_cast<std::uint8_t>(random() % 64);
        Vector<rows> decoded;
        if (!decode_hint(decoded, bytes)) continue;
        ++accepted;
        base::ByteArray<hint_bytes> again;
        encode_hint(decoded, again);
        REQUIRE(again == bytes);
    }
    CHECK(accepted > 5'000);
    CHECK(accepted < 19'000);
}

TEST_CASE("the rejection loop ends at its bound with an error when every attempt is rejected") {
    std::vector<std::uint16_t> kappas;
    auto const never = [&kappas](std::uint16_t kappa) -> std::optional<crypto::MlDsa65Signature> {
        kappas.push_back(kappa);
        return std::nullopt;
    };
    CHECK(first_accepted(attempts_max, never).error().code == base::Code::internal);
    REQUIRE(kappas.size() == attempts_max);
    // No two attempts share a mask: each takes the next l nonces.
    for (std::size_t i = 0; i < kappas.size(); ++i) REQUIRE(kappas[i] == i * columns);
    auto const at_last = [&kappas](std::uint16_t kappa) -> std::optional<crypto::MlDsa65Signature> {
        if (kappa != kappas.back()) return std::nullopt;
        return crypto::MlDsa65Signature{};
    };
    CHECK(first_accepted(attempts_max, at_last).has_value());
    CHECK(!first_accepted(attempts_max - 1, at_last).has_value());
}

TEST_CASE("signing gives up, instead of looping, when its bound is reached") {
    crypto::MlDsa65PublicKey public_key;
    ExpandedKey expanded;
    generate_key(filled(1), public_key, expanded);
    Representative mu{};
    CHECK(sign(expanded, mu, filled(0).view(), 0).error().code == base::Code::internal);
    std::size_t failed = 0;
    for (std::uint8_t i = 0; i < 40; ++i)
        if (!sign(expanded, mu, filled(i).view(), 1)) ++failed;
    CHECK(failed > 0);  // about four in five tries are rejected
    CHECK(failed < 40);
}

TEST_CASE("a signature is bound to key, message and context, and is hedged") {
    crypto::MlDsa65SigningKey const key(filled(1));
    crypto::MlDsa65SigningKey const other(filled(2));
    auto const message = as_bytes("kith and kin");
    auto const signature = key.sign(message, as_bytes("a"), filled(3));
    REQUIRE(signature);
    CHECK(mldsa65_verify(key.public_key(), message, as_bytes("a"), *signature));
    CHECK(!mldsa65_verify(key.public_key(), message, as_bytes("b"), *signature));
    CHECK(!mldsa65_verify(key.public_key(), message, {}, *signature));
    CHECK(!mldsa65_verify(other.public_key(), message, as_bytes("a"), *signature));
    CHECK(!mldsa65_verify(key.public_key(), as_bytes("kith"), as_bytes("a"), *signature));
    // The boundary between context and message cannot be moved.
    auto const moved = key.sign(as_bytes("bc"), as_bytes("a"), filled(3));
    REQUIRE(moved);
    CHECK(!mldsa65_verify(key.public_key(), as_bytes("c"), as_bytes("ab"), *moved));
    auto const hedged = key.sign(message, as_bytes("a"), filled(4));
    REQUIRE(hedged);
    CHECK(*hedged != *signature);
}

TEST_CASE("contexts of 255 bytes are signed and of 256 refused on both sides") {
    crypto::MlDsa65SigningKey const key(filled(1));
    base::Bytes const longest(255, 'x');
    base::Bytes const too_long(256, 'x');
    auto const signature = key.sign({}, longest, filled(0));
    REQUIRE(signature);
    CHECK(mldsa65_verify(key.public_key(), {}, longest, *signature));
    CHECK(!mldsa65_verify(key.public_key(), {}, too_long, *signature));
    CHECK(key.sign({}, too_long, filled(0)).error().code == base::Code::invalid);
}

TEST_CASE("a flipped bit in any part of a signature, and any other length, is refused") {
    crypto::MlDsa65SigningKey const key(filled(9));
    auto const good = key.sign(as_bytes("m"), {}, filled(0));
    REQUIRE(good);
    for (std::size_t byte = 0; byte < good->size(); byte += byte < 60 || byte > 3240 ? 1 : 37) {
        auto bad = *good;
        bad[byte] ^= static_cast<std::uint8_t>(1 << (byte % 8));
        CHECK(!mldsa65_verify(key.public_key(), as_bytes("m"), {}, bad));
    }
    base::Bytes longer = base::to_bytes(*good);
    longer.push_back(0);
    CHECK(!mldsa65_verify(key.public_key(), as_bytes("m"), {}, longer));
    CHECK(!mldsa65_verify(key.public_key(), as_bytes("m"), {}, base::ByteView(*good).first(3308)));
    CHECK(!mldsa65_verify(key.public_key(), as_bytes("m"), {}, {}));
}
