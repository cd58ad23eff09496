#include "proto/session/keyring.h"

#include <doctest/doctest.h>

#include <set>

#include "base/code_of.h"
#include "base/memory_search.h"
#include "crypto/kdf.h"
#include "proto/session/replay_window.h"

using namespace kith;
using namespace kith::proto::session;
using namespace std::chrono_literals;

namespace {

base::Instant at(base::Duration since_start) {
    return base::Instant{} + since_start;
}

crypto::Secret<32> secret(std::uint8_t value) {
    base::ByteArray<32> bytes;
    bytes.fill(value);
    return crypto::Secret<32>(bytes);
}

KeyMaterial material(std::uint8_t send, std::uint8_t receive) {
    return {.send = secret(send), .receive = secret(receive), .handshake_hash = {}};
}

struct Pair {
    Keyring a, b;
    explicit Pair(std::uint64_t frames_max = frames_per_key_max) : a(frames_max), b(frames_max) {
        rekey(1, at(0s));
    }
    void rekey(std::uint32_t id, base::Instant now) {
        auto const x = static_cast<std::uint8_t>(2 * id);
        auto const y = static_cast<std::uint8_t>(2 * id + 1);
        REQUIRE(b.install(id, material(y, x), Side::responder, now).has_value());
        REQUIRE(a.install(id, material(x, y), Side::initiator, now).has_value());
    }
};

base::Bytes seal(Keyring& ring, Lane lane, std::string_view text) {
    base::Bytes frame;
    REQUIRE(ring.seal(lane, base::as_bytes(text), frame).has_value());
    return frame;
}

}  // namespace

TEST_CASE("what one side seals the other opens, on both lanes") {
    Pair pair;
    for (auto const lane : {Lane::tensor, Lane::control, Lane::proof}) {
        auto const opened = pair.b.open(seal(pair.a, lane, "hello"), at(1s));
        REQUIRE(opened.has_value());
        CHECK(opened->lane() == lane);
        CHECK(base::as_text(opened->bytes()) == "hello");
    }
}

TEST_CASE("a key asks to be replaced at half of its frames and seals none beyond the last") {
    constexpr std::uint64_t frames_max = 100;
    Pair pair(frames_max);
    for (std::uint64_t sealed = 0; sealed < frames_max; ++sealed) {
        CHECK(pair.a.sending_key()->nearly_used_up == (sealed >= frames_max / 2));
        CHECK(pair.b.open(seal(pair.a, Lane::tensor, "x"), at(1s)).has_value());
    }
    base::Bytes frame;
    CHECK(base::code_of(pair.a.seal(Lane::tensor, {}, frame)) == base::Code::too_large);
    CHECK(frame.empty());
    CHECK(pair.b.open(seal(pair.a, Lane::control, "another lane"), at(1s)).has_value());
    // Nor does the other side open more, should this one count wrong.
    Pair wrong(frames_max);
    wrong.b = Keyring(frames_max / 2);
    REQUIRE(wrong.b.install(1, material(3, 2), Side::responder, at(0s)).has_value());
    std::size_t opened = 0;
    for (std::uint64_t i = 0; i < frames_max; ++i)
        if (wrong.b.open(seal(wrong.a, Lane::tensor, "x"), at(1s))) ++opened;
    CHECK(opened == frames_max / 2);
    // A new key begins anew.
    pair.rekey(2, at(2s));
    CHECK_FALSE(pair.a.sending_key()->nearly_used_up);
    CHECK(pair.b.open(seal(pair.a, Lane::tensor, "x"), at(3s)).has_value());
}

TEST_CASE("a responder does not send under a new key before the initiator has used it") {
    Pair pair;
    CHECK_FALSE(pair.b.can_send());
    REQUIRE(pair.b.open(seal(pair.a, Lane::control, "first"), at(0s)).has_value());
    CHECK(pair.b.can_send());
    pair.rekey(2, at(600s));
    auto const old_key = seal(pair.b, Lane::control, "still the old key");
    CHECK(pair.a.open(old_key, at(601s)).has_value());
    REQUIRE(pair.b.open(seal(pair.a, Lane::control, "new key"), at(602s)).has_value());
    auto const new_key = seal(pair.b, Lane::control, "x");
    CHECK(new_key[4] == 2);
}

