// What somebody between the two ends of a Tier 1 session can do to it.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/code_of.h"
#include "crypto/kdf.h"
#include "tier1_ends.h"
#include "wire/writer.h"

using namespace kith;
using namespace kith::adversary;
using namespace std::chrono_literals;
using proto::session::Lane;
using proto::session::Side;

TEST_CASE(
    "P9: without the swarm's secret nobody gets a session, and every direction, lane and epoch has "
    "its own key") {
    Ends same;
    same.connect();
    REQUIRE(same.settle().has_value());
    CHECK(same.a.channel->ready());
    CHECK(same.b.channel->ready());

    Ends other;
    other.b.secret = filled(2);
    other.connect();
    REQUIRE(other.carry(other.a, other.b).has_value());  // the secret enters with the answer
    CHECK_FALSE(other.carry(other.b, other.a).has_value());
    CHECK_FALSE(other.a.channel->ready());
    CHECK_FALSE(other.b.channel->ready());

    std::set<base::Bytes> bodies;  // of the same words under the same nonce: equal keys would show
    for (std::uint8_t epoch = 1; epoch <= 2; ++epoch) {
        proto::session::Keyring one;
        proto::session::Keyring two;
        auto const base = static_cast<std::uint8_t>(10 * epoch);
        auto const next = static_cast<std::uint8_t>(base + 1);
        REQUIRE(one.install(epoch, material(base, next), Side::initiator, {}).has_value());
        REQUIRE(two.install(epoch, material(next, base), Side::initiator, {}).has_value());
        for (auto* ring : {&one, &two})
            for (auto const lane : {Lane::tensor, Lane::control}) {
                base::Bytes frame;
                REQUIRE(ring->seal(lane, base::as_bytes("the same words"), frame).has_value());
                bodies.emplace(frame.begin() + proto::session::header_bytes, frame.end() - 16);
            }
    }
    CHECK(bodies.size() == 8);
}

TEST_CASE("P30: no key, and no secret that a key is made of, is ever sent") {
    Ends ends;
    ends.connect();
    auto const first_offer = exchange_in(frames_in(ends.a.channel->outgoing()).at(0));
    REQUIRE(ends.settle().has_value());
    REQUIRE(ends.talk("a few words"));
    REQUIRE(ends.run_for(12min).has_value());
    // What this machine drew for the offer, drawn again: the generator is the test's.
    End again(31);
    crypto::Secret<32> ephemeral;
    REQUIRE(again.rng.fill(ephemeral.mutable_view()).has_value());
    crypto::Secret<64> kem_seed;
    REQUIRE(again.rng.fill(kem_seed.mutable_view()).has_value());
    auto const public_half = crypto::x25519_public_key(ephemeral);
    REQUIRE(contains(base::as_bytes(first_offer.noise_message()), public_half));  // it is that one
    std::vector<base::Bytes> secrets{base::to_bytes(ephemeral.view()),
                                     base::to_bytes(kem_seed.view().first<32>()),
                                     base::to_bytes(kem_seed.view().last<32>()),
                                     base::to_bytes(ends.a.secret.view()),
                                     base::to_bytes(ends.a.identity.static_private_key().view()),
                                     base::to_bytes(ends.b.identity.static_private_key().view())};
    for (auto const& frame : ends.tape)
        for (auto const& secret : secrets) CHECK_FALSE(contains(frame, secret));
}

