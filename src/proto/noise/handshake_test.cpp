// The published transcripts run in tests/vectors.
#include "proto/noise/handshake.h"

#include <doctest/doctest.h>

#include <limits>

#include "base/memory_search.h"
#include "crypto/x25519.h"

using namespace kith::proto::noise;
using kith::base::as_bytes;
using kith::base::Bytes;
using kith::base::ByteView;
using kith::base::Code;
using kith::crypto::Secret;

namespace {

// Written in place, so that this test leaves no other copy in memory.
template <std::size_t N>
Secret<N> patterned(std::uint8_t start) {
    Secret<N> out;
    for (auto& byte : out.mutable_view()) byte = start = static_cast<std::uint8_t>(start * 37 + 11);
    return out;
}
PrivateKey key_of(std::uint8_t start) {
    return patterned<32>(start);
}

struct XxPair {
    PrivateKey initiator_static = key_of(1), initiator_ephemeral = key_of(2);
    PrivateKey responder_static = key_of(3), responder_ephemeral = key_of(4);
    Pattern pattern = find_pattern("XX").value();
    HandshakeState initiator{Role::initiator,
                             pattern,
                             Cipher::chacha_poly,
                             {},
                             {.static_key = &initiator_static,
                              .ephemeral_key = &initiator_ephemeral,
                              .remote_static = {},
                              .psks = {}}};
    HandshakeState responder{Role::responder,
                             pattern,
                             Cipher::chacha_poly,
                             {},
                             {.static_key = &responder_static,
                              .ephemeral_key = &responder_ephemeral,
                              .remote_static = {},
                              .psks = {}}};
};

}  // namespace

TEST_CASE("pattern modifiers stand where the specification puts them, unknown ones are refused") {
    CHECK(find_pattern("IKpsk0")->messages[0].tokens().front() == Token::psk);
    CHECK(find_pattern("IKpsk1")->messages[0].tokens().back() == Token::psk);
    CHECK(find_pattern("IKpsk2")->messages[1].tokens().back() == Token::psk);
    CHECK(find_pattern("XXpsk0+psk3")->messages[2].tokens().back() == Token::psk);
    auto const words = [](MessagePattern const& message) {
        return std::vector<Token>(message.tokens().begin(), message.tokens().end());
    };
    using enum Token;
    auto const hybrid = find_pattern("IKhfs+psk2").value();
    CHECK(words(hybrid.messages[0]) == std::vector{e, es, e1, s, ss});
    CHECK(words(hybrid.messages[1]) == std::vector{e, ee, ekem1, se, psk});
    auto const first_contact = find_pattern("XXhfs").value();
    CHECK(words(first_contact.messages[0]) == std::vector{e, e1});
    CHECK(words(first_contact.messages[1]) == std::vector{e, ee, ekem1, s, es});
    for (char const* name : {"", "ZZ", "IKpsk3", "XXpsk4", "XXpsk", "Nhfs", "XXpsk3+hfs", "XXhfs+",
                             "XXhfs+hfs", "XXpsk0+", "XXpsk0+psk1+psk2", "xx"})
        CHECK(find_pattern(name).error().code == Code::unsupported);
}

TEST_CASE("a flipped bit anywhere in an encrypted handshake message kills the handshake for good") {
    XxPair reference;
    Bytes first, second, ignored;
    REQUIRE(reference.initiator.write_message({}, first).has_value());
    REQUIRE(reference.responder.read_message(first, ignored).has_value());
    REQUIRE(reference.responder.write_message(as_bytes("hello"), second).has_value());
    for (std::size_t i = 0; i < second.size(); ++i) {
        XxPair pair;
        Bytes message, payload;
        REQUIRE(pair.initiator.write_message({}, message).has_value());
        auto tampered = second;
        tampered[i] ^= 1;
        CHECK_FALSE(pair.initiator.read_message(tampered, payload).has_value());
        CHECK(pair.initiator.read_message(second, payload).error().code == Code::conflict);
        CHECK_FALSE(pair.initiator.is_finished());
    }
}

