#include <doctest/doctest.h>

#include "base/encoding.h"
#include "base/sabotage.h"
#include "base/text.h"
#include "base/time.h"

using namespace kith::base;

TEST_CASE("hex decodes what it encodes and refuses everything else") {
    Bytes const bytes{0x00, 0x7f, 0xff};
    CHECK(to_hex(bytes) == "007fff");
    CHECK(from_hex("007fFF").value() == bytes);
    CHECK_FALSE(from_hex("0").has_value());
    CHECK_FALSE(from_hex("0g").has_value());
}

TEST_CASE("base64url without padding round trips and refuses stray bits") {
    for (std::size_t size = 0; size < 20; ++size) {
        Bytes bytes(size, 0xa5);
        CHECK(from_base64url(to_base64url(bytes)).value() == bytes);
    }
    CHECK_FALSE(from_base64url("A").has_value());
    CHECK_FALSE(from_base64url("AB").has_value());  // low bits of B are not zero
    CHECK_FALSE(from_base64url("AA==").has_value());
}

TEST_CASE("base58 keeps leading zeros") {
    Bytes const bytes{0, 0, 1, 2, 3};
    CHECK(to_base58(bytes) == "11Ldp");
    CHECK(from_base58("11Ldp").value() == bytes);
    CHECK_FALSE(from_base58("0OIl").has_value());
    CHECK_FALSE(from_base58(std::string(base58_chars_max + 1, '1')).has_value());
}

TEST_CASE("KITH_TRY hands the error to the caller") {
    auto const inner = [](bool good) -> Result<int> {
        if (!good) return fail(Code::not_found, "nothing there");
        return 7;
    };
    auto const outer = [&](bool good) -> Result<int> { return KITH_TRY(inner(good)) + 1; };
    CHECK(outer(true).value() == 8);
    CHECK(outer(false).error().code == Code::not_found);
}

TEST_CASE("integers are stored in the byte order their name says") {
    ByteArray<4> bytes{};
    store_be<std::uint32_t>(bytes, 0x01020304);
    CHECK(bytes == ByteArray<4>{1, 2, 3, 4});
    CHECK(load_le<std::uint32_t>(bytes) == 0x04030201);
}

TEST_CASE("text is cut between characters, never inside one") {
    std::string const text = "a\u00e9\u20ac\U0001f600";  // 1, 2, 3 and 4 bytes
    std::string_view const whole(text);
    std::size_t const ends[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10};
    for (std::size_t max = 0; max < std::size(ends); ++max)
        CHECK(kith::base::utf8_prefix(whole, max) == whole.substr(0, ends[max]));
    CHECK(kith::base::utf8_prefix("\x80\x80\x80", 2).empty());
}

TEST_CASE("a line of another machine has no control characters") {
    CHECK(kith::base::one_line("a\nb\x1b[31m\x7f\xc3\xa9", 100) == "a b [31m \xc3\xa9");
    CHECK(kith::base::one_line("abc\xc3\xa9", 4) == "abc");
}
