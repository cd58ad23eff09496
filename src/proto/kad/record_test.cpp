#include <doctest/doctest.h>

#include "base/code_of.h"
#include "proto/kad/publisher.h"
#include "proto/kad/records.h"

using namespace kith::proto::kad;
using kith::base::as_bytes;
using kith::base::Bytes;
using kith::base::ByteView;
using kith::base::Code;
using kith::base::code_of;
using kith::base::UnixTime;
using kith::identity::PeerId;
using namespace std::chrono_literals;

namespace {

constexpr std::int64_t epoch = 1'800'000'000;
constexpr UnixTime begin{epoch};

Now at(std::int64_t seconds) {
    return {.instant = kith::base::Instant{} + std::chrono::seconds(seconds),
            .wall = UnixTime{epoch + seconds}};
}

struct Author {
    explicit Author(std::uint8_t fill) : keys(seed(fill)) {}
    static kith::crypto::Secret<32> seed(std::uint8_t fill) {
        kith::crypto::Secret<32> secret;
        std::ranges::fill(secret.mutable_view(), fill);
        return secret;
    }
    Signer signer() const {
        return {.public_key = keys.public_key(),
                .sign = [this](ByteView message) { return keys.sign(message); }};
    }
    PeerId peer() const { return PeerId(keys.public_key()); }
    Bytes key(std::string_view space = "/shards/") const {
        Bytes out = kith::base::to_bytes(as_bytes(space));
        kith::base::append(out, keys.public_key());
        return out;
    }
    Bytes record(ByteView key, std::uint64_t sequence, UnixTime issued, std::string_view body,
                 std::string_view domain = "swarm-a", RecordKind kind = RecordKind::value) const {
        return sign_record({.kind = kind, .domain = domain, .key = key},
                           {.sequence = sequence, .issued = issued}, as_bytes(body), signer());
    }
    kith::crypto::Ed25519KeyPair keys;
};

std::vector<Namespace> spaces() {
    std::vector<Namespace> out(3);
    out[0].name = "shards";
    out[1].name = "plain";
    out[1].form = Namespace::Form::plain;
    out[1].judge = [](Namespace::Candidate const& candidate) -> kith::base::Status {
        if (kith::base::as_text(candidate.body) == "bad")
            return kith::base::fail(Code::invalid, "bad");
        return {};
    };
    out[2].name = "other";
    return out;
}

RecordChecker checker(std::string domain = "swarm-a",
                      UnsignedProviders unsigned_providers = UnsignedProviders::refused) {
    return {std::move(domain), spaces(), unsigned_providers};
}

Bytes const multihash = [] {
    Bytes out{0x12, 0x20};
    out.resize(34, 5);
    return out;
}();

ProviderInfo provider(Author const& author, std::uint64_t sequence, UnixTime issued) {
    auto const address = kith::wire::Multiaddr::tcp("10.0.0.1", 1).value();
    return {
        .peer = {.id = author.peer(), .addresses = {address}},
        .proof = author.record(multihash, sequence, issued, "", "swarm-a", RecordKind::provider)};
}

}  // namespace

TEST_CASE(
    "S23: a record is public key, signature, payload; it verifies as signed and in no other way") {
    Author const author(1);
    auto const key = author.key();
    auto const value = author.record(key, 1, begin, "body");
    auto const record = checker().check(key, value, begin);
    REQUIRE(record.has_value());
    CHECK(kith::base::as_text(record->body()) == "body");
    CHECK((record->author() == author.keys.public_key()));
    CHECK(record->stamp()->sequence == 1);
    CHECK(kith::base::equal(ByteView(value).first(32), author.keys.public_key()));
    CHECK(value.size() == 32 + 64 + 16 + 4);
    for (std::size_t i = 0; i < value.size(); ++i) {
        auto flipped = value;
        flipped[i] ^= 1;
        CHECK_FALSE(checker().check(key, flipped, begin).has_value());
    }
}