TEST_CASE("truncated, oversized and out-of-turn handshake messages are refused") {
    for (std::size_t size = 0; size < 32; ++size) {
        XxPair pair;
        Bytes payload;
        CHECK_FALSE(pair.responder.read_message(Bytes(size, 9), payload).has_value());
    }
    XxPair long_pair;
    Bytes payload;
    CHECK(long_pair.responder.read_message(Bytes(message_bytes_max + 1, 9), payload).error().code ==
          Code::invalid);
    XxPair early;
    CHECK(early.initiator.read_message(Bytes(100, 9), payload).error().code == Code::invalid);
    XxPair greedy;
    Bytes out;
    CHECK(greedy.initiator.write_message(Bytes(message_bytes_max, 0), out).error().code ==
          Code::too_large);
}

TEST_CASE("an ephemeral key of small order is refused") {
    XxPair pair;
    Bytes payload, out;
    REQUIRE(pair.responder.read_message(Bytes(32, 0), payload).has_value());  // only the key so far
    CHECK(pair.responder.write_message({}, out).error().code == Code::unauthorized);
}

TEST_CASE("another prologue or another psk does not complete") {
    auto const pattern = find_pattern("NNpsk0").value();
    auto const ephemeral = key_of(1);
    Secret<32> const psk_a = key_of(2), psk_b = key_of(3);
    auto const make = [&](Role role, char const* prologue, Secret<32> const& psk) {
        return HandshakeState(role, pattern, Cipher::aes_gcm, as_bytes(prologue),
                              {.static_key = nullptr,
                               .ephemeral_key = &ephemeral,
                               .remote_static = {},
                               .psks = {&psk}});
    };
    Bytes message, payload;
    REQUIRE(make(Role::initiator, "one", psk_a).write_message({}, message).has_value());
    CHECK(make(Role::responder, "one", psk_a).read_message(message, payload).has_value());
    CHECK_FALSE(make(Role::responder, "two", psk_a).read_message(message, payload).has_value());
    CHECK_FALSE(make(Role::responder, "one", psk_b).read_message(message, payload).has_value());
}

TEST_CASE("a cipher counter moves only behind a verified tag and stops at its reserved end") {
    for (auto const cipher : {Cipher::chacha_poly, Cipher::aes_gcm}) {
        auto const key = key_of(7);
        CipherState sender(cipher, key), receiver(cipher, key);
        Bytes sealed, plaintext;
        REQUIRE(sender.seal({}, as_bytes("text"), sealed).has_value());
        auto tampered = sealed;
        tampered.back() ^= 1;
        CHECK(receiver.open({}, tampered, plaintext).error().code == Code::unauthorized);
        CHECK(receiver.open({}, Bytes(tag_bytes - 1, 0), plaintext).error().code ==
              Code::unauthorized);
        CHECK(receiver.counter() == 0);
        CHECK(plaintext.empty());
        CHECK(receiver.open({}, sealed, plaintext).has_value());
        CHECK(receiver.open({}, sealed, plaintext).error().code == Code::unauthorized);  // replay
        CHECK(receiver.counter() == 1);
        sender.set_counter(std::numeric_limits<std::uint64_t>::max() - 1);
        CHECK(sender.seal({}, as_bytes("last"), sealed).has_value());
        CHECK(sender.seal({}, as_bytes("none"), sealed).error().code == Code::too_large);
    }
}

namespace {

// Both sides of IKhfs+psk2, as Tier 1 uses it.
struct HybridPair {
    PrivateKey initiator_static = key_of(1), initiator_ephemeral = key_of(2);
    PrivateKey responder_static = key_of(3), responder_ephemeral = key_of(4);
    kith::crypto::MlKem768Seed kem_seed = patterned<64>(5);
    Secret<32> kem_random = key_of(6), psk = key_of(7);
    Pattern pattern = find_pattern("IKhfs+psk2").value();
    HandshakeState initiator{Role::initiator,
                             pattern,
                             Cipher::chacha_poly,
                             {},
                             {.static_key = &initiator_static,
                              .ephemeral_key = &initiator_ephemeral,
                              .remote_static = kith::crypto::x25519_public_key(responder_static),
                              .psks = {&psk},
                              .kem_seed = &kem_seed}};
    HandshakeState responder{Role::responder,
                             pattern,
                             Cipher::chacha_poly,
                             {},
                             {.static_key = &responder_static,
                              .ephemeral_key = &responder_ephemeral,
                              .psks = {&psk},
                              .kem_random = &kem_random}};
};

}  // namespace

