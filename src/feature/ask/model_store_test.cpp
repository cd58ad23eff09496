#include "feature/ask/model_store.h"

#include <doctest/doctest.h>

#include "base/code_of.h"
#include "base/temporary_folder.h"

namespace fs = std::filesystem;

namespace kith::ask {
namespace {

TEST_CASE(
    "S87: a model folder that others may write to is refused, one of the user's stays as it is") {
    base::TemporaryFolder const folder;
    auto const own = folder.path() / "own";
    REQUIRE(ModelStore::open(own).has_value());
    CHECK(fs::status(own).permissions() == fs::perms::owner_all);

    auto const shared = folder.path() / "shared";
    fs::create_directory(shared);
    auto const readable = fs::perms::owner_all | fs::perms::group_read | fs::perms::group_exec;
    fs::permissions(shared, readable);
    CHECK(ModelStore::open(shared).has_value());
    CHECK(fs::status(shared).permissions() == readable);

    for (auto const who : {fs::perms::group_write, fs::perms::others_write}) {
        fs::permissions(shared, readable | who);
        CHECK(base::code_of(ModelStore::open(shared)) == base::Code::forbidden);
    }
}

TEST_CASE("a name that no model can have is refused before anything is cut") {
    base::TemporaryFolder const folder;
    auto const cut = cut_into({}, folder.path(), folder.path() / "there-is-no-such-file",
                              "my model", 0, [](std::uint64_t, std::uint64_t) {});
    REQUIRE_FALSE(cut.has_value());
    CHECK(cut.error().code == base::Code::invalid);
    CHECK(cut.error().message.find("my model") != std::string::npos);
    CHECK(fs::is_empty(folder.path()));
}

}  // namespace
}  // namespace kith::ask
