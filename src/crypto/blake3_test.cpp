#include "crypto/blake3.h"

#include <doctest/doctest.h>

#include <random>

#include "base/encoding.h"

using namespace kith;
using crypto::Blake3;
using crypto::Blake3Kernel;

namespace {

base::Bytes pattern(std::size_t size) {
    base::Bytes out(size);
    for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::uint8_t>(i % 251);
    return out;
}

}  // namespace

TEST_CASE("BLAKE3 of nothing is the published value") {
    CHECK(base::to_hex(crypto::blake3({})) ==
          "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
}

TEST_CASE("the kernels agree around every boundary of the tree") {
    auto const input = pattern(514 * 1024);
    for (std::size_t chunks : {0U,  1U,  2U,   7U,   8U,   9U,   15U,  16U,  17U,  63U,
                               64U, 65U, 127U, 128U, 129U, 200U, 255U, 256U, 257U, 513U}) {
        for (int offset : {-1, 0, 1, 64, 65}) {
            if (chunks == 0 && offset < 0) continue;
            auto const size =
                std::min(input.size(), chunks * 1024 + static_cast<std::size_t>(offset));
            auto const view = base::ByteView(input).first(size);
            auto const expected = Blake3(Blake3Kernel::portable).update(view).finish();
            for (auto const kernel : crypto::blake3_kernels)
                CHECK(Blake3(kernel).update(view).finish() == expected);
        }
    }
}

TEST_CASE("any division of the input into updates gives the same hash") {
    std::uint32_t const seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937 random(seed);
    auto const input = pattern(700'000);
    auto const whole = crypto::blake3(input);
    for (int round = 0; round < 40; ++round) {
        Blake3 hasher;
        base::ByteView rest = input;
        std::size_t const piece_max = round % 2 == 0 ? 3000 : 400'000;
        while (!rest.empty()) {
            auto const size = std::min(rest.size(), random() % piece_max);
            hasher.update(rest.first(size));
            rest = rest.subspan(size);
        }
        REQUIRE(hasher.finish() == whole);
    }
}

TEST_CASE("finish may be called in between and gives any length") {
    auto const input = pattern(5000);
    Blake3 hasher;
    hasher.update(base::ByteView(input).first(2048));
    CHECK(hasher.finish() == crypto::blake3(base::ByteView(input).first(2048)));
    hasher.update(base::ByteView(input).subspan(2048));
    CHECK(hasher.finish() == crypto::blake3(input));
    base::Bytes longer(200);
    hasher.finish(longer);
    CHECK(base::equal(base::ByteView(longer).first(32), hasher.finish()));
}

TEST_CASE("the three modes of BLAKE3 give unrelated hashes") {
    crypto::Secret<32> key;
    auto const plain = crypto::blake3(pattern(10));
    auto const keyed = Blake3::keyed(key).update(pattern(10)).finish();
    auto const derived = Blake3::derive_key("kith 2026-11 test").update(pattern(10)).finish();
    CHECK(plain != keyed);
    CHECK(plain != derived);
    CHECK(keyed != derived);
}