TEST_CASE("S1: who has broken X25519 and knows the swarm's secret still lacks the ML-KEM half") {
    auto const pattern = proto::noise::find_pattern("IKhfs+psk2").value();
    auto const initiator_static = filled(1), initiator_ephemeral = filled(2);
    auto const responder_static = filled(3), responder_ephemeral = filled(4);
    auto const psk = filled(5), kem_random = filled(6), other_random = filled(7);
    auto const kem_seed = crypto::MlKem768Seed::from(base::Bytes(64, 8)).value();
    auto const cipher = proto::noise::Cipher::chacha_poly;
    proto::noise::HandshakeKeys ours, theirs;
    ours.static_key = &initiator_static;
    ours.ephemeral_key = &initiator_ephemeral;
    ours.remote_static = crypto::x25519_public_key(responder_static);
    ours.kem_seed = &kem_seed;
    theirs.static_key = &responder_static;
    theirs.ephemeral_key = &responder_ephemeral;
    theirs.kem_random = &kem_random;
    ours.psks[0] = theirs.psks[0] = &psk;
    proto::noise::HandshakeState initiator(proto::noise::Role::initiator, pattern, cipher, {},
                                           ours);
    proto::noise::HandshakeState responder(proto::noise::Role::responder, pattern, cipher, {},
                                           theirs);
    base::Bytes offer, answer, payload;
    REQUIRE(initiator.write_message({}, offer).has_value());
    REQUIRE(responder.read_message(offer, payload).has_value());
    REQUIRE(responder.write_message({}, answer).has_value());
    REQUIRE(initiator.read_message(answer, payload).has_value());
    auto const keys = responder.split_keys();

    // He computes the responder's part of the recorded handshake with every X25519 key and the psk,
    // but not with what the ciphertext holds. The transport keys come from the chaining key alone.
    auto stolen = theirs;
    stolen.kem_random = &other_random;
    proto::noise::HandshakeState eavesdropper(proto::noise::Role::responder, pattern, cipher, {},
                                              stolen);
    base::Bytes ignored;
    REQUIRE(eavesdropper.read_message(offer, ignored).has_value());
    REQUIRE(eavesdropper.write_message({}, ignored).has_value());
    auto const his = eavesdropper.split_keys();
    CHECK_FALSE(base::equal(his.send.view(), keys.send.view()));
    CHECK_FALSE(base::equal(his.receive.view(), keys.receive.view()));
    CHECK(base::equal(initiator.split_keys().send.view(), keys.receive.view()));
}

TEST_CASE("S2: a session gets a new key every ten minutes, and goes on talking") {
    Ends ends;
    ends.connect();
    REQUIRE(ends.settle().has_value());
    REQUIRE(ends.talk("under the first key"));
    auto const first = ends.key_of_last_frame();
    REQUIRE(ends.run_for(9min + 59s).has_value());
    REQUIRE(ends.talk("still the first"));
    CHECK(ends.key_of_last_frame() == first);
    REQUIRE(ends.run_for(2s).has_value());
    REQUIRE(ends.talk("under the second"));
    CHECK(ends.key_of_last_frame() > first);
    std::set<std::uint32_t> keys;
    for (int minute = 0; minute < 60; ++minute) {
        REQUIRE(ends.run_for(1min).has_value());
        REQUIRE(ends.talk("minute " + std::to_string(minute)));
        keys.insert(ends.key_of_last_frame());
    }
    CHECK(keys.size() == 7);
}

TEST_CASE("S2: a session gets a new key when half of its frames are used up, whoever talks") {
    constexpr std::uint64_t frames_max = 64;
    for (bool const lower_talks : {true, false}) {
        Ends ends;
        ends.frames_per_key_max = frames_max;
        ends.connect();
        REQUIRE(ends.settle().has_value());
        auto& talker = lower_talks ? ends.lower() : (&ends.lower() == &ends.a ? ends.b : ends.a);
        auto& listener = &talker == &ends.a ? ends.b : ends.a;
        std::set<std::uint32_t> keys;
        for (int i = 0; i < 1000; ++i) {
            auto const words = base::to_bytes(base::as_bytes(std::to_string(i)));
            REQUIRE(talker.channel->send(Lane::control, words).has_value());
            REQUIRE(ends.carry(talker, listener).has_value());
            keys.insert(ends.key_of_last_frame());
            REQUIRE(ends.run_for(500ms).has_value());
        }
        REQUIRE(listener.heard.size() == 1000);  // none was lost on the way from key to key
        for (int i = 0; i < 1000; ++i)
            CHECK(listener.heard[static_cast<std::size_t>(i)] == std::to_string(i));
        CHECK(keys.size() >= 2 * 1000 / frames_max);
        std::map<std::uint32_t, std::uint64_t> frames_of_key;
        for (auto const& frame : ends.tape)
            if (!is_exchange(frame))
                ++frames_of_key[base::load_be<std::uint32_t>(base::ByteView(frame).subspan(1, 4))];
        for (auto const& [key, count] : frames_of_key) CHECK(count <= frames_max);
    }
}

