#include "proto/sealed_gossip/envelope.h"

#include <doctest/doctest.h>

#include <set>

#include "base/encoding.h"
#include "crypto/hash.h"
#include "crypto/kdf.h"
#include "crypto/seal_witness.h"
#include "wire/writer.h"

using namespace kith::proto::sealed_gossip;
using kith::base::as_bytes;
using kith::base::Bytes;
using kith::base::ByteView;
using kith::base::Code;
using kith::base::UnixTime;
using kith::crypto::Secret;
using kith::identity::Identity;
using kith::identity::NodeId;
using kith::wire::Writer;

namespace {

constexpr UnixTime noon{1'800'000'000};
constexpr std::uint64_t this_hour = 1'800'000'000 / 3600;
static_assert(1'800'000'000 % 3600 == 0);

UnixTime at(std::int64_t offset) {
    return UnixTime{kith::base::seconds(noon) + offset};
}

Identity identity_of(std::uint8_t number) {
    kith::base::ByteArray<kith::identity::identity_random_bytes> random;
    random.fill(number);
    return Identity::create(Secret<kith::identity::identity_random_bytes>(random), noon).value();
}

SwarmId swarm_of(std::uint8_t number) {
    SwarmId swarm;
    swarm.fill(number);
    return swarm;
}
Secret<32> secret_of(std::uint8_t number) {
    kith::base::ByteArray<32> bytes;
    bytes.fill(number);
    return Secret<32>(bytes);
}

// A hostile member: knows the swarm's secret, and puts envelopes together with whatever fields it
// likes. Written from the layout in the header, not from the code under test.
struct Forge {
    SwarmId swarm = swarm_of(1);
    Secret<32> secret = secret_of(2);
    std::string topic = "topic";
    std::uint64_t epoch = this_hour;
    NodeId sender;
    BootNonce boot{7};
    std::uint64_t counter = 0;
    std::int64_t time = kith::base::seconds(noon);
    std::string content = "content";

    // header || ciphertext
    [[nodiscard]] Bytes sealed() const {
        auto const prk = kith::crypto::hkdf_sha256_extract(
            Writer().bytes(as_bytes("kith/sealed-gossip/epoch/v1")).bytes(swarm).u64(epoch).view(),
            secret.view());
        EpochId id;
        kith::crypto::hkdf_sha256_expand(prk.view(), as_bytes("kith/sealed-gossip/epoch-id/v1"),
                                         id);
        Writer info;
        info.bytes(as_bytes("kith/sealed-gossip/sender/v1")).prefixed_u16(as_bytes(topic));
        info.bytes(sender.bytes).bytes(boot);
        kith::crypto::AeadKey key;
        kith::crypto::hkdf_sha256_expand(prk.view(), info.view(), key.mutable_view());
        Writer header;
        header.u8(1).u64(epoch).bytes(id).bytes(sender.bytes).bytes(boot).u64(counter);
        Writer body;
        body.u64(static_cast<std::uint64_t>(time)).bytes(as_bytes(content));
        kith::crypto::AeadNonce nonce{};
        kith::base::store_be<std::uint64_t>(std::span(nonce).last(8), counter);
        Bytes out = header.take();
        auto const head = out;
        out.resize(out.size() + body.view().size() + 16);
        kith::crypto::ChaCha20Poly1305 cipher(key);
        CHECK(
            cipher.seal(nonce, head, body.view(), std::span(out).subspan(head.size())).has_value());
        return out;
    }
    [[nodiscard]] Bytes statement(ByteView signed_bytes) const {
        Writer text;
        text.bytes(as_bytes("kith/sealed-gossip/v1")).bytes(swarm).prefixed_u16(as_bytes(topic));
        return Bytes(text.bytes(signed_bytes).take());
    }
    [[nodiscard]] Bytes signed_by(Identity const& signer) const {
        auto out = sealed();
        kith::base::append(out, signer.sign_operational(statement(out)));
        return out;
    }
};

struct Bench {
    Identity alice = identity_of(1), bob = identity_of(2), mallory = identity_of(3);
    Opener opener{swarm_of(1), secret_of(2)};
    Sealer sealer{swarm_of(1), secret_of(2), alice, BootNonce{1}};
    std::size_t parsed = 0;

    Bench() {
        NodeId const members[] = {alice.node_id(), bob.node_id(), mallory.node_id()};
        CHECK(opener.set_members(members).has_value());
    }
    Forge forge() const {
        Forge made;
        made.sender = alice.node_id();
        return made;
    }
    // What a program does with gossip: the parser takes VerifiedGossip and nothing else.
    void parse(VerifiedGossip const&) { ++parsed; }
    // The code of the refusal; nullopt: it was opened (and parsed).
    std::optional<Code> refused(Bytes const& envelope, std::string_view topic = "topic",
                                UnixTime now = noon) {
        auto const opened = opener.open(topic, envelope, now);
        if (!opened) {
            fault = opened.error().fault;
            blamed = opened.error().origin;
            return opened.error().error.code;
        }
        parse(*opened);
        return std::nullopt;
    }
    Fault fault = Fault::nobody;
    std::optional<NodeId> blamed;
};

}  // namespace

TEST_CASE("what a member seals, another opens, with its origin, topic and time") {
    Bench bench;
    auto const envelope = bench.sealer.seal_signed("topic", as_bytes("hello"), noon).value();
    CHECK(envelope.size() == overhead_bytes + 5);
    auto const opened = bench.opener.open("topic", envelope, at(1));
    REQUIRE(opened.has_value());
    CHECK(opened->origin() == bench.alice.node_id());
    CHECK(opened->topic() == "topic");
    CHECK(kith::base::to_text(opened->content()) == "hello");
    CHECK(opened->sealed_at() == noon);
}

#ifdef KITH_SABOTAGE  // only test builds show what is sealed
TEST_CASE("S3: whatever one machine seals has a key and nonce of its own, in any topic and epoch") {
    std::set<std::pair<std::uint64_t, kith::crypto::AeadNonce>> seen;
    std::size_t seals = 0;
    kith::crypto::set_seal_witness([&](std::uint64_t key, kith::crypto::AeadNonce const& nonce) {
        seen.emplace(key, nonce);
        ++seals;
    });
    Bench bench;
    for (auto const* const topic : {"one", "two"})
        for (std::int64_t const hours : {0, 1, 2})
            for (int i = 0; i < 5; ++i)
                CHECK(bench.sealer.seal_signed(topic, as_bytes("hello"), at(hours * 3600)));
    kith::crypto::set_seal_witness({});
    CHECK(seals == 30);
    CHECK(seen.size() == seals);
}
#endif

TEST_CASE("the layout is the one written down: a second implementation makes the same bytes") {
    Bench bench;
    auto forge = bench.forge();
    forge.boot = BootNonce{1};
    auto const envelope = bench.sealer.seal_signed("topic", as_bytes("content"), noon).value();
    CHECK(envelope == forge.signed_by(bench.alice));
    CHECK(kith::base::to_hex(kith::crypto::sha256(envelope)) ==
          "a5133b95539b22610044d2ba56a22480ee150b388f8e9abe15d395a634661375");
}

TEST_CASE("S11: a member who knows the swarm's secret cannot speak as another") {
    Bench bench;
    auto const forge = bench.forge();
    CHECK(bench.refused(forge.signed_by(bench.mallory)) == Code::unauthorized);
    CHECK(bench.fault == Fault::relay);
    CHECK_FALSE(bench.blamed.has_value());
    CHECK(bench.parsed == 0);
    CHECK(bench.refused(forge.signed_by(bench.alice)) == std::nullopt);
}

TEST_CASE("S11: words moved to another topic or swarm under their old signature are refused") {
    Bench bench;
    auto const original = bench.forge().signed_by(bench.alice);
    auto const signature = ByteView(original).last(64);
    for (bool const other_topic : {true, false}) {
        // The mover is a member of both places and seals the words again for the other one.
        auto moved = bench.forge();
        if (other_topic)
            moved.topic = "other";
        else
            moved.swarm = swarm_of(9);
        auto envelope = moved.sealed();
        kith::base::append(envelope, signature);
        Opener there(moved.swarm, secret_of(2));
        NodeId const members[] = {bench.alice.node_id()};
        CHECK(there.set_members(members).has_value());
        auto const opened = there.open(moved.topic, envelope, noon);
        CHECK_FALSE(opened.has_value());
        if (!opened) CHECK(opened.error().error.code == Code::unauthorized);
    }
    // Moved as it is, it does not even need to be opened.
    CHECK(bench.refused(original, "other") == Code::unauthorized);
}

TEST_CASE("S11: who is not on the member list is not heard, though he knows the secret") {
    Bench bench;
    auto const stranger = identity_of(8);
    auto forge = bench.forge();
    forge.sender = stranger.node_id();
    CHECK(bench.refused(forge.signed_by(stranger)) == Code::forbidden);
    CHECK(bench.fault == Fault::nobody);
    Opener nobody_listed(swarm_of(1), secret_of(2));
    CHECK_FALSE(
        nobody_listed.open("topic", bench.forge().signed_by(bench.alice), noon).has_value());
}

TEST_CASE("an envelope under another secret is refused by its epoch id, and blames nobody") {
    Bench bench;
    auto forge = bench.forge();
    forge.secret = secret_of(3);
    CHECK(bench.refused(forge.signed_by(bench.alice)) == Code::conflict);
    CHECK(bench.fault == Fault::nobody);
}

TEST_CASE("S12: an envelope that was sealed and not signed is refused") {
    Bench bench;
    auto const sealed = bench.forge().sealed();
    CHECK(bench.refused(sealed).has_value());
    auto zeros = sealed;
    zeros.resize(zeros.size() + 64);
    CHECK(bench.refused(zeros) == Code::unauthorized);
    auto borrowed = sealed;
    auto other = bench.forge();
    other.counter = 1;
    auto const signed_other = other.signed_by(bench.alice);
    kith::base::append(borrowed, ByteView(signed_other).last(64));
    CHECK(bench.refused(borrowed) == Code::unauthorized);
    CHECK(bench.parsed == 0);
}

TEST_CASE("S13: no parser runs on bytes whose signature is wrong") {
    Bench bench;
    std::uint64_t state = 12345;  // the seed
    auto const next = [&state] { return state = state * 6364136223846793005U + 1; };
    auto forge = bench.forge();
    std::size_t refused = 0;
    for (std::uint64_t round = 0; round < 400; ++round) {
        forge.counter = round;
        forge.content = std::string(next() % 200, 'c');
        // Half of them are perfect but for the signature, which is another member's.
        auto envelope = forge.signed_by(round % 2 == 0 ? bench.mallory : bench.alice);
        if (round % 2 == 1) {
            auto& byte = envelope[(next() >> 32) % envelope.size()];
            byte = static_cast<std::uint8_t>(byte ^ (1U << (next() >> 61)));
        }
        CAPTURE(round);
        if (bench.refused(envelope).has_value()) ++refused;
    }
    CHECK(refused == 400);
    CHECK(bench.parsed == 0);
    forge.counter = 1000;
    CHECK(bench.refused(forge.signed_by(bench.alice)) == std::nullopt);
    CHECK(bench.parsed == 1);
}

TEST_CASE("S14: only this hour's key and its neighbours open, whatever epoch the header names") {
    Bench bench;
    std::uint64_t counter = 0;
    auto const verdict = [&](std::uint64_t epoch) {
        auto forge = bench.forge();
        forge.epoch = epoch;
        forge.counter = counter++;
        return bench.refused(forge.signed_by(bench.alice));
    };
    CHECK(verdict(this_hour) == std::nullopt);
    CHECK(verdict(this_hour - 1) == std::nullopt);
    CHECK(verdict(this_hour + 1) == std::nullopt);
    CHECK(verdict(0) == Code::timeout);
    CHECK(verdict(this_hour - 2) == Code::timeout);
    CHECK(verdict(this_hour + 2) == Code::timeout);
    CHECK(verdict(this_hour * 1000) == Code::timeout);
    CHECK(verdict(~std::uint64_t{0}) == Code::timeout);
    CHECK(bench.fault == Fault::nobody);
}

TEST_CASE("S14: the key changes with the hour") {
    auto const id = [](std::int64_t offset) {
        return EpochKey(swarm_of(1), secret_of(2), epoch_of(at(offset))).id();
    };
    CHECK(id(0) == id(3599));
    CHECK(id(0) != id(3600));
    CHECK(id(0) != id(-1));
    CHECK(epoch_of(UnixTime{-5}) == 0);
}

TEST_CASE("S42: five minutes old is heard, a second more is not; half a minute ahead likewise") {
    Bench bench;
    std::uint64_t counter = 0;
    auto const verdict = [&](std::int64_t offset) {
        auto forge = bench.forge();
        forge.time = kith::base::seconds(noon) + offset;
        forge.counter = counter++;
        return bench.refused(forge.signed_by(bench.alice));
    };
    CHECK(verdict(-299) == std::nullopt);
    CHECK(verdict(-300) == std::nullopt);
    CHECK(verdict(-301) == Code::timeout);
    CHECK(verdict(29) == std::nullopt);
    CHECK(verdict(30) == std::nullopt);
    CHECK(verdict(31) == Code::timeout);
    CHECK(verdict(300) == Code::timeout);
    CHECK(verdict(INT64_MAX - kith::base::seconds(noon)) == Code::timeout);
    CHECK(bench.fault == Fault::nobody);
}

TEST_CASE("S42: an envelope opens once, also when it comes again by another way") {
    Bench bench;
    auto const first = bench.sealer.seal_signed("topic", as_bytes("1"), noon).value();
    auto const second = bench.sealer.seal_signed("topic", as_bytes("2"), noon).value();
    CHECK(bench.refused(second) == std::nullopt);
    CHECK(bench.refused(first) == std::nullopt);  // overtaken on the way
    CHECK(bench.refused(first, "topic", at(300)) == Code::conflict);
    CHECK(bench.refused(second, "topic", at(200)) == Code::conflict);
    CHECK(bench.fault == Fault::nobody);
    CHECK(bench.parsed == 2);
}

TEST_CASE("nothing is kept of what was refused: a forged counter does not shut the window") {
    Bench bench;
    auto forge = bench.forge();
    forge.counter = counter_max - 1;
    CHECK(bench.refused(forge.signed_by(bench.mallory)).has_value());
    forge.time -= 1000;
    CHECK(bench.refused(forge.signed_by(bench.alice)) == Code::timeout);
    forge = bench.forge();
    CHECK(bench.refused(forge.signed_by(bench.alice)) == std::nullopt);
}

TEST_CASE(
    "S36: what is well signed and wrong inside is the origin's fault; what is not, the relay's") {
    Bench bench;
    auto const forge = bench.forge();
    // Signed over a ciphertext that does not open.
    auto broken = forge.sealed();
    broken.back() ^= 1;
    kith::base::append(broken, bench.alice.sign_operational(forge.statement(broken)));
    CHECK(bench.refused(broken) == Code::unauthorized);
    CHECK(bench.fault == Fault::origin);
    CHECK(bench.blamed == bench.alice.node_id());
    auto counted = bench.forge();
    counted.counter = counter_max;
    CHECK(bench.refused(counted.signed_by(bench.alice)) == Code::invalid);
    CHECK(bench.fault == Fault::origin);
    // Broken after it was signed.
    auto tampered = forge.signed_by(bench.alice);
    tampered[header_bytes] ^= 1;
    CHECK(bench.refused(tampered) == Code::unauthorized);
    CHECK(bench.fault == Fault::relay);
    CHECK_FALSE(bench.blamed.has_value());
}

TEST_CASE("sizes: content and topic, at the limit and one past it; short and cut envelopes") {
    Bench bench;
    Bytes const most(content_bytes_max, 'x');
    Bytes const more(content_bytes_max + 1, 'x');
    auto const largest = bench.sealer.seal_signed("topic", most, noon).value();
    CHECK(bench.refused(largest) == std::nullopt);
    CHECK_FALSE(bench.sealer.seal_signed("topic", more, noon).has_value());
    auto forge = bench.forge();
    forge.content = std::string(content_bytes_max + 1, 'x');
    CHECK(bench.refused(forge.signed_by(bench.alice)) == Code::too_large);
    std::string const topic(topic_bytes_max, 't');
    auto const long_topic = bench.sealer.seal_signed(topic, most, noon).value();
    CHECK(bench.refused(long_topic, topic) == std::nullopt);
    CHECK_FALSE(bench.sealer.seal_signed(topic + "t", most, noon).has_value());
    CHECK(bench.refused(long_topic, topic + "t") == Code::too_large);

    auto const empty = bench.sealer.seal_signed("topic", {}, noon).value();
    CHECK(empty.size() == overhead_bytes);
    for (std::size_t size = 0; size < empty.size(); ++size)
        CHECK(bench.refused(Bytes(empty.begin(), empty.begin() + static_cast<long>(size))) ==
              Code::invalid);
    auto versioned = empty;
    versioned[0] = 2;
    CHECK(bench.refused(versioned) == Code::invalid);
    CHECK(bench.refused(empty) == std::nullopt);

    std::vector<NodeId> members(members_max);
    CHECK(bench.opener.set_members(members).has_value());
    members.emplace_back();
    CHECK_FALSE(bench.opener.set_members(members).has_value());
}
