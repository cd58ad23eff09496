#include "identity/nickname.h"

#include <doctest/doctest.h>

#include "base/code_of.h"

using namespace kith;
using namespace kith::identity;
using base::Code;
using base::code_of;

namespace {

constexpr std::int64_t now_s = 1'800'000'000;

Identity new_identity(std::uint8_t number) {
    base::ByteArray<identity_random_bytes> random;
    random.fill(number);
    return Identity::create(crypto::Secret<identity_random_bytes>(random), base::UnixTime{now_s})
        .value();
}

struct Bench {
    Identity ada = new_identity(1);
    NicknameRegistry registry;
    std::function<bool(NodeId const&)> is_member = [](NodeId const&) { return true; };

    base::Result<bool> offer(std::string const& name, std::int64_t time, std::uint64_t sequence) {
        auto record =
            NicknameChecker::check(sign_nickname(ada, name, base::UnixTime{time}, sequence));
        REQUIRE(record.has_value());
        return registry.offer(std::move(*record), is_member, base::UnixTime{now_s});
    }
    [[nodiscard]] std::string name() const {
        auto const* found = registry.find(ada.node_id());
        return found == nullptr ? "" : found->content().name;
    }
};

std::string repeated(std::string_view piece, std::size_t count) {
    std::string text;
    for (std::size_t i = 0; i < count; ++i) text += piece;
    return text;
}

}  // namespace

TEST_CASE("S30: a name has 1 to 32 characters, whatever their bytes") {
    for (auto const& name : {std::string("a"), repeated("x", 32), repeated("\u00e9", 32),
                             repeated("\U0001f98a", 32), std::string("Ada of the attic")})
        CHECK(check_nickname(name).has_value());
    for (auto const& name : {std::string(), repeated("x", 33), repeated("\U0001f98a", 33)})
        CHECK_FALSE(check_nickname(name).has_value());
}

TEST_CASE("S30: a name with control, direction or invisible characters, or bad UTF-8, is refused") {
    for (auto const* const name : {"a\nb",
                                   "a\tb",
                                   "\x1b[2J",
                                   "a\x7f",
                                   "a\u0085",
                                   "a\u202egnp.exe",
                                   "\u2066a",
                                   "a\u200fb",
                                   "\u061c",
                                   "a\u200bb",
                                   "a\u2060",
                                   "\ufeff"
                                   "a",
                                   "a\u00adb",
                                   "a\u2028b",
                                   "\u3164",
                                   "a\u00a0b",
                                   "\u3000",
                                   "a\ufe0f",
                                   "\U000e0041",
                                   "\ue000",
                                   " a",
                                   "a ",
                                   " "})
        CHECK_FALSE(check_nickname(name).has_value());
    for (auto const* const name : {"\x80", "a\xc3", "\xc0\xaf", "\xe0\x80\x80", "\xed\xa0\x80",
                                   "\xf4\x90\x80\x80", "\xff", "a\xe2\x82"})
        CHECK_FALSE(check_nickname(name).has_value());
    CHECK_FALSE(check_nickname(std::string_view("a\0b", 3)).has_value());
}

TEST_CASE("S30: a record counts only with its node's signature over every bit of it") {
    Bench bench;
    auto const record = sign_nickname(bench.ada, "ada", base::UnixTime{now_s}, 1);
    auto const checked = NicknameChecker::check(record);
    REQUIRE(checked.has_value());
    CHECK(checked->content().name == "ada");
    CHECK(checked->content().node == bench.ada.node_id());
    CHECK(checked->encoded() == record);
    for (std::size_t at = 0; at < record.size(); ++at) {
        auto altered = record;
        altered[at] ^= 1;
        CHECK_FALSE(NicknameChecker::check(altered).has_value());
        CHECK_FALSE(NicknameChecker::check(base::ByteView(record).first(at)).has_value());
    }
    auto padded = record;
    padded.push_back(0);
    CHECK_FALSE(NicknameChecker::check(padded).has_value());
    CHECK(code_of(NicknameChecker::check(base::Bytes(nickname_record_bytes_max + 1))) ==
          Code::too_large);
    // Somebody else's signature under ada's id.
    auto forged = sign_nickname(new_identity(2), "ada", base::UnixTime{now_s}, 1);
    std::ranges::copy(bench.ada.node_id().bytes, forged.begin() + 1);
    CHECK(code_of(NicknameChecker::check(forged)) == Code::unauthorized);
}