TEST_CASE("S2: the other side offers when the one whose turn it is does not, and nobody for ever") {
    Ends ends;
    ends.connect();
    REQUIRE(ends.settle().has_value());
    // The lower id stays silent: its offers are lost on the way.
    auto const mute = base::to_text(ends.lower().identity.node_id().bytes);
    ends.arrives = [&](base::Bytes const& frame) {
        return !is_exchange(frame) || exchange_in(frame).is_answer() ||
               exchange_in(frame).node_id() != mute;
    };
    REQUIRE(ends.talk("the first key"));
    auto const first = ends.key_of_last_frame();
    REQUIRE(ends.run_for(11min + 30s).has_value());
    REQUIRE(ends.talk("the higher id has offered"));
    CHECK(ends.key_of_last_frame() > first);
    CHECK(ends.key_of_last_frame() % 2 == 0);  // its numbers are even

    Ends dead;
    dead.connect();
    REQUIRE(dead.settle().has_value());
    dead.arrives = [](base::Bytes const& frame) { return !is_exchange(frame); };
    REQUIRE(dead.run_for(14min + 59s).has_value());
    CHECK(base::code_of(dead.run_for(2s)) == base::Code::timeout);
}

TEST_CASE(
    "S2: long-term keys and the swarm's secret, stolen later, do not open what was recorded") {
    Ends ends;
    ends.connect();
    REQUIRE(ends.settle().has_value());
    REQUIRE(ends.talk("yesterday's secret"));
    auto const recorded = ends.tape;
    // The thief owns both machines' identities and the secret and answers the recorded offer anew:
    // without the ephemeral keys he gets another session.
    Ends thief;
    thief.a.rng = SeededRng(777);
    thief.b.rng = SeededRng(778);
    thief.connect();
    base::Bytes offer;
    wire::append_frame(offer, recorded.at(0));
    REQUIRE(thief.b.channel->feed(offer, thief.now).has_value());
    for (auto const& frame : recorded) {
        if (is_exchange(frame)) continue;
        base::Bytes framed;
        wire::append_frame(framed, frame);
        Ends fresh;
        fresh.b.rng = SeededRng(779);
        fresh.start(fresh.b, fresh.a);
        REQUIRE(fresh.b.channel->feed(offer, fresh.now).has_value());
        CHECK_FALSE(fresh.b.channel->feed(framed, fresh.now).has_value());
    }
}

TEST_CASE("S2: a lost answer does not split the keys") {
    for (int lost = 1; lost <= 3; ++lost) {
        Ends ends;
        ends.connect();
        REQUIRE(ends.settle().has_value());
        int answers = 0;
        ends.arrives = [&](base::Bytes const& frame) {
            return !is_exchange(frame) || !exchange_in(frame).is_answer() || ++answers > lost;
        };
        REQUIRE(ends.talk("the first key"));
        auto const first = ends.key_of_last_frame();
        for (int minute = 0; minute < 14; ++minute) {
            REQUIRE(ends.run_for(1min).has_value());
            CHECK(ends.talk("minute " + std::to_string(minute)));
        }
        CHECK(answers > lost);
        CHECK(ends.key_of_last_frame() > first);
    }
}

TEST_CASE("S2: offers that cross end in one key, whoever dialled") {
    Ends ends;
    ends.connect();
    REQUIRE(ends.settle().has_value());
    std::uint32_t newest = 0;
    for (int round = 0; round < 5; ++round) {
        REQUIRE(ends.a.channel->offer(ends.now).has_value());
        REQUIRE(ends.b.channel->offer(ends.now).has_value());
        REQUIRE(ends.carry(ends.a, ends.b).has_value());
        REQUIRE(ends.carry(ends.b, ends.a).has_value());
        REQUIRE(ends.settle().has_value());
        CHECK(ends.talk("round " + std::to_string(round)));
        CHECK(ends.key_of_last_frame() > newest);
        newest = ends.key_of_last_frame();
        ends.now += 2min;
    }
}

