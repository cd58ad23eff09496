// X25519 and Ed25519 against the published vectors.
#include <doctest/doctest.h>

#include "crypto/ed25519.h"
#include "crypto/x25519.h"
#include "vector_file.h"

using namespace kith;
using boost::json::value;
using vectors::array;
using vectors::hex;

namespace {

bool has_flag(value const& test, std::string_view flag) {
    for (auto const& each : test.at("flags").as_array())
        if (each.as_string() == flag) return true;
    return false;
}

}  // namespace

TEST_CASE("X25519: Wycheproof; a zero shared secret is refused") {
    std::size_t refused = 0;
    auto const ran = vectors::for_each_test(
        vectors::load("x25519_wycheproof.json.gz"), [&refused](value const&, value const& test) {
            CAPTURE(test.at("tcId").as_int64());
            auto const shared = crypto::x25519(crypto::Secret<32>(array<32>(test, "private")),
                                               array<32>(test, "public"));
            if (has_flag(test, "ZeroSharedSecret")) {
                ++refused;
                REQUIRE(!shared);
                CHECK(shared.error().code == base::Code::unauthorized);
                return;
            }
            REQUIRE(shared);
            CHECK(base::equal(shared->view(), hex(test, "shared")));
        });
    CHECK(ran == 346);
    CHECK(refused == 20);
}

TEST_CASE("Ed25519: Wycheproof") {
    auto const ran = vectors::for_each_test(
        vectors::load("ed25519_wycheproof.json.gz"), [](value const& group, value const& test) {
            CAPTURE(test.at("tcId").as_int64());
            auto const signature = hex(test, "sig");
            bool const valid = test.at("result").as_string() == "valid";
            if (signature.size() != 64) {  // our type cannot hold it
                CHECK(!valid);
                return;
            }
            CHECK(crypto::ed25519_verify(array<32>(group.at("publicKey"), "pk"), hex(test, "msg"),
                                         array<64>(test, "sig")) == valid);
        });
    CHECK(ran == 106);
}

TEST_CASE("Ed25519: the edge cases on which libraries disagree follow one rule, libsodium's") {
    auto const file = vectors::load("ed25519_edge_cctv.json.gz");
    for (auto const& test : file.as_array()) {
        CAPTURE(test.at("number").as_int64());
        auto const& message = test.at("msg").as_string();
        CHECK(crypto::ed25519_verify(
                  array<32>(test, "key"), base::as_bytes({message.data(), message.size()}),
                  array<64>(test, "sig")) == test.at("libsodium_1_0_18").as_bool());
    }
    CHECK(file.as_array().size() == 610);
}