TEST_CASE("S23: records of 95, 96 and 111 bytes are too short, 112 is the empty body") {
    Author const author(1);
    auto const key = author.key();
    auto const value = author.record(key, 1, begin, "");
    REQUIRE(value.size() == 112);
    CHECK(checker().check(key, value, begin).has_value());
    for (std::size_t const size : {0U, 1U, 31U, 32U, 95U, 96U, 97U, 111U})
        CHECK(code_of(checker().check(key, ByteView(value).first(size), begin)) == Code::invalid);
    CHECK(checker()
              .check(key, author.record(key, 1, begin, std::string(body_bytes_max, 'x')), begin)
              .has_value());
    CHECK(code_of(checker().check(key, Bytes(value_bytes_max + 1, 1), begin)) == Code::too_large);
}

TEST_CASE("S23: a record moved to another key, namespace, swarm or kind fails") {
    Author const author(1);
    auto const key = author.key();
    auto const value = author.record(key, 1, begin, "body");
    auto longer = key;
    longer.push_back('/');
    CHECK(code_of(checker().check(longer, value, begin)) == Code::unauthorized);
    CHECK(code_of(checker().check(author.key("/other/"), value, begin)) == Code::unauthorized);
    CHECK(code_of(checker("swarm-b").check(key, value, begin)) == Code::unauthorized);
    auto const as_provider = author.record(key, 1, begin, "body", "swarm-a", RecordKind::provider);
    CHECK(code_of(checker().check(key, as_provider, begin)) == Code::unauthorized);
    // A boundary between domain and key that moves is another statement.
    auto const shifted = author.record(Bytes(key.begin() + 1, key.end()), 1, begin, "", "swarm-a/");
    CHECK(code_of(checker().check(key, shifted, begin)) == Code::unauthorized);
}

TEST_CASE("S23: another key's signature is worth nothing for a key that belongs to its author") {
    Author const author(1), thief(2);
    auto const key = author.key();
    CHECK(code_of(checker().check(key, thief.record(key, 9, begin, "mine"), begin)) ==
          Code::unauthorized);
    // The thief's key with the author's signature, and the other way round.
    auto mixed = author.record(key, 1, begin, "body");
    std::ranges::copy(thief.keys.public_key(), mixed.begin());
    CHECK(code_of(checker().check(key, mixed, begin)) == Code::unauthorized);
    // The small-order point, for which some verifiers accept anything.
    Bytes zero(112, 0);
    zero[0] = 1;
    CHECK_FALSE(checker().check(key, zero, begin).has_value());
}

TEST_CASE("keys without a namespace that is known are refused") {
    Author const author(1);
    for (auto const* text :
         {"", "/", "//", "/shards", "/shards/", "shards/x", "/unknown/x", "/shards2/x", "//x"})
        CHECK(code_of(checker().check(as_bytes(text), Bytes{1}, begin)) == Code::unsupported);
    auto const plain = as_bytes("/plain/x");
    CHECK(checker().check(plain, as_bytes("good"), begin).has_value());
    CHECK(code_of(checker().check(plain, as_bytes("bad"), begin)) == Code::invalid);
    CHECK(code_of(checker().check(plain, {}, begin)) == Code::invalid);
}

TEST_CASE("S26: a record is good for 59:59 and not for 60:01, and never from the future") {
    Author const author(1);
    auto const key = author.key();
    auto const value = author.record(key, 1, begin, "body");
    CHECK(checker().check(key, value, at(3599).wall).has_value());
    CHECK(code_of(checker().check(key, value, at(3600).wall)) == Code::conflict);
    CHECK(code_of(checker().check(key, value, at(3601).wall)) == Code::conflict);
    CHECK(checker().check(key, value, at(-clock_skew_seconds_max).wall).has_value());
    CHECK(code_of(checker().check(key, value, at(-clock_skew_seconds_max - 1).wall)) ==
          Code::invalid);
    auto const never = author.record(key, 1, UnixTime{-1}, "body");  // 2^64 - 1
    CHECK_FALSE(checker().check(key, never, begin).has_value());
    auto const ancient = author.record(key, 1, UnixTime{0}, "body");
    CHECK_FALSE(checker().check(key, ancient, begin).has_value());
    CHECK_FALSE(checker().check(key, value, UnixTime{-epoch}).has_value());
}