TEST_CASE("S30: the newest timestamp wins, in whatever order records arrive") {
    Bench bench;
    CHECK(bench.offer("second", now_s - 50, 2).value());
    CHECK_FALSE(bench.offer("first", now_s - 100, 1).value());
    CHECK(bench.name() == "second");
    CHECK_FALSE(bench.offer("first", now_s - 100, 9).value());  // also with a higher sequence
    CHECK(bench.offer("third", now_s, 3).value());
    CHECK(bench.name() == "third");
    CHECK_FALSE(bench.offer("third", now_s, 3).value());  // the same again is nothing new
}

TEST_CASE("S30: a later record with an earlier sequence is no successor") {
    Bench bench;
    CHECK(bench.offer("tenth", now_s - 50, 10).value());
    CHECK(code_of(bench.offer("ninth", now_s, 9)) == Code::conflict);
    CHECK(code_of(bench.offer("tenth again", now_s, 10)) == Code::conflict);
    CHECK(bench.name() == "tenth");
}

TEST_CASE("S30: a timestamp 30 s ahead is taken, 31 s is refused") {
    Bench bench;
    CHECK(code_of(bench.offer("forever", now_s + nickname_future_max + 1, 1)) == Code::invalid);
    CHECK(code_of(bench.offer("forever", std::int64_t{1} << 62, 1)) == Code::invalid);
    CHECK(bench.name().empty());
    CHECK(bench.offer("soon", now_s + nickname_future_max, 1).value());
}

TEST_CASE("S30: of equal timestamps the lower hash wins on every node alike") {
    Bench one;
    Bench other;
    CHECK(one.offer("left", now_s, 1).value());
    CHECK(other.offer("right", now_s, 2).value());
    (void)one.offer("right", now_s, 2);
    (void)other.offer("left", now_s, 1);
    CHECK(one.name() == other.name());
}

TEST_CASE("S31: only members have a name, and one that leaves loses it") {
    Bench bench;
    bench.is_member = [](NodeId const&) { return false; };
    CHECK(code_of(bench.offer("stranger", now_s, 1)) == Code::forbidden);
    CHECK(bench.registry.size() == 0);
    bench.is_member = [](NodeId const&) { return true; };
    CHECK(bench.offer("member", now_s, 1).value());
    bench.registry.keep([](NodeId const&) { return false; });
    CHECK(bench.name().empty());
}

TEST_CASE("S31: ten thousand members have names, the next has none until one has left") {
    Bench bench;
    crypto::Secret<32> seed;
    NodeId first;
    auto const offer_of = [&](std::uint32_t number) {
        base::store_be(seed.mutable_view().first(4), number);
        crypto::Ed25519KeyPair const pair(seed);
        if (number == 0) first = NodeId{pair.public_key()};
        base::Bytes body{1};
        base::append(body, pair.public_key());
        base::Bytes fields(8 + 8 + 2 + 1);
        base::store_be<std::int64_t>(fields, now_s);
        base::store_be<std::uint16_t>(base::MutableByteView(fields).subspan(16), 1);
        fields.back() = 'n';
        base::append(body, fields);
        auto message = base::to_bytes(base::as_bytes("kith/nickname/v1"));
        base::append(message, body);
        base::append(body, pair.sign(message));
        auto record = NicknameChecker::check(body);
        REQUIRE(record.has_value());
        return bench.registry.offer(std::move(*record), bench.is_member, base::UnixTime{now_s});
    };
    for (std::uint32_t i = 0; i < nicknames_max; ++i) REQUIRE(offer_of(i).value());
    CHECK(code_of(offer_of(nicknames_max)) == Code::too_large);
    CHECK(bench.registry.size() == nicknames_max);
    CHECK(bench.registry.find(first) != nullptr);
    bench.is_member = [&](NodeId const& node) { return node != first; };
    CHECK(offer_of(nicknames_max).value());
    CHECK(bench.registry.size() == nicknames_max);
    CHECK(bench.registry.find(first) == nullptr);
}
