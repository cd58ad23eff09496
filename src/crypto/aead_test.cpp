#include "crypto/aead.h"

#include <doctest/doctest.h>

#include <utility>

using namespace kith;
using crypto::Aead;
using crypto::AeadKey;
using crypto::AeadNonce;

namespace {

AeadKey key_of(std::uint8_t byte) {
    AeadKey out;
    std::ranges::fill(out.mutable_view(), byte);
    return out;
}

base::Bytes message_of(std::size_t size) {
    base::Bytes out(size);
    for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::uint8_t>(i * 7);
    return out;
}

base::Bytes sealed(Aead& aead, AeadNonce const& nonce, base::ByteView data,
                   base::ByteView message) {
    base::Bytes out(message.size() + crypto::aead_tag_bytes);
    REQUIRE(aead.seal(nonce, data, message, out));
    return out;
}

}  // namespace

TEST_CASE_TEMPLATE("what is sealed opens, at every size around a block, with one object for both",
                   T, crypto::ChaCha20Poly1305, crypto::Aes256Gcm) {
    T aead(key_of(1));
    for (std::size_t size : {0U, 1U, 15U, 16U, 17U, 63U, 64U, 65U, 1420U, 65519U}) {
        AeadNonce const nonce{static_cast<std::uint8_t>(size),
                              static_cast<std::uint8_t>(size >> 8)};
        auto const message = message_of(size);
        auto const bytes = sealed(aead, nonce, base::as_bytes("header"), message);
        base::Bytes out(size);
        REQUIRE(aead.open(nonce, base::as_bytes("header"), bytes, out));
        CHECK(out == message);
    }
}

TEST_CASE_TEMPLATE("sealing and opening work in place", T, crypto::ChaCha20Poly1305,
                   crypto::Aes256Gcm) {
    T aead(key_of(2));
    AeadNonce const nonce{9};
    auto const message = message_of(1000);
    auto const apart = sealed(aead, nonce, {}, message);
    auto buffer = message;
    buffer.resize(message.size() + crypto::aead_tag_bytes);
    REQUIRE(aead.seal(nonce, {}, base::ByteView(buffer).first(message.size()), buffer));
    CHECK(buffer == apart);
    REQUIRE(aead.open(nonce, {}, buffer, base::MutableByteView(buffer).first(message.size())));
    CHECK(base::equal(base::ByteView(buffer).first(message.size()), message));
}

TEST_CASE_TEMPLATE("one flipped bit anywhere is refused and no plaintext comes out", T,
                   crypto::ChaCha20Poly1305, crypto::Aes256Gcm) {
    T aead(key_of(3));
    AeadNonce const nonce{1};
    auto const header = message_of(13);
    auto const message = message_of(40);
    auto const good = sealed(aead, nonce, header, message);
    base::Bytes const zeros(message.size());
    base::Bytes out(message.size());
    for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
        auto bad = good;
        bad[bit / 8] ^= static_cast<std::uint8_t>(1 << (bit % 8));
        std::ranges::fill(out, std::uint8_t{0xaa});
        auto const status = aead.open(nonce, header, bad, out);
        REQUIRE(!status);
        CHECK(status.error().code == base::Code::unauthorized);
        CHECK(out == zeros);
    }
    auto other_header = header;
    other_header[12] ^= 1;
    CHECK(!aead.open(nonce, other_header, good, out));
    CHECK(!aead.open(AeadNonce{2}, header, good, out));
    T other(key_of(4));
    CHECK(!other.open(nonce, header, good, out));
    CHECK(aead.open(nonce, header, good, out));  // and the object survives all of that
}

TEST_CASE_TEMPLATE("less than a tag is refused, and failing in place leaves zeros", T,
                   crypto::ChaCha20Poly1305, crypto::Aes256Gcm) {
    T aead(key_of(5));
    base::Bytes short_message(15);
    CHECK(aead.open({}, {}, short_message, {}).error().code == base::Code::unauthorized);
    CHECK(!aead.open({}, {}, {}, {}));
    auto buffer = sealed(aead, {}, {}, message_of(32));
    buffer[40] ^= 1;
    CHECK(!aead.open({}, {}, buffer, base::MutableByteView(buffer).first(32)));
    CHECK(std::ranges::count(base::ByteView(buffer).first(32), 0) == 32);
}

TEST_CASE("an AEAD can be moved") {
    crypto::Aes256Gcm first(key_of(6));
    auto const bytes = sealed(first, {}, {}, message_of(5));
    crypto::Aes256Gcm second(std::move(first));
    base::Bytes out(5);
    CHECK(second.open({}, {}, bytes, out));
}