TEST_CASE("a hybrid handshake agrees, its messages have the stated sizes, and each half matters") {
    HybridPair pair;
    Bytes first, second, payload;
    REQUIRE(pair.initiator.write_message({}, first).has_value());
    CHECK(first.size() == 1296);  // research/crypto.md 4.1
    REQUIRE(pair.responder.read_message(first, payload).has_value());
    REQUIRE(pair.responder.write_message({}, second).has_value());
    CHECK(second.size() == 1152);
    REQUIRE(pair.initiator.read_message(second, payload).has_value());
    auto const ours = pair.initiator.split_keys();
    auto const theirs = pair.responder.split_keys();
    CHECK(kith::base::equal(ours.send.view(), theirs.receive.view()));
    CHECK(kith::base::equal(ours.receive.view(), theirs.send.view()));
    CHECK(ours.handshake_hash == theirs.handshake_hash);

    HybridPair other;  // the same but for the KEM: other keys come out
    other.kem_random = key_of(66);
    HandshakeState responder(Role::responder, other.pattern, Cipher::chacha_poly, {},
                             {.static_key = &other.responder_static,
                              .ephemeral_key = &other.responder_ephemeral,
                              .psks = {&other.psk},
                              .kem_random = &other.kem_random});
    Bytes answer;
    REQUIRE(responder.read_message(first, payload).has_value());
    REQUIRE(responder.write_message({}, answer).has_value());
    CHECK_FALSE(kith::base::equal(responder.split_keys().send.view(), theirs.send.view()));
}

TEST_CASE("P26: no secret of a handshake is in memory once it has ended, done or given up") {
    std::vector<kith::base::MemoryNeedle> needles;
    for (std::uint8_t start = 1; start <= 7; ++start)
        needles.emplace_back(patterned<64>(start).view());
    {
        HybridPair pair;
        HybridPair given_up;
        Bytes first, second, payload;
        REQUIRE(given_up.initiator.write_message({}, first).has_value());
        first.clear();
        REQUIRE(pair.initiator.write_message({}, first).has_value());
        REQUIRE(pair.responder.read_message(first, payload).has_value());
        REQUIRE(pair.responder.write_message({}, second).has_value());
        REQUIRE(pair.initiator.read_message(second, payload).has_value());
        auto const keys = pair.initiator.split_keys();
        needles.emplace_back(keys.send.view());
        needles.emplace_back(keys.receive.view());
        for (auto const& needle : needles) CHECK(needle.count() > 0);
    }
    for (std::size_t i = 0; i < needles.size(); ++i) {
        CAPTURE(i);
        CHECK(needles[i].count() == 0);
    }
}

TEST_CASE("a hybrid handshake dies of any flipped bit, and of an ML-KEM key that is not reduced") {
    HybridPair reference;
    Bytes first, second, ignored;
    REQUIRE(reference.initiator.write_message({}, first).has_value());
    REQUIRE(reference.responder.read_message(first, ignored).has_value());
    REQUIRE(reference.responder.write_message({}, second).has_value());
    for (std::size_t i = 0; i < first.size(); i += 7) {
        HybridPair pair;
        auto tampered = first;
        tampered[i] ^= 1;
        CHECK_FALSE(pair.responder.read_message(tampered, ignored).has_value());
    }
    for (std::size_t i = 0; i < second.size(); i += 7) {
        HybridPair pair;
        Bytes message;
        REQUIRE(pair.initiator.write_message({}, message).has_value());
        auto tampered = second;
        tampered[i] ^= 1;
        CHECK_FALSE(pair.initiator.read_message(tampered, ignored).has_value());
    }
    // XXhfs sends the key in clear, so a hostile initiator's key can be forged by its bytes.
    auto const pattern = find_pattern("XXhfs").value();
    HandshakeState responder(Role::responder, pattern, Cipher::chacha_poly, {},
                             {.static_key = &reference.responder_static,
                              .ephemeral_key = &reference.responder_ephemeral,
                              .kem_random = &reference.kem_random});
    Bytes hostile(32, 9);
    hostile.resize(32 + kith::crypto::mlkem768_public_key_bytes, 0xff);  // every coefficient 4095
    REQUIRE(responder.read_message(hostile, ignored).has_value());
    Bytes out;
    CHECK(responder.write_message({}, out).error().code == Code::unauthorized);
}
