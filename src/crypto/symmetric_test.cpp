// Hashes and key derivation: published values that the vector files do not contain, and incremental
// use.
#include <doctest/doctest.h>

#include "base/encoding.h"
#include "crypto/hash.h"
#include "crypto/kdf.h"
#include "crypto/keccak.h"

using namespace kith;
using base::as_bytes;
using base::to_hex;

TEST_CASE("SHA-256, SHA-512 and RIPEMD-160 of abc are the published values") {
    CHECK(to_hex(crypto::sha256(as_bytes("abc"))) ==
          "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(to_hex(crypto::sha512(as_bytes("abc"))) ==
          "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
          "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
    CHECK(to_hex(crypto::ripemd160(as_bytes("abc"))) == "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc");
}

TEST_CASE("a running SHA-256 can be forked and reused") {
    crypto::Sha256 running;
    running.update(as_bytes("a"));
    auto fork = running;
    CHECK(running.update(as_bytes("bc")).finish() == crypto::sha256(as_bytes("abc")));
    CHECK(fork.update(as_bytes("b")).finish() == crypto::sha256(as_bytes("ab")));
    CHECK(running.update(as_bytes("x")).finish() == crypto::sha256(as_bytes("x")));
}

TEST_CASE("HMAC-SHA256 gives the values of RFC 4231, long keys included") {
    CHECK(to_hex(crypto::hmac_sha256(as_bytes("Jefe"), as_bytes("what do ya want for nothing?"))) ==
          "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    base::Bytes const key(131, 0xaa);
    CHECK(to_hex(crypto::hmac_sha256(
              key, as_bytes("Test Using Larger Than Block-Size Key - Hash Key First"))) ==
          "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST_CASE("HKDF gives the largest output it allows") {
    base::Bytes out(crypto::hkdf_output_bytes_max);
    crypto::hkdf_sha256({}, as_bytes("key"), as_bytes("info"), out);
    base::Bytes start(40);
    crypto::hkdf_sha256({}, as_bytes("key"), as_bytes("info"), start);
    CHECK(base::equal(base::ByteView(out).first(40), start));
}

TEST_CASE("a sponge gives the same bytes however input and output are divided") {
    base::Bytes input(1000);
    for (std::size_t i = 0; i < input.size(); ++i) input[i] = static_cast<std::uint8_t>(i);
    base::Bytes whole(700);
    auto once = crypto::shake128();
    once.absorb(input).squeeze(whole);
    for (std::size_t piece : {1U, 7U, 167U, 168U, 169U, 400U}) {
        auto sponge = crypto::shake128();
        for (std::size_t i = 0; i < input.size(); i += piece)
            sponge.absorb(base::ByteView(input).subspan(i, std::min(piece, input.size() - i)));
        base::Bytes out(whole.size());
        for (std::size_t i = 0; i < out.size(); i += piece)
            sponge.squeeze(base::MutableByteView(out).subspan(i, std::min(piece, out.size() - i)));
        CHECK(out == whole);
    }
}
