// P22: identity.key under a passphrase.
#include "identity/key_file.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <fstream>

#include "base/encoding.h"
#include "base/memory_search.h"
#include "base/temporary_folder.h"
#include "crypto/hash.h"
#include "identity/keystore.h"

using namespace kith;
using namespace identity;
using base::Code;

namespace {

constexpr base::UnixTime now{1'800'000'000};
constexpr std::size_t cost_offset = 12;
constexpr std::size_t salt_offset = 20;

crypto::SecretBytes text(std::string_view passphrase) {
    return crypto::SecretBytes(base::as_bytes(passphrase));
}

AskPassphrase says(std::string_view passphrase) {
    return [passphrase] { return text(passphrase); };
}

KeySeal seal_of(std::string_view passphrase, std::uint8_t salt = 1) {
    crypto::PasswordSalt bytes;
    bytes.fill(salt);
    return KeySeal::create(base::as_bytes(passphrase), bytes, crypto::password_cost_min).value();
}

crypto::Secret<identity_random_bytes> random_of(std::uint8_t at) {
    crypto::Secret<identity_random_bytes> out;
    for (auto& byte : out.mutable_view()) byte = at = static_cast<std::uint8_t>(at * 37 + 11);
    return out;
}

struct Folder : base::TemporaryFolder {
    [[nodiscard]] std::filesystem::path key() const { return path() / identity_file_name; }
    [[nodiscard]] std::string content() const {
        std::ifstream in(key(), std::ios::binary);
        return {std::istreambuf_iterator<char>(in), {}};
    }
    [[nodiscard]] base::Result<Identity> make(std::string_view passphrase) const {
        return load_or_create_identity(path(), random_of(1), now,
                                       {.ask = {}, .make = [=] { return seal_of(passphrase); }});
    }
};

// The checksum is no secret: whoever changes the file computes it anew.
base::Bytes with_checksum(base::Bytes file) {
    auto const content = base::ByteView(file).first(file.size() - crypto::sha256_bytes);
    std::ranges::copy(crypto::sha256(content), file.end() - crypto::sha256_bytes);
    return file;
}

}  // namespace

TEST_CASE("P22: a sealed key opens with its passphrase, and holds the seeds nowhere in clear") {
    Folder const folder;
    auto const made = folder.make("a long passphrase");
    REQUIRE(made);
    auto const content = folder.content();
    for (std::size_t const offset : {0U, 32U, 64U}) {
        auto const seed = random_of(1);
        auto const half = base::as_text(seed.view().subspan(offset, 16));
        CHECK(content.find(half) == std::string::npos);
    }
    struct stat info {};
    REQUIRE(::stat(folder.key().c_str(), &info) == 0);
    CHECK((info.st_mode & 07777) == 0600);
    auto const loaded = load_identity(folder.path(), says("a long passphrase"));
    REQUIRE(loaded);
    CHECK(loaded->binding() == made->binding());
    CHECK(loaded->has_seal());
}

TEST_CASE("P22: without the passphrase, or with another one, nothing opens and nothing changes") {
    Folder const folder;
    REQUIRE(folder.make("a long passphrase"));
    auto const before = folder.content();
    for (char const* wrong : {"A long passphrase", "a long passphras", "a long passphrase ", "x"}) {
        auto const loaded = load_identity(folder.path(), says(wrong));
        REQUIRE_FALSE(loaded.has_value());
        CHECK(loaded.error().code == Code::unauthorized);
        CHECK(loaded.error().message.find("passphrase is wrong") != std::string::npos);
    }
    CHECK(load_identity(folder.path()).error().code == Code::unauthorized);
    CHECK(load_identity(folder.path(), says("")).error().code == Code::invalid);
    auto const later = load_or_create_identity(folder.path(), random_of(2),
                                               base::UnixTime{base::seconds(now) + 86400 * 29},
                                               {.ask = says("wrong passphrase"), .make = {}});
    CHECK(later.error().code == Code::unauthorized);
    CHECK(folder.content() == before);
}

TEST_CASE("P22: who cannot or will not answer ends the opening with his own error") {
    Folder const folder;
    REQUIRE(folder.make("a long passphrase"));
    auto const loaded = load_identity(folder.path(), []() -> base::Result<crypto::SecretBytes> {
        return base::fail(Code::cancelled, "interrupted");
    });
    CHECK(loaded.error().code == Code::cancelled);
}

TEST_CASE("P22: new keys and a new binding stay under the passphrase without asking again") {
    Folder const folder;
    auto identity = folder.make("a long passphrase").value();
    crypto::Secret<rotation_random_bytes> random;
    std::ranges::fill(random.mutable_view(), std::uint8_t{9});
    for (auto const kind : {KeyChange::Kind::renew, KeyChange::Kind::rotate}) {
        auto const before = folder.content();
        REQUIRE(change_identity(folder.path(), identity, {kind}, random, now).has_value());
        CHECK(folder.content() != before);
        CHECK(load_identity(folder.path()).error().code == Code::unauthorized);
        auto const loaded = load_identity(folder.path(), says("a long passphrase"));
        REQUIRE(loaded);
        CHECK(loaded->binding() == identity.binding());
    }
}

TEST_CASE("P22: a passphrase is set, exchanged and removed, and a failure changes nothing") {
    Folder const folder;
    auto identity = load_or_create_identity(folder.path(), random_of(1), now).value();
    REQUIRE(change_seal(folder.path(), identity, seal_of("the first one", 1)).has_value());
    CHECK(load_identity(folder.path()).error().code == Code::unauthorized);
    REQUIRE(change_seal(folder.path(), identity, seal_of("the second one", 2)).has_value());
    CHECK(load_identity(folder.path(), says("the first one")).error().code == Code::unauthorized);
    CHECK(load_identity(folder.path(), says("the second one")).has_value());
    CHECK_FALSE(change_seal(folder.path() / "nowhere", identity, std::nullopt).has_value());
    CHECK(identity.has_seal());
    CHECK(load_identity(folder.path()).error().code == Code::unauthorized);
    REQUIRE(change_seal(folder.path(), identity, std::nullopt).has_value());
    auto const loaded = load_identity(folder.path());
    REQUIRE(loaded);
    CHECK(loaded->binding() == identity.binding());
    CHECK_FALSE(loaded->has_seal());
}

TEST_CASE("P22: a byte changed anywhere in a sealed key is refused, also under a right checksum") {
    Folder const folder;
    REQUIRE(folder.make("a long passphrase"));
    auto const good = base::to_bytes(base::as_bytes(folder.content()));
    auto const seal = seal_of("a long passphrase");
    auto const opens = [&seal](base::ByteView bytes) {
        auto const file = parse_key_file(bytes);
        if (!file || !file->sealed) return false;
        auto const& sealed = *file->sealed;
        return seal.open(sealed.nonce, sealed.head, sealed.sealed).has_value();
    };
    REQUIRE(opens(good));
    for (std::size_t i = 0; i < good.size() - crypto::sha256_bytes; i += i < 60 ? 1U : 41U) {
        auto bad = good;
        bad[i] ^= 1;
        CHECK_FALSE(opens(bad));
        CHECK_FALSE(opens(with_checksum(bad)));
    }
    for (std::size_t size = 0; size < good.size(); size += 97)
        CHECK_FALSE(opens(base::ByteView(good).first(size)));
}

TEST_CASE("P22: a file that asks for too much memory, too much time, or too little, is refused") {
    Folder const folder;
    REQUIRE(folder.make("a long passphrase"));
    auto const good = base::to_bytes(base::as_bytes(folder.content()));
    auto const asks_for = [&good](std::uint32_t memory_kib, std::uint32_t passes) {
        auto file = good;
        auto const view = base::MutableByteView(file);
        base::store_be<std::uint32_t>(view.subspan(cost_offset), memory_kib);
        base::store_be<std::uint32_t>(view.subspan(cost_offset + 4), passes);
        return parse_key_file(with_checksum(file));
    };
    CHECK(asks_for(1024 * 1024, 4).has_value());
    for (auto const& [memory_kib, passes] : std::vector<std::pair<std::uint32_t, std::uint32_t>>{
             {1024 * 1024 + 1, 2}, {0xffffffff, 3}, {256 * 1024, 0xffffffff}, {8, 1}, {0, 0}}) {
        auto const file = asks_for(memory_kib, passes);
        CHECK_FALSE(file.has_value());
        if (!file) CHECK(file.error().code == Code::corrupt);
    }
}

TEST_CASE("P22: no two files of one passphrase share a nonce, and one state gives one file") {
    auto const seal = seal_of("a long passphrase");
    auto identity = Identity::create(random_of(1), now).value();
    identity.set_seal(seal.clone());
    auto const first = identity.to_file_bytes();
    CHECK(base::equal(first.view(), identity.clone().to_file_bytes().view()));
    auto const nonce = [](crypto::SecretBytes const& file) {
        return parse_key_file(file.view())->sealed->nonce;
    };
    auto const before = nonce(first);
    REQUIRE(identity.renew(now, crypto::Secret<32>()).has_value());
    CHECK(nonce(identity.to_file_bytes()) != before);
    CHECK(base::equal(first.view().subspan(salt_offset, 16), base::Bytes(16, 1)));
}

TEST_CASE("P26: the passphrase and what it became leave memory with the identity") {
    Folder const folder;
    auto const start = [] { return random_of(77); };
    auto const patterned = [&start]() -> base::Result<crypto::SecretBytes> {
        return crypto::SecretBytes(start().view().first<40>());
    };
    base::MemoryNeedle const passphrase(start().view());
    {
        auto identity = load_or_create_identity(folder.path(), random_of(1), now).value();
        auto const given = patterned().value();
        REQUIRE(change_seal(folder.path(), identity,
                            KeySeal::create(given.view(), {}, crypto::password_cost_min).value())
                    .has_value());
        CHECK(passphrase.count() > 0);
    }
    CHECK(load_identity(folder.path(), patterned).has_value());
    CHECK(passphrase.count() == 0);
}
