#include "sim/disk.h"

#include <doctest/doctest.h>

#include "base/code_of.h"

using namespace kith;
using namespace kith::sim;

namespace {

base::Bytes bytes(std::string_view text) {
    return base::to_bytes(base::as_bytes(text));
}

std::optional<base::Bytes> value_of(Disk& disk) {
    return disk.get("t", bytes("k")).value();
}

std::optional<base::Code> redeemed(Disk& disk, std::string_view who, std::int64_t now) {
    return base::code_of(disk.invite_redeem(bytes("invite"), bytes(who), base::UnixTime{now},
                                            "member", bytes("entry")));
}

}  // namespace

TEST_CASE("what a write acknowledged survives, what was under way is there wholly or not at all") {
    for (auto const cut : {Disk::Cut::before, Disk::Cut::after}) {
        Disk disk;
        REQUIRE(disk.put("t", bytes("k"), bytes("old")).has_value());
        disk.crash_in(2, cut);
        REQUIRE(disk.put("t", bytes("other"), bytes("x")).has_value());
        CHECK_THROWS_AS((void)disk.put("t", bytes("k"), bytes("new")), Crash);
        disk.power_cut();
        CHECK(value_of(disk) == bytes(cut == Disk::Cut::after ? "new" : "old"));
        CHECK(disk.get("t", bytes("other")).value() == bytes("x"));
        CHECK(disk.put("t", bytes("k"), bytes("again")).has_value());  // once only
    }
}

TEST_CASE("the null controls lose and tear what real disks under SQLite do not") {
    Disk lying(Disk::Sync::lies);
    REQUIRE(lying.put("t", bytes("k"), bytes("kept")).has_value());
    lying.sync();
    REQUIRE(lying.put("t", bytes("k"), bytes("acknowledged")).has_value());
    lying.power_cut();
    CHECK(value_of(lying) == bytes("kept"));

    Disk tearing;
    tearing.crash_in(1, Disk::Cut::torn);
    CHECK_THROWS_AS((void)tearing.replace("s", bytes("12345678")), Crash);
    CHECK(tearing.read("s").value() == bytes("1234"));
}

TEST_CASE("an invite is counted once for each redeemer, and its limits hold, as in io/store") {
    Disk disk;
    CHECK(redeemed(disk, "ada", 1) == base::Code::not_found);
    REQUIRE(
        disk.invite_add({.lookup_id = bytes("invite"), .record = {}, .uses_max = 2, .expires = 100})
            .has_value());
    auto const redeem = [&](std::string_view who, std::int64_t now) {
        return disk.invite_redeem(bytes("invite"), bytes(who), base::UnixTime{now}, "member",
                                  bytes("entry"));
    };
    CHECK(redeem("ada", 1).has_value());
    CHECK(redeem("ada", 2).has_value());
    CHECK(disk.invites(10).value().at(0).uses == 1);
    CHECK(redeemed(disk, "bo", 100) == base::Code::timeout);
    CHECK(redeem("bo", 99).has_value());
    CHECK(redeemed(disk, "cy", 99) == base::Code::conflict);
    CHECK(disk.scan("member", 10).value().size() == 2);
    CHECK(base::code_of(disk.scan("member", 1)) == base::Code::too_large);
    REQUIRE(disk.invite_revoke(bytes("invite")).has_value());
    CHECK(redeemed(disk, "ada", 99) == base::Code::conflict);
}

TEST_CASE("a backup brings back what was, all of it") {
    Disk disk;
    REQUIRE(disk.replace("s", bytes("one")).has_value());
    auto const backup = disk.image();
    REQUIRE(disk.replace("s", bytes("two")).has_value());
    REQUIRE(disk.erase("t", bytes("k")).has_value());
    disk.restore(backup);
    CHECK(disk.read("s").value() == bytes("one"));
    CHECK(disk.writes_count() == 3);
}