TEST_CASE("S2: each key builds on the one before it, and one that is not there is not made up") {
    Ends ends;
    ends.connect();
    REQUIRE(ends.settle().has_value());
    REQUIRE(ends.a.channel->offer(ends.now).has_value());
    auto const offers = frames_in(ends.a.channel->outgoing());
    auto const exchange = exchange_in(offers.at(0));
    CHECK(exchange.chained_key_id() > 0);
    CHECK(exchange.chained_key_id() < exchange.key_id());
    for (auto const wrong : {0U, exchange.key_id(), 4'000'000'000U}) {
        Ends victim;
        victim.connect();
        REQUIRE(victim.settle().has_value());
        REQUIRE(victim.a.channel->offer(victim.now).has_value());
        auto forged = exchange_in(frames_in(victim.a.channel->outgoing()).at(0));
        forged.set_chained_key_id(wrong);
        base::Bytes frame{0x02}, framed;
        base::append(frame, base::as_bytes(forged.SerializeAsString()));
        wire::append_frame(framed, frame);
        CHECK_FALSE(victim.b.channel->feed(framed, victim.now).has_value());
    }
}

TEST_CASE("S3: over a thousand reconnects no key is used again, in either direction") {
    Ends ends;
    std::set<base::Bytes> sealed;  // the same words under the same header: an equal key would show
    constexpr std::size_t reconnects = 1000;
    for (std::size_t i = 0; i < reconnects; ++i) {
        ends.tape.clear();
        ends.connect();  // a new link; whatever the old one knew is gone
        REQUIRE(ends.carry(ends.a, ends.b).has_value());
        REQUIRE(ends.carry(ends.b, ends.a).has_value());
        REQUIRE(ends.carry(ends.a, ends.b).has_value());
        REQUIRE(ends.carry(ends.b, ends.a).has_value());
        REQUIRE(ends.talk("the same words"));
        for (auto const& frame : ends.tape)
            if (frame.at(0) == 0x11) sealed.insert(frame);
    }
    CHECK(sealed.size() == 2 * reconnects);
}

TEST_CASE("S6: an offer dies after a minute with its ephemeral keys") {
    for (bool const late : {false, true}) {
        Ends ends;
        ends.connect();
        REQUIRE(ends.settle().has_value());
        REQUIRE(ends.talk("before"));
        auto const before = ends.key_of_last_frame();
        REQUIRE(ends.a.channel->offer(ends.now).has_value());
        REQUIRE(ends.carry(ends.a, ends.b).has_value());  // answered, but the answer is slow
        ends.now += late ? 60100ms : 59900ms;
        REQUIRE(ends.a.channel->on_deadline(ends.now).has_value());
        REQUIRE(ends.settle().has_value());
        CHECK(ends.talk("on"));
        CHECK((ends.key_of_last_frame() == before) == late);
    }
}

TEST_CASE("S6: who offers keys without end is cut off") {
    Ends ends;
    ends.connect();
    REQUIRE(ends.settle().has_value());
    std::size_t answered = 0;
    for (int i = 0; i < 100; ++i) {
        REQUIRE(ends.a.channel->offer(ends.now).has_value());
        if (!ends.carry(ends.a, ends.b)) break;
        ++answered;
    }
    CHECK(answered <= node::offers_per_minute_max);
    CHECK(answered >= node::offers_per_minute_max - 2);
}

TEST_CASE("S6: an offer that leaps over more than a thousand key numbers is refused") {
    constexpr std::uint32_t skipped_max = 1000;
    Ends near;
    near.start(near.b, near.a);
    CHECK(near.b.channel->feed(offer_by_hand(near, 1 + skipped_max).framed, near.now).has_value());
    CHECK_FALSE(near.b.channel->outgoing().empty());
    for (auto const number : {2 + skipped_max, 0xffffffffU}) {  // the last would be used up
        Ends far;
        far.start(far.b, far.a);
        auto const offered = far.b.channel->feed(offer_by_hand(far, number).framed, far.now);
        CHECK(base::code_of(offered) == base::Code::invalid);
        CHECK(far.b.channel->outgoing().empty());
    }
}

TEST_CASE("S8: a frame under any tag but those of the lanes is refused, even when it would open") {
    // A hostile member knows the session's keys; he seals a control frame under a tag of his own.
    proto::session::Keyring victim;
    REQUIRE(victim.install(1, material(2, 1), Side::responder, {}).has_value());
    auto const key = crypto::hkdf_sha256<32>(base::ByteArray<32>{}, filled(1).view(),
                                             base::as_bytes("kith/tier1/control/v1"));
    std::uint64_t counter = 0;
    for (unsigned tag = 0; tag < 256; ++tag) {
        if (tag == 0x11) continue;
        base::Bytes frame{static_cast<std::uint8_t>(tag), 0, 0, 0, 1};
        base::ByteArray<8> number;
        base::store_be<std::uint64_t>(number, ++counter);
        base::append(frame, number);
        base::ByteArray<12> nonce{};
        std::ranges::copy(number, nonce.begin() + 4);
        base::Bytes sealed(3 + 16);
        REQUIRE(crypto::ChaCha20Poly1305(key)
                    .seal(nonce, frame, base::as_bytes("abc"), sealed)
                    .has_value());
        base::append(frame, sealed);
        CHECK_FALSE(victim.open(frame, {}).has_value());
    }
    CHECK_FALSE(victim.sending_key());
}

TEST_CASE(
    "C5: another member, who knows the swarm's secret, speaks for neither end and forges no "
    "frame") {
    auto const framed = [](base::ByteView frame) {
        base::Bytes out;
        wire::append_frame(out, frame);
        return out;
    };
    Ends ends;
    ends.connect();
    auto const offer = base::to_bytes(ends.a.channel->outgoing());
    End mallory(33);
    // a's offer is sealed to b's static key.
    ends.start(mallory, ends.a);
    CHECK_FALSE(mallory.channel->feed(offer, ends.now).has_value());
    CHECK(mallory.channel->outgoing().empty());
    // An offer in a's name, all of it but the static key that the list has for a.
    Ends posing;
    posing.a.claimed_static = mallory.identity.static_public_key();
    posing.connect();
    CHECK_FALSE(posing.carry(posing.a, posing.b).has_value());
    CHECK(posing.b.channel->outgoing().empty());

    // The swarm's secret is in the keys of every session, and is not enough for one.
    Ends other;
    other.connect();
    REQUIRE(other.settle().has_value());
    REQUIRE(other.talk("before"));
    proto::session::Keyring guess;
    REQUIRE(guess
                .install(1, {other.a.secret.clone(), other.a.secret.clone(), {}}, Side::initiator,
                         other.now)
                .has_value());
    base::Bytes frame;
    for (int i = 0; i < 50; ++i) {  // with a counter that nobody has used yet
        frame.clear();
        REQUIRE(guess.seal(Lane::control, base::as_bytes("send it to me"), frame).has_value());
    }
    auto const heard = other.b.heard.size();
    CHECK_FALSE(other.b.channel->feed(framed(frame), other.now).has_value());
    CHECK(other.b.heard.size() == heard);
}

TEST_CASE("S21: a key exchange that names another sender is dropped and counted") {
    Ends ends;
    ends.connect();
    auto offer = base::to_bytes(ends.a.channel->outgoing());
    auto const name = std::ranges::search(offer, ends.a.identity.node_id().bytes);
    REQUIRE_FALSE(name.empty());
    name.front() ^= 1;
    CHECK(ends.b.channel->feed(offer, ends.now).has_value());
    CHECK(ends.b.channel->outgoing().empty());
    CHECK_FALSE(ends.b.channel->ready());
    CHECK(ends.b.channel->take_false_claims() == 1);
    CHECK(ends.b.channel->take_false_claims() == 0);
}