TEST_CASE("an old key opens for 60 seconds more and never seals again") {
    Pair pair;
    REQUIRE(pair.b.open(seal(pair.a, Lane::control, "in use"), at(0s)).has_value());
    auto const late = seal(pair.a, Lane::tensor, "late");
    auto const too_late = seal(pair.a, Lane::tensor, "too late");
    pair.rekey(2, at(600s));
    REQUIRE(pair.b.open(seal(pair.a, Lane::control, "switch"), at(600s)).has_value());
    CHECK(pair.b.open(late, at(659s)).has_value());
    CHECK(base::code_of(pair.b.open(too_late, at(661s))) == base::Code::invalid);
}

TEST_CASE("P11: every flipped bit, every cut and every repeat of a tensor frame is refused") {
    Pair pair;
    auto const frame = seal(pair.a, Lane::tensor, "activations");
    for (std::size_t bit = 0; bit < frame.size() * 8; ++bit) {
        auto forged = frame;
        forged[bit / 8] = static_cast<std::uint8_t>(forged[bit / 8] ^ (1U << (bit % 8)));
        CHECK_FALSE(pair.b.open(forged, at(1s)).has_value());
    }
    for (std::size_t size = 0; size < frame.size(); ++size)
        CHECK_FALSE(pair.b.open(base::ByteView(frame).first(size), at(1s)).has_value());
    CHECK(pair.b.open(frame, at(1s)).has_value());
    CHECK(base::code_of(pair.b.open(frame, at(1s))) == base::Code::conflict);
}

TEST_CASE("S5: a forged far counter does not move the window") {
    Pair pair;
    auto forged = seal(pair.a, Lane::control, "x");
    forged[10] = 0x7f;  // a counter far ahead, below the limit
    CHECK_FALSE(pair.b.open(forged, at(1s)).has_value());
    CHECK(pair.b.open(seal(pair.a, Lane::control, "next"), at(1s)).has_value());
}

TEST_CASE("the plaintext tag and unknown tags are refused before anything else") {
    Pair pair;
    auto frame = seal(pair.a, Lane::tensor, "x");
    for (unsigned tag = 0; tag < 256; ++tag) {
        if (tag == 0x10) continue;
        frame[0] = static_cast<std::uint8_t>(tag);
        CHECK_FALSE(pair.b.open(frame, at(1s)).has_value());
    }
}

TEST_CASE("keys of the two directions and the two lanes are all different") {
    Pair pair;
    REQUIRE(pair.b.open(seal(pair.a, Lane::control, "go"), at(0s)).has_value());
    std::set<base::Bytes> bodies;
    for (auto* ring : {&pair.a, &pair.b})
        for (auto const lane : {Lane::tensor, Lane::control, Lane::proof}) {
            Pair fresh;
            REQUIRE(fresh.b.open(seal(fresh.a, Lane::control, "go"), at(0s)).has_value());
            auto& same = ring == &pair.a ? fresh.a : fresh.b;
            auto frame = seal(same, lane, "the same words");
            bodies.insert(base::Bytes(frame.begin() + header_bytes, frame.end()));
        }
    CHECK(bodies.size() == 6);
    CHECK_FALSE(pair.a.open(seal(pair.a, Lane::control, "reflected"), at(0s)).has_value());
}

TEST_CASE("the sending key is named, and ids only grow") {
    Keyring none;
    CHECK_FALSE(none.sending_key());
    CHECK(none.next_key_id() == 1);
    Pair pair;
    REQUIRE(pair.a.sending_key());
    CHECK(pair.a.sending_key()->id == 1);
    CHECK(pair.a.sending_key()->installed == at(0s));
    CHECK_FALSE(pair.b.sending_key());
    CHECK(pair.a.next_key_id() == 2);
    CHECK(base::code_of(pair.a.install(1, material(1, 2), Side::initiator, at(0s))) ==
          base::Code::conflict);
}

TEST_CASE("keys that are offered and never used neither pile up nor drive out the one in use") {
    Pair pair;
    REQUIRE(pair.b.open(seal(pair.a, Lane::control, "go"), at(0s)).has_value());
    for (std::uint32_t id = 2; id < 20; ++id)
        REQUIRE(pair.b.install(id, material(200, 201), Side::responder, at(1s)).has_value());
    CHECK(pair.b.open(seal(pair.a, Lane::control, "still here"), at(2s)).has_value());
    CHECK(pair.b.sending_key()->id == 1);
    CHECK(pair.b.handshake_hash(18) == nullptr);
    CHECK(pair.b.handshake_hash(19) != nullptr);
    pair.b.drop_retired(at(1s + 119s));
    CHECK(pair.b.handshake_hash(19) != nullptr);
    pair.b.drop_retired(at(1s + 120s));
    CHECK(pair.b.handshake_hash(19) == nullptr);
    CHECK(pair.b.sending_key()->id == 1);
}