TEST_CASE("S26: the store shows a record at 59:59 and not at 60:01, whatever the wall clock does") {
    Author const author(1);
    RecordStore store({}, PeerId{});
    auto const check = checker();
    auto const key = author.key();
    auto const put = [&](Now now) {
        return store.put(check.check(key, author.record(key, 1, begin, "x"), now.wall).value(),
                         author.peer(), check, now);
    };
    REQUIRE(put(at(600)).has_value());
    CHECK(store.find(key, at(3599)) != nullptr);
    CHECK(store.find(key, at(3601)) == nullptr);
    // The wall clock was set back by a day: the hour still ends.
    CHECK(store.find(key, {.instant = at(3601).instant, .wall = at(-86400).wall}) == nullptr);
    CHECK(store.values_count() == 1);
    store.expire(at(3601));
    CHECK(store.values_count() == 0);

    RecordStore plain({}, PeerId{});
    auto const record = check.check(as_bytes("/plain/x"), as_bytes("v"), begin).value();
    REQUIRE(plain.put(record, author.peer(), check, at(0)).has_value());
    CHECK(plain.find(as_bytes("/plain/x"), at(3599)) != nullptr);
    CHECK(plain.find(as_bytes("/plain/x"), at(3601)) == nullptr);
}

TEST_CASE("S25: an older valid record never replaces a newer one in a store") {
    Author const author(1);
    RecordStore store({}, PeerId{});
    auto const check = checker();
    auto const key = author.key();
    auto const put = [&](std::uint64_t sequence, std::string_view body, std::uint8_t from) {
        auto const value = author.record(key, sequence, begin, body);
        return store.put(check.check(key, value, begin).value(), Author(from).peer(), check, at(1));
    };
    REQUIRE(put(5, "new", 1).has_value());
    CHECK(code_of(put(4, "old", 9)) == Code::conflict);
    CHECK(kith::base::as_text(store.find(key, at(1))->body()) == "new");
    CHECK(put(5, "new", 9).has_value());  // the same again
    CHECK(put(6, "newest", 9).has_value());
    CHECK(kith::base::as_text(store.find(key, at(1))->body()) == "newest");
    // An author who says two things at once: all nodes keep the same one of them.
    bool const first = put(7, "a", 1).has_value() && put(7, "b", 1).has_value();
    auto const kept = kith::base::to_text(store.find(key, at(1))->body());
    RecordStore other({}, PeerId{});
    auto const b = check.check(key, author.record(key, 7, begin, "b"), begin).value();
    auto const a = check.check(key, author.record(key, 7, begin, "a"), begin).value();
    CHECK(other.put(b, author.peer(), check, at(1)).has_value());
    static_cast<void>(other.put(a, author.peer(), check, at(1)).has_value());
    CHECK(kith::base::as_text(other.find(key, at(1))->body()) == kept);
    CHECK(check.is_better(a, b) != check.is_better(b, a));
    static_cast<void>(first);
}

TEST_CASE("S24: a provider entry needs the signature of the node it names") {
    Author const author(1), liar(2);
    auto const good = provider(author, 1, begin);
    CHECK(checker().check_provider(multihash, good, begin).has_value());
    auto bare = good;
    bare.proof.clear();
    CHECK(code_of(checker().check_provider(multihash, bare, begin)) == Code::unauthorized);
    CHECK(checker("swarm-a", UnsignedProviders::allowed)
              .check_provider(multihash, bare, begin)
              .has_value());
    auto const too_long = Bytes(provider_key_bytes_max + 1, 1);
    CHECK(code_of(checker().check_provider(too_long, good, begin)) == Code::invalid);
    CHECK(code_of(checker().check_provider({}, good, begin)) == Code::invalid);
}

