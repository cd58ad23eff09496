#include "io/store/sqlite_store.h"

#include <doctest/doctest.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <random>

#include "base/code_of.h"
#include "base/file_descriptor.h"
#include "base/temporary_folder.h"

using namespace kith;

namespace {

std::unique_ptr<io::SqliteStore> memory() {
    return io::SqliteStore::open(":memory:").value();
}

base::Bytes id(std::uint8_t value) {
    return base::Bytes(32, value);
}

ports::InviteRow invite(std::uint32_t uses_max, std::int64_t expires) {
    return {.lookup_id = id(1),
            .record = {1, 2, 3},
            .uses_max = uses_max,
            .expires = expires,
            .note = "for Bo"};
}

struct TemporaryFile {
    base::TemporaryFolder folder;
    std::filesystem::path path = folder.path() / "state.db";
};

// A process that redeems one invite for ever, each time for somebody else, and says so each time
// with a byte in the pipe.
[[noreturn]] void redeem_for_ever(std::filesystem::path const& file, std::size_t first, int told) {
    auto opened = io::SqliteStore::open(file);
    for (auto redeemer = first; opened; ++redeemer) {
        base::ByteArray<32> who{};
        base::store_be<std::uint64_t>(base::MutableByteView(who), redeemer);
        if (!(*opened)->invite_redeem(id(1), who, base::UnixTime{500}, "member", who)) break;
        std::uint8_t const byte = 1;
        if (::write(told, &byte, 1) != 1) break;
    }
    ::_exit(1);
}

}  // namespace

TEST_CASE("values come back as they were put, and tables do not mix") {
    auto store = memory();
    REQUIRE(store->put("a", id(1), base::as_bytes("one")).has_value());
    REQUIRE(store->put("b", id(1), base::as_bytes("other")).has_value());
    REQUIRE(store->put("a", id(1), base::as_bytes("two")).has_value());
    CHECK(base::as_text(*store->get("a", id(1)).value()) == "two");
    CHECK_FALSE(store->get("a", id(2)).value().has_value());
    CHECK(store->scan("a", 10).value().size() == 1);
    CHECK(base::code_of(store->scan("a", 0)) == base::Code::too_large);
    REQUIRE(store->erase("a", id(1)).has_value());
    CHECK_FALSE(store->get("a", id(1)).value().has_value());
}

TEST_CASE("P16: an invite is redeemed as often as it allows and not once more") {
    auto store = memory();
    REQUIRE(store->invite_add(invite(2, 1000)).has_value());
    base::UnixTime const now{500};
    CHECK(store->invite_redeem(id(1), id(10), now, "member", {}).has_value());
    CHECK(store->invite_redeem(id(1), id(11), now, "member", {}).has_value());
    CHECK(base::code_of(store->invite_redeem(id(1), id(12), now, "member", {})) ==
          base::Code::conflict);
    CHECK(store->scan("member", 10).value().size() == 2);
}

TEST_CASE("P16: asking again for a redemption that was answered does not count twice") {
    auto store = memory();
    REQUIRE(store->invite_add(invite(1, 0)).has_value());
    base::UnixTime const now{500};
    CHECK(store->invite_redeem(id(1), id(10), now, "member", {}).has_value());
    CHECK(store->invite_redeem(id(1), id(10), now, "member", {}).has_value());
    CHECK(store->invites(10).value().front().uses == 1);
}

TEST_CASE("P16: an invite ends at its expiry second, and a clock set back does not revive it") {
    auto store = memory();
    REQUIRE(store->invite_add(invite(10, 1000)).has_value());
    auto const redeemed_at = [&](std::uint8_t redeemer, std::int64_t second) {
        return base::code_of(store->invite_redeem(id(1), id(redeemer), base::UnixTime{second},
                                                  "member", base::Bytes{1}));
    };
    CHECK(redeemed_at(10, 999) == std::nullopt);
    CHECK(redeemed_at(11, 1000) == base::Code::timeout);
    CHECK(redeemed_at(12, 500) == base::Code::timeout);
    CHECK(store->invites(10).value().front().uses == 1);
}

TEST_CASE(
    "P16: a use that cannot be stored whole is not counted, and the reason is the first one") {
    TemporaryFile file;
    {
        auto store = io::SqliteStore::open(file.path).value();
        REQUIRE(store->invite_add(invite(1, 0)).has_value());
    }
    sqlite3* raw = nullptr;
    REQUIRE(sqlite3_open(file.path.c_str(), &raw) == SQLITE_OK);
    // As on a full disk: the member's row, which comes after the count, fails and ends the
    // transaction.
    CHECK(sqlite3_exec(raw,
                       "CREATE TRIGGER full BEFORE INSERT ON kv WHEN NEW.tab='member' "
                       "BEGIN SELECT RAISE(ROLLBACK, 'the disk is full'); END",
                       nullptr, nullptr, nullptr) == SQLITE_OK);
    sqlite3_close(raw);
    auto store = io::SqliteStore::open(file.path).value();
    auto const redeemed =
        store->invite_redeem(id(1), id(10), base::UnixTime{1}, "member", base::Bytes{1});
    REQUIRE_FALSE(redeemed.has_value());
    CHECK(redeemed.error().message.find("the disk is full") != std::string::npos);
    CHECK(store->invites(10).value().front().uses == 0);
    // And the store goes on.
    CHECK(store->put("other", id(1), base::Bytes{1}).has_value());
}