TEST_CASE(
    "both sides export the same secret of a key, another for each key, none for an unproved one") {
    Pair pair;
    REQUIRE(pair.a.exporter(1) != nullptr);
    CHECK(pair.b.exporter(1) == nullptr);  // the initiator has not used it yet
    REQUIRE(pair.b.open(seal(pair.a, Lane::control, "go"), at(0s)).has_value());
    REQUIRE(pair.b.exporter(1) != nullptr);
    CHECK(base::equal(pair.a.exporter(1)->view(), pair.b.exporter(1)->view()));
    pair.rekey(2, at(1s));
    CHECK_FALSE(base::equal(pair.a.exporter(1)->view(), pair.a.exporter(2)->view()));
    CHECK(pair.a.exporter(7) == nullptr);
}

TEST_CASE("S4: the window takes 128 counters in any order, each once") {
    ReplayWindow window;
    for (std::uint64_t counter = 0; counter < 128; ++counter) {
        auto const shuffled = (counter * 77 + 5) % 128;
        CHECK(window.is_new(shuffled));
        window.accept(shuffled);
        CHECK_FALSE(window.is_new(shuffled));
    }
    window.accept(1000);
    CHECK(window.is_new(1000 - 127));
    CHECK_FALSE(window.is_new(1000 - 128));
    CHECK_FALSE(window.is_new(127));
    window.accept(1000 - 127);
    CHECK_FALSE(window.is_new(1000 - 127));
}

namespace {

// What a keyring derives for one direction, computed apart from it: the labels are the protocol's.
std::vector<base::MemoryNeedle> needles_of(crypto::Secret<32> const& direction) {
    std::vector<base::MemoryNeedle> needles{base::MemoryNeedle(direction.view())};
    for (char const* const lane : {"tensor", "control", "proof"}) {
        auto const label = "kith/tier1/" + std::string(lane) + "/v1";
        base::ByteArray<32> const hash{};
        auto const key = crypto::hkdf_sha256<32>(hash, direction.view(), base::as_bytes(label));
        needles.emplace_back(key.view());
    }
    return needles;
}

crypto::Secret<32> patterned(std::uint8_t start) {
    crypto::Secret<32> out;
    for (auto& byte : out.mutable_view()) byte = static_cast<std::uint8_t>(start *= 37);
    return out;
}

}  // namespace

TEST_CASE("P26: no key of a session is in memory once the session has ended") {
    auto needles = needles_of(patterned(11));
    for (auto& needle : needles_of(patterned(13))) needles.push_back(needle);
    {
        Keyring ring;
        KeyMaterial const keys{patterned(11), patterned(13), {}};
        REQUIRE(ring.install(1, keys, Side::initiator, at(0s)).has_value());
        (void)seal(ring, Lane::tensor, "used");
        (void)seal(ring, Lane::control, "used");
        needles.emplace_back(ring.exporter(1)->view());
        CHECK(needles[0].count() > 0);  // the search sees what is there
        CHECK(needles.back().count() > 0);
        CHECK(needles[2].count() > 0);  // ChaCha20 keeps its key as it is; AES may not
    }
    for (std::size_t i = 0; i < needles.size(); ++i) {
        CAPTURE(i);
        CHECK(needles[i].count() == 0);
    }
}

TEST_CASE("P26: a key that was replaced leaves memory when it opens nothing any more") {
    std::vector<base::MemoryNeedle> needles = needles_of(patterned(17));
    Keyring ring;
    REQUIRE(
        ring.install(1, {patterned(17), patterned(19), {}}, Side::initiator, at(0s)).has_value());
    REQUIRE(
        ring.install(2, {patterned(23), patterned(29), {}}, Side::initiator, at(600s)).has_value());
    CHECK(needles[2].count() > 0);
    ring.drop_retired(at(600s) + old_key_opens_for);
    for (auto const& needle : needles) CHECK(needle.count() == 0);
}
