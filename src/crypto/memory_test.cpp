// P26: what a key leaves in memory when its time is over: nothing, on the heap and on the stack.
#include <doctest/doctest.h>

#include <optional>
#include <vector>

#include "base/memory_search.h"
#include "crypto/aead.h"
#include "crypto/ed25519.h"
#include "crypto/kdf.h"
#include "crypto/keccak.h"
#include "crypto/mldsa65.h"
#include "crypto/mlkem768.h"
#include "crypto/x25519.h"

using namespace kith;
using namespace kith::crypto;

namespace {

// A secret of which this process has no other copy, the masked needle apart.
template <std::size_t N = 32>
Secret<N> patterned(std::uint8_t start) {
    Secret<N> out;
    for (auto& byte : out.mutable_view()) byte = static_cast<std::uint8_t>(start *= 37);
    return out;
}

struct Left {
    std::size_t stack;
    std::size_t anywhere;
    bool operator==(Left const&) const = default;
};
constexpr Left nothing{0, 0};

template <class Cipher>
Left left_by(std::uint8_t start) {
    base::MemoryNeedle const needle(patterned(start).view());
    {
        Cipher cipher(patterned(start));
        CHECK(needle.count() > 0);  // the search sees it
        for (std::size_t const size : {std::size_t{100'000}, std::size_t{1420}, std::size_t{4}}) {
            base::Bytes const plaintext(size, 1);
            base::Bytes sealed(size + aead_tag_bytes);
            base::Bytes opened(size);
            REQUIRE(cipher.seal({}, {}, plaintext, sealed));
            REQUIRE(cipher.open({}, {}, sealed, opened));
            REQUIRE(cipher.seal({}, {}, plaintext, sealed));
        }
    }
    auto const below = needle.count_below();
    return {below, needle.count()};
}

}  // namespace

TEST_CASE("P26: a cipher's key is nowhere in memory after its end") {
    CHECK((left_by<Aes256Gcm>(11) == nothing));
    CHECK((left_by<ChaCha20Poly1305>(13) == nothing));
}

TEST_CASE("P26: a derived key leaves memory with the object that holds it" *
          doctest::skip(base::memory_has_copies_of_a_sanitizer)) {
    auto const derived = [] {
        return hkdf_sha256<32>({}, patterned(17).view(), base::as_bytes("label"));
    };
    base::MemoryNeedle const root(patterned(17).view());
    base::MemoryNeedle const needle(derived().view());
    {
        auto const key = derived();
        CHECK(needle.count() > 0);
    }
    CHECK(needle.count() == 0);
    CHECK(root.count() == 0);
}

TEST_CASE("P26: seed and expanded parts of a signing key leave memory with it") {
    base::MemoryNeedle const seed(patterned(19).view());
    // FIPS 204 algorithm 6: rho || rho' || K = SHAKE256(seed || k || l); rho is public.
    auto const parts = [] {
        Secret<34> input;
        std::ranges::copy(patterned(19).view(), input.mutable_view().begin());
        input.mutable_view()[32] = 6;
        input.mutable_view()[33] = 5;
        Secret<128> out;
        shake256().absorb(input.view()).squeeze(out.mutable_view());
        return out;
    };
    base::MemoryNeedle const rho_prime(parts().view().subspan(32));
    base::MemoryNeedle const k(parts().view().subspan(96));
    base::MemoryNeedle const ed25519(patterned(23).view());
    {
        MlDsa65SigningKey const root(patterned(19));
        Ed25519KeyPair const operational(patterned(23));
        REQUIRE(root.sign(base::as_bytes("message"), {}, patterned(29)));
        (void)operational.sign(base::as_bytes("message"));
        CHECK(k.count() + seed.count() > 0);  // libcrypto keeps the seed, the code here K
        CHECK(ed25519.count() > 0);
    }
    CHECK(seed.count() == 0);
    CHECK(rho_prime.count() == 0);
    CHECK(k.count() == 0);
    CHECK(ed25519.count() == 0);
}

TEST_CASE("P26: what a key exchange agreed on leaves memory with the secrets it was made from" *
          doctest::skip(base::memory_has_copies_of_a_sanitizer)) {
    std::vector<base::MemoryNeedle> needles;
    auto const look_for = [&](base::ByteView secret) { needles.emplace_back(secret); };
    look_for(patterned<64>(31).view());              // d of the ML-KEM seed
    look_for(patterned<64>(31).view().subspan(32));  // z
    look_for(patterned(37).view());                  // m, the sender's randomness
    look_for(patterned(41).view());                  // an X25519 key
    {
        MlKem768PrivateKey const own(patterned<64>(31));
        auto const sent = mlkem768_encapsulate(own.public_key(), patterned(37));
        REQUIRE(sent);
        look_for(sent->shared.view());
        CHECK(constant_time_equal(own.decapsulate(sent->ciphertext).view(), sent->shared.view()));
        auto const other = x25519_public_key(patterned(43));
        auto const agreed = x25519(patterned(41), other);
        REQUIRE(agreed);
        look_for(agreed->view());
        CHECK(needles[0].count() > 0);
        CHECK(needles[4].count() > 0);
        CHECK(needles[5].count() > 0);
    }
    for (std::size_t i = 0; i < needles.size(); ++i) {
        CAPTURE(i);
        CHECK(needles[i].count() == 0);
    }
}

TEST_CASE("P26: what SHAKE and SHA-3 gave is not left on the stack") {
    base::MemoryNeedle const needle([] {
        Secret<64> out;
        sha3_512(patterned(47).view(), out.mutable_view());
        return out;
    }()
                                        .view());
    {
        Secret<64> out;
        sha3_512(patterned(47).view(), out.mutable_view());
    }
    auto const below = needle.count_below();
    CHECK(below == 0);
    CHECK(needle.count() == 0);
}