TEST_CASE("P2: unknown and revoked invites admit nobody and change nothing") {
    auto store = memory();
    REQUIRE(store->invite_add(invite(10, 0)).has_value());
    CHECK(base::code_of(store->invite_redeem(id(9), id(10), base::UnixTime{1}, "member", {})) ==
          base::Code::not_found);
    REQUIRE(store->invite_revoke(id(1)).has_value());
    CHECK(base::code_of(store->invite_redeem(id(1), id(10), base::UnixTime{1}, "member", {})) ==
          base::Code::conflict);
    CHECK(store->scan("member", 10).value().empty());
    CHECK(base::code_of(store->invite_revoke(id(9))) == base::Code::not_found);
}

TEST_CASE("the file is private, and a second process is told who is in the way") {
    TemporaryFile file;
    auto store = io::SqliteStore::open(file.path);
    REQUIRE(store.has_value());
    struct stat info {};
    REQUIRE(stat(file.path.c_str(), &info) == 0);
    CHECK((info.st_mode & 0777) == 0600);
    REQUIRE((*store)->put("a", id(1), base::as_bytes("kept")).has_value());
    CHECK(base::code_of(io::SqliteStore::open(file.path)) == base::Code::conflict);
    store->reset();
    auto again = io::SqliteStore::open(file.path);
    REQUIRE(again.has_value());
    CHECK(base::as_text(*(*again)->get("a", id(1)).value()) == "kept");
}

TEST_CASE("the folder may be reached over a link, the file itself may not be one") {
    TemporaryFile file;
    auto const real = file.folder.path() / "real";
    auto const link = file.folder.path() / "link";
    std::filesystem::create_directory(real);
    std::filesystem::create_directory_symlink(real, link);
    REQUIRE(io::SqliteStore::open(link / "state.db").has_value());
    CHECK(std::filesystem::exists(real / "state.db"));
    std::filesystem::create_symlink(real / "state.db", real / "other.db");
    CHECK_FALSE(io::SqliteStore::open(real / "other.db").has_value());
}

TEST_CASE("a file that is no database is refused, not overwritten") {
    TemporaryFile file;
    auto* out = fopen(file.path.c_str(), "w");
    fputs(
        "these are my holiday notes, not a database at all; they are long enough to look like a "
        "header......",
        out);
    fclose(out);
    CHECK(base::code_of(io::SqliteStore::open(file.path)) == base::Code::corrupt);
    CHECK(std::filesystem::file_size(file.path) > 50);
}

TEST_CASE("P16: a killed process has forgotten no redemption, and none is half there") {
    TemporaryFile const file;
    REQUIRE(io::SqliteStore::open(file.path).value()->invite_add(invite(10'000, 0)).has_value());
    auto const seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937 chance(seed);
    std::size_t known = 0;  // redemptions that were acknowledged, and one that was perhaps not
    for (int round = 0; round < 8; ++round) {
        int ends[2];
        REQUIRE(::pipe(ends) == 0);
        base::FileDescriptor const told(ends[0]);
        auto const child = ::fork();
        REQUIRE(child >= 0);
        if (child == 0) redeem_for_ever(file.path, known, ends[1]);
        ::close(ends[1]);
        auto const wanted = std::uniform_int_distribution<std::size_t>(1, 40)(chance);
        std::size_t acknowledged = 0;
        std::uint8_t byte = 0;
        while (acknowledged < wanted && ::read(told.get(), &byte, 1) == 1) ++acknowledged;
        REQUIRE(acknowledged == wanted);
        ::kill(child, SIGKILL);
        int status = 0;
        REQUIRE(::waitpid(child, &status, 0) == child);
        CHECK(WIFSIGNALED(status));
        while (::read(told.get(), &byte, 1) == 1) ++acknowledged;  // before the signal arrived

        auto const store = io::SqliteStore::open(file.path).value();
        auto const uses = store->invites(10).value().front().uses;
        CHECK(uses >= known + acknowledged);
        CHECK(uses <= known + acknowledged + 1);
        CHECK(store->scan("member", 10'000).value().size() == uses);
        known = uses;
    }
}