TEST_CASE("S24: a provider entry signed by somebody else names nobody") {
    Author const author(1), liar(2);
    auto named = provider(liar, 1, begin);
    named.peer.id = author.peer();
    CHECK(code_of(checker().check_provider(multihash, named, begin)) == Code::unauthorized);
    // Allowing unsigned entries does not make a wrong signature right.
    CHECK(code_of(checker("swarm-a", UnsignedProviders::allowed)
                      .check_provider(multihash, named, begin)) == Code::unauthorized);
}

TEST_CASE("S23: a provider's signature for another key or another hour is worth nothing") {
    Author const author(1);
    auto other_key = multihash;
    other_key[5] ^= 1;
    CHECK(code_of(checker().check_provider(other_key, provider(author, 1, begin), begin)) ==
          Code::unauthorized);
    CHECK(code_of(checker("swarm-b").check_provider(multihash, provider(author, 1, begin),
                                                    begin)) == Code::unauthorized);
    auto value = provider(author, 1, begin);
    value.proof = author.record(multihash, 1, begin, "", "swarm-a", RecordKind::value);
    CHECK(code_of(checker().check_provider(multihash, value, begin)) == Code::unauthorized);
}

TEST_CASE("S26: a provider entry ends after the hour as well") {
    Author const author(1);
    RecordStore store({}, PeerId{});
    auto const entry =
        checker().check_provider(multihash, provider(author, 1, begin), begin).value();
    REQUIRE(store.add_provider(entry, author.peer(), at(0)).has_value());
    CHECK(store.providers(multihash, at(3599)).size() == 1);
    CHECK(store.providers(multihash, at(3601)).empty());
    store.expire(at(3601));
    CHECK(store.providers_count() == 0);
}

TEST_CASE("S25: an older provider entry does not replace a newer one") {
    Author const author(1);
    RecordStore store({}, PeerId{});
    auto const add = [&](std::uint64_t sequence) {
        auto const entry =
            checker().check_provider(multihash, provider(author, sequence, begin), begin).value();
        return store.add_provider(entry, author.peer(), at(0));
    };
    CHECK(add(2).has_value());
    CHECK(code_of(add(1)) == Code::conflict);
    CHECK(add(2).has_value());
    CHECK(add(3).has_value());
}

TEST_CASE("one peer fills its quota of the store, not the store, and the store has an end") {
    StoreLimits const limits{.values_max = 6,
                             .values_per_peer_max = 4,
                             .provider_keys_max = 3,
                             .providers_per_key_max = 2,
                             .providers_per_peer_max = 2};
    RecordStore store(limits, Author(99).peer());
    auto const check = checker("swarm-a", UnsignedProviders::allowed);
    auto const put = [&](int name, std::uint8_t from, Now now) {
        auto const key = "/plain/" + std::to_string(name);
        return store.put(check.check(as_bytes(key), as_bytes("v"), now.wall).value(),
                         Author(from).peer(), check, now);
    };
    for (int i = 0; i < 4; ++i) CHECK(put(i, 1, at(0)).has_value());
    CHECK(code_of(put(4, 1, at(0))) == Code::too_large);
    CHECK(put(4, 2, at(0)).has_value());
    CHECK(put(5, 2, at(0)).has_value());
    CHECK(code_of(put(6, 3, at(0))) == Code::too_large);
    CHECK(put(6, 3, at(3600)).has_value());  // the old ones are over
    CHECK(store.values_count() == 1);
    for (int i = 10; i < 15; ++i) CHECK(put(i, 99, at(3600)).has_value());  // our own: no quota
    CHECK(store.values_count() == 6);

    auto const add = [&](std::uint8_t key, std::uint8_t from) {
        ProviderInfo const info{.peer = {.id = Author(from).peer(), .addresses = {}}, .proof = {}};
        auto const entry = check.check_provider(Bytes(34, key), info, begin).value();
        return store.add_provider(entry, Author(from).peer(), at(0));
    };
    CHECK(add(1, 1).has_value());
    CHECK(add(2, 1).has_value());
    CHECK(code_of(add(3, 1)) == Code::too_large);  // its quota
    CHECK(add(1, 1).has_value());                  // again: no second entry
    CHECK(add(1, 2).has_value());
    CHECK(code_of(add(1, 3)) == Code::too_large);  // providers of a key
    CHECK(add(3, 3).has_value());
    CHECK(code_of(add(4, 4)) == Code::too_large);  // keys
    CHECK(store.providers_count() == 4);
    store.forget_provider(Bytes(34, 1), Author(1).peer());
    CHECK(add(1, 3).has_value());
}

