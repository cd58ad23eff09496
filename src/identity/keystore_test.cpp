// P6, P22, P24, P26, S27: what happens to identity.key when the world around it is careless or
// hostile.
#include "identity/keystore.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <thread>
#include <vector>

#include "base/memory_search.h"
#include "base/temporary_folder.h"
#include "identity/secret_file.h"

using namespace kith;
using namespace identity;
using base::Code;
using std::filesystem::path;

namespace {

constexpr base::UnixTime now{1'800'000'000};

struct Folder : base::TemporaryFolder {
    [[nodiscard]] std::filesystem::path key() const { return path() / identity_file_name; }
    [[nodiscard]] std::size_t files_count() const {
        auto const entries = std::filesystem::directory_iterator(path());
        return static_cast<std::size_t>(std::distance(begin(entries), end(entries)));
    }
};

crypto::Secret<identity_random_bytes> random_of(std::uint8_t byte) {
    crypto::Secret<identity_random_bytes> out;
    std::ranges::fill(out.mutable_view(), byte);
    return out;
}

base::Result<Identity> load_or_create(Folder const& folder, std::uint8_t byte) {
    return load_or_create_identity(folder.path(), random_of(byte), now);
}

mode_t mode_of(path const& file) {
    struct stat info {};
    REQUIRE(::stat(file.c_str(), &info) == 0);
    return info.st_mode & 07777;
}

std::string content_of(path const& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

void write_raw(path const& file, std::string_view content) {
    std::ofstream out(file, std::ios::binary | std::ios::trunc);
    out.write(content.data(), static_cast<std::streamsize>(content.size()));
}

// Neither accepted nor replaced.
void refused(Folder const& folder, Code code, std::string_view word) {
    auto const before = content_of(folder.key());
    auto const result = load_or_create(folder, 99);
    REQUIRE(!result);
    CHECK(result.error().code == code);
    CHECK_MESSAGE(result.error().message.find(word) != std::string::npos, result.error().message);
    CHECK(content_of(folder.key()) == before);
}

}  // namespace

TEST_CASE("P6: an identity is made once and loaded ever after") {
    Folder const folder;
    CHECK(load_identity(folder.path()).error().code == Code::not_found);
    auto const first = load_or_create(folder, 1);
    REQUIRE(first);
    auto const second = load_or_create(folder, 2);
    REQUIRE(second);
    CHECK(first->address() == second->address());
    CHECK(first->binding() == second->binding());
    CHECK(folder.files_count() == 1);
}

TEST_CASE("P22: whatever the umask, the key is 0600 and its folder 0700") {
    Folder const folder;
    for (mode_t const mask : {0U, 0777U, 022U}) {
        if (mask == 0777 && ::geteuid() != 0) continue;  // then not even we may enter the folder
        auto const directory = folder.path() / std::to_string(mask);
        auto const previous = ::umask(mask);
        auto const made = load_or_create_identity(directory, random_of(1), now);
        ::umask(previous);
        REQUIRE(made);
        CHECK(mode_of(directory / identity_file_name) == 0600);
        if (mask != 0777) CHECK(mode_of(directory) == 0700);
    }
}

TEST_CASE("P22: a key that group or others may use is refused, and says what to do") {
    Folder const folder;
    REQUIRE(load_or_create(folder, 1));
    for (mode_t const mode : {0644U, 0640U, 0604U, 0660U, 0610U, 0602U, 0677U}) {
        REQUIRE(::chmod(folder.key().c_str(), mode) == 0);
        refused(folder, Code::forbidden, "chmod 600");
    }
    REQUIRE(::chmod(folder.key().c_str(), 0600) == 0);
    CHECK(load_or_create(folder, 1));
}

TEST_CASE("P22: a symbolic link in place of the key is refused, dangling ones too") {
    Folder const folder;
    Folder const elsewhere;
    REQUIRE(load_or_create(elsewhere, 1));
    std::filesystem::create_symlink(elsewhere.key(), folder.key());
    refused(folder, Code::forbidden, "symbolic link");
    std::filesystem::remove(elsewhere.key());
    CHECK(!load_or_create(folder, 1));
    CHECK(!std::filesystem::exists(elsewhere.key()));  // nothing was created through the link
}

TEST_CASE("P22: a key or folder of another owner, and a folder others may write to, are refused") {
    Folder const folder;
    REQUIRE(load_or_create(folder, 1));
    for (mode_t const mode : {0777U, 0770U, 0702U}) {
        REQUIRE(::chmod(folder.path().c_str(), mode) == 0);
        refused(folder, Code::forbidden, "chmod go-w");
    }
    REQUIRE(::chmod(folder.path().c_str(), 0700) == 0);
    if (::geteuid() != 0) {  // only root can give files away; others look at one of root's
        auto const foreign = read_secret_file("/etc/passwd");
        REQUIRE(!foreign);
        CHECK(foreign.error().message.find("chown") != std::string::npos);
        return;
    }
    REQUIRE(::chown(folder.key().c_str(), 12345, 12345) == 0);
    refused(folder, Code::forbidden, "chown");
    REQUIRE(::chown(folder.key().c_str(), 0, 0) == 0);
    REQUIRE(::chown(folder.path().c_str(), 12345, 12345) == 0);
    CHECK(!load_or_create(folder, 1));
    REQUIRE(::chown(folder.path().c_str(), 0, 0) == 0);
    CHECK(load_or_create(folder, 1));
}

TEST_CASE("P22: a folder or a pipe in place of the key is refused without waiting") {
    Folder const folder;
    REQUIRE(::mkfifo(folder.key().c_str(), 0600) == 0);
    CHECK(load_or_create(folder, 1).error().code == Code::forbidden);
    std::filesystem::remove(folder.key());
    std::filesystem::create_directory(folder.key());
    CHECK(load_or_create(folder, 1).error().code == Code::forbidden);
}

TEST_CASE(
    "S27: a key that is empty, cut, grown or altered in any byte is refused and never "
    "regenerated") {
    Folder const folder;
    REQUIRE(load_or_create(folder, 1));
    auto const good = content_of(folder.key());
    for (std::size_t size = 0; size < good.size(); size += size < 130 ? 1U : 211U) {
        write_raw(folder.key(), good.substr(0, size));
        refused(folder, Code::corrupt, "damaged");
    }
    write_raw(folder.key(), good + "x");
    refused(folder, Code::corrupt, "damaged");
    for (std::size_t i = 0; i < good.size(); i += i < 250 ? 1U : 53U) {
        auto bad = good;
        bad[i] = static_cast<char>(bad[i] ^ (1 << (i % 8)));
        write_raw(folder.key(), bad);
        refused(folder, Code::corrupt, "damaged");
    }
    write_raw(folder.key(), std::string(secret_file_bytes_max + 1, 'x'));
    refused(folder, Code::too_large, "larger");
    write_raw(folder.key(), good);
    CHECK(load_or_create(folder, 1));
}

TEST_CASE("S27: keys of one identity with the binding of another are refused") {
    auto const one = Identity::create(random_of(1), now);
    auto const two = Identity::create(random_of(2), now);
    REQUIRE(one);
    REQUIRE(two);
    IdentitySeeds seeds;
    std::ranges::fill(seeds.root.mutable_view(), std::uint8_t{1});
    std::ranges::fill(seeds.operational.mutable_view(), std::uint8_t{1});
    std::ranges::fill(seeds.static_key.mutable_view(), std::uint8_t{1});
    CHECK(Identity::restore(std::move(seeds), two->binding()).error().code == Code::corrupt);
}

TEST_CASE("P6: of many starting at once one creates the identity and all have it") {
    for (int round = 0; round < 5; ++round) {
        Folder const folder;
        std::atomic<int> failures = 0;
        std::vector<Address> addresses(8);
        {
            std::vector<std::jthread> threads;
            for (std::size_t i = 0; i < addresses.size(); ++i) {
                threads.emplace_back([&failures, &addresses, &folder, i] {
                    auto const made = load_or_create_identity(
                        folder.path(), random_of(static_cast<std::uint8_t>(i)), now);
                    if (made)
                        addresses[i] = made->address();
                    else
                        ++failures;
                });
            }
        }
        CHECK(failures == 0);
        for (auto const& address : addresses) CHECK(address == addresses[0]);
        CHECK(folder.files_count() == 1);
    }
}

TEST_CASE("a binding that is due is renewed on loading, and the file keeps the higher counter") {
    Folder const folder;
    REQUIRE(load_or_create(folder, 1));
    base::UnixTime const later{base::seconds(now) + binding_renewal_seconds};
    auto const renewed = load_or_create_identity(folder.path(), random_of(7), later);
    REQUIRE(renewed);
    CHECK(renewed->binding().body.counter == 2);
    auto const loaded = load_identity(folder.path());
    REQUIRE(loaded);
    CHECK(loaded->binding() == renewed->binding());
    CHECK(mode_of(folder.key()) == 0600);
    CHECK(folder.files_count() == 1);
}

TEST_CASE("P26: what a killed writer left is removed, what a writer at work has is not") {
    Folder const folder;
    auto const dead = folder.path() / ".identity.key.tmp-77-0";
    auto const alive = folder.path() / ".identity.key.tmp-78-0";
    auto const other = folder.path() / ".swarm.key.tmp-77-0";
    write_raw(dead, "secret");
    write_raw(alive, "secret");
    write_raw(other, "secret");
    int const held = ::open(alive.c_str(), O_RDONLY | O_CLOEXEC);
    REQUIRE(::flock(held, LOCK_EX | LOCK_NB) == 0);
    REQUIRE(load_or_create(folder, 1));
    CHECK(!std::filesystem::exists(dead));
    CHECK(std::filesystem::exists(alive));
    CHECK(std::filesystem::exists(other));
    ::close(held);
}

TEST_CASE("a secret file is written once, replaced whole, and limited") {
    Folder const folder;
    auto const file = folder.path() / "api.key";
    CHECK(read_secret_file(file).error().code == Code::not_found);
    REQUIRE(write_new_secret_file(file, base::as_bytes("one")));
    CHECK(write_new_secret_file(file, base::as_bytes("two")).error().code == Code::conflict);
    auto const first = read_secret_file(file);
    REQUIRE(first);
    CHECK(base::as_text(first->view()) == "one");
    REQUIRE(replace_secret_file(file, base::as_bytes("three")));
    auto const second = read_secret_file(file);
    REQUIRE(second);
    CHECK(base::as_text(second->view()) == "three");
    CHECK(mode_of(file) == 0600);
    CHECK(folder.files_count() == 1);

    base::Bytes const largest(secret_file_bytes_max, 'x');
    base::Bytes const too_large(secret_file_bytes_max + 1, 'x');
    REQUIRE(replace_secret_file(file, largest));
    auto const third = read_secret_file(file);
    REQUIRE(third);
    CHECK(third->size() == secret_file_bytes_max);
    CHECK(replace_secret_file(file, too_large).error().code == Code::too_large);
}

TEST_CASE(
    "P24: inside a git work tree the folder keeps its files out of git, or says that it cannot") {
    Folder const folder;
    std::filesystem::create_directory(folder.path() / ".git");
    auto const directory = folder.path() / "sub" / "kith";
    REQUIRE(load_or_create_identity(directory, random_of(1), now));
    CHECK(content_of(directory / ".gitignore") == "*\n");
    REQUIRE(load_or_create_identity(directory, random_of(1), now));

    auto const careless = folder.path() / "careless";
    std::filesystem::create_directory(careless);
    write_raw(careless / ".gitignore", "*.o\n");
    auto const result = load_or_create_identity(careless, random_of(1), now);
    REQUIRE(!result);
    CHECK(result.error().message.find("git") != std::string::npos);
    CHECK(!std::filesystem::exists(careless / identity_file_name));
    write_raw(careless / ".gitignore", "*.o\n*\n");
    CHECK(load_or_create_identity(careless, random_of(1), now));

    Folder const outside;
    REQUIRE(load_or_create(outside, 1));
    CHECK(!std::filesystem::exists(outside.path() / ".gitignore"));
}

TEST_CASE("E5: exchanged keys have the same address, another node id and the next counter") {
    Folder folder;
    auto identity = load_or_create(folder, 1).value();
    auto const before = identity.binding();
    auto const address = identity.address();
    crypto::Secret<rotation_random_bytes> random;
    std::ranges::fill(random.mutable_view(), std::uint8_t{9});
    REQUIRE(change_identity(folder.path(), identity, {KeyChange::Kind::rotate}, random, now)
                .has_value());
    auto const& body = identity.binding().body;
    CHECK(body.counter == before.body.counter + 1);
    CHECK(body.operational != before.body.operational);
    CHECK(body.static_key != before.body.static_key);
    CHECK(identity.address() == address);
    CHECK(verify_binding(identity.binding(), now).has_value());
    CHECK(load_identity(folder.path())->binding() == identity.binding());
    CHECK(mode_of(folder.key()) == 0600);

    REQUIRE(change_identity(folder.path(), identity, {KeyChange::Kind::renew}, random, now)
                .has_value());
    CHECK(identity.binding().body.counter == before.body.counter + 2);
    CHECK(identity.binding().body.operational == load_identity(folder.path())->node_id().bytes);
}

TEST_CASE("an identity whose file cannot be written does not change") {
    Folder folder;
    auto identity = load_or_create(folder, 1).value();
    auto const before = identity.binding();
    crypto::Secret<rotation_random_bytes> const random;
    auto const nowhere = folder.path() / "nowhere";
    for (auto const change : {KeyChange::Kind::renew, KeyChange::Kind::rotate})
        CHECK_FALSE(change_identity(nowhere, identity, {change}, random, now).has_value());
    CHECK(identity.binding() == before);
    CHECK(load_identity(folder.path())->binding() == before);
}

TEST_CASE("P26: the seeds leave memory with the identity, the old ones when keys are exchanged") {
    Folder const folder;
    std::vector<base::MemoryNeedle> needles;
    auto const patterned = [] {
        crypto::Secret<identity_random_bytes> out;
        std::uint8_t at = 3;
        for (auto& byte : out.mutable_view()) byte = at = static_cast<std::uint8_t>(at * 37 + 11);
        return out;
    };
    for (std::size_t const offset : {0U, 32U, 64U})
        needles.emplace_back(patterned().view().subspan(offset));
    {
        auto identity = load_or_create_identity(folder.path(), patterned(), now).value();
        for (auto const& needle : needles) CHECK(needle.count() > 0);
        crypto::Secret<rotation_random_bytes> random;
        std::ranges::fill(random.mutable_view(), std::uint8_t{9});
        REQUIRE(change_identity(folder.path(), identity, {KeyChange::Kind::rotate}, random, now)
                    .has_value());
        CHECK(needles[0].count() > 0);  // the root stays
        CHECK(needles[1].count() == 0);
        CHECK(needles[2].count() == 0);
        REQUIRE(load_identity(folder.path()).has_value());
    }
    for (auto const& needle : needles) CHECK(needle.count() == 0);
}
