#include "crypto/mlkem768.h"

#include <doctest/doctest.h>

#include "crypto/constant_time.h"
#include "crypto/mlkem/core.h"

using namespace kith;
using namespace crypto;

namespace {

template <std::size_t N>
Secret<N> filled(std::uint8_t byte) {
    Secret<N> out;
    std::ranges::fill(out.mutable_view(), byte);
    return out;
}

}  // namespace

TEST_CASE("both sides of ML-KEM-768 have the same secret, another key has another") {
    for (std::uint8_t i = 0; i < 20; ++i) {
        MlKem768PrivateKey const key(filled<64>(i));
        MlKem768PrivateKey const other(filled<64>(static_cast<std::uint8_t>(i + 1)));
        auto const sent = mlkem768_encapsulate(key.public_key(), filled<32>(i));
        REQUIRE(sent);
        CHECK(constant_time_equal(key.decapsulate(sent->ciphertext).view(), sent->shared.view()));
        CHECK(
            !constant_time_equal(other.decapsulate(sent->ciphertext).view(), sent->shared.view()));
    }
}

TEST_CASE("an altered ciphertext gives a stable secret that has nothing to do with the real one") {
    MlKem768PrivateKey const key(filled<64>(1));
    auto const sent = mlkem768_encapsulate(key.public_key(), filled<32>(2));
    REQUIRE(sent);
    for (std::size_t byte = 0; byte < sent->ciphertext.size(); byte += 31) {
        auto altered = sent->ciphertext;
        altered[byte] ^= static_cast<std::uint8_t>(1 << (byte % 8));
        auto const first = key.decapsulate(altered);
        CHECK(!constant_time_equal(first.view(), sent->shared.view()));
        CHECK(constant_time_equal(first.view(), key.decapsulate(altered).view()));
    }
}

TEST_CASE("a public key with a coefficient of q or more is refused") {
    MlKem768PrivateKey const key(filled<64>(1));
    for (std::size_t pair = 0; pair < 3 * 128; pair += 17) {
        auto altered = key.public_key();
        altered[3 * pair] = 0x01;  // 3329 = 0xd01 in the low 12 bits
        altered[3 * pair + 1] = static_cast<std::uint8_t>((altered[3 * pair + 1] & 0xf0) | 0x0d);
        CHECK(mlkem768_encapsulate(altered, filled<32>(0)).error().code ==
              base::Code::unauthorized);
        altered[3 * pair] = 0x00;  // 3328
        CHECK(mlkem768_encapsulate(altered, filled<32>(0)));
    }
}