TEST_CASE(
    "what is published is due every half hour, and again after a minute when nobody took it") {
    Publisher publisher;
    auto const now = at(0).instant;
    REQUIRE(publisher.add({.kind = RecordKind::value, .key = {1}, .body = {2}}, now).has_value());
    CHECK(publisher.poll_due(now) == std::nullopt);
    publisher.on_published(RecordKind::value, Bytes{1}, 0, now);
    CHECK(publisher.deadline() == now + republish_retry);
    CHECK(publisher.poll_due(now + republish_retry - 1us) == std::nullopt);
    auto const due = publisher.poll_due(now + republish_retry);
    REQUIRE(due.has_value());
    CHECK(due->body == Bytes{2});
    CHECK(publisher.poll_due(now + republish_retry) == std::nullopt);
    publisher.on_published(RecordKind::value, Bytes{1}, 3, now + republish_retry);
    CHECK(publisher.deadline() == now + republish_retry + republish_interval);
    publisher.remove(RecordKind::value, Bytes{1});
    CHECK(publisher.deadline() == std::nullopt);
}

TEST_CASE("S26: after a restart everything is due at once, under greater sequences") {
    Publisher before;
    REQUIRE(before.add({.kind = RecordKind::value, .key = {1}, .body = {2}}, at(0).instant)
                .has_value());
    REQUIRE(before.add({.kind = RecordKind::provider, .key = {1}, .body = {}}, at(0).instant)
                .has_value());
    auto const last = before.next_sequence(begin);
    auto const state = before.export_state();

    Publisher after;
    REQUIRE(after.import_state(state, at(7).instant).has_value());
    CHECK(after.poll_due(at(7).instant)->body == Bytes{2});
    CHECK(after.poll_due(at(7).instant)->kind == RecordKind::provider);
    CHECK(after.poll_due(at(7).instant) == std::nullopt);
    CHECK(after.next_sequence(begin) > last);
    CHECK(after.next_sequence(UnixTime{-5}) > last + 1);  // a clock set back does not go back
    Publisher lost;  // without the state the clock still goes on
    CHECK(lost.next_sequence(at(1).wall) > last);

    for (std::size_t size = 0; size < state.size(); ++size) {
        Publisher cut;
        CHECK_FALSE(cut.import_state(ByteView(state).first(size), at(0).instant).has_value());
        CHECK(cut.size() == 0);
    }
    auto longer = state;
    longer.push_back(0);
    CHECK_FALSE(after.import_state(longer, at(0).instant).has_value());
    CHECK(after.size() == 2);
}

TEST_CASE("a node publishes up to its limit and not one thing more") {
    Publisher publisher;
    for (std::size_t i = 0; i < published_max; ++i) {
        auto const name = std::to_string(i);
        CHECK(
            publisher
                .add({.kind = RecordKind::value, .key = {name.begin(), name.end()}, .body = {}}, {})
                .has_value());
    }
    CHECK(code_of(publisher.add({.kind = RecordKind::value, .key = {0}, .body = {}}, {})) ==
          Code::too_large);
    CHECK(publisher.add({.kind = RecordKind::value, .key = {'0'}, .body = {1}}, {}).has_value());
    CHECK(publisher.import_state(publisher.export_state(), {}).has_value());
}
