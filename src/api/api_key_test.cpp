#include "api/api_key.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "api/http_auth.h"
#include "base/temporary_folder.h"

namespace kith::api {
namespace {

struct Folder : base::TemporaryFolder {
    [[nodiscard]] std::filesystem::path file() const { return path() / api_key_file_name; }
    void write(std::string const& content, mode_t mode) const {
        std::ofstream(file()) << content;
        REQUIRE(::chmod(file().c_str(), mode) == 0);
    }
};

base::ByteArray<32> bytes_of(std::uint8_t value) {
    base::ByteArray<32> out{};
    out.fill(value);
    return out;
}

base::Code refused(Folder const& folder) {
    auto const result = load_or_create_api_key(folder.path(), bytes_of(9));
    REQUIRE_FALSE(result.has_value());
    return result.error().code;
}

}  // namespace

TEST_CASE("S43: the generated key is 32 random bytes in hex, in a file only its owner can read") {
    Folder const folder;
    auto const made = load_or_create_api_key(folder.path(), bytes_of(0xab));
    REQUIRE(made.has_value());
    std::string text;
    for (int i = 0; i < 32; ++i) text += "ab";
    CHECK(base::as_text(made->text.view()) == text);
    struct stat info {};
    REQUIRE(::stat(folder.file().c_str(), &info) == 0);
    CHECK((info.st_mode & 0777U) == 0600U);
    auto const again = load_or_create_api_key(folder.path(), bytes_of(0xcd));
    REQUIRE(again.has_value());
    CHECK(base::as_text(again->text.view()) == text);
    auto const key = ApiKey::create(base::as_text(again->text.view()));
    REQUIRE(key.has_value());
    CHECK(key->matches(text));
}

TEST_CASE("S43: a key file that others can read, a link or nonsense is refused and left as it is") {
    std::string const good(64, 'a');
    {
        Folder const folder;
        folder.write(good, 0644);
        CHECK(refused(folder) == base::Code::forbidden);
    }
    {
        Folder const folder;
        std::filesystem::create_symlink("/dev/null", folder.file());
        CHECK(refused(folder) == base::Code::forbidden);
    }
    for (std::string const& content :
         {std::string(), std::string("\n"), good.substr(1), good + "a", std::string(64, 'A'),
          std::string(64, 'g'), good + "\n\n", " " + good}) {
        INFO(content);
        Folder const folder;
        folder.write(content, 0600);
        CHECK(refused(folder) == base::Code::corrupt);
        CHECK(std::filesystem::file_size(folder.file()) == content.size());
    }
}

}  // namespace kith::api
