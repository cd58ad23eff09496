#include <doctest/doctest.h>

#include <string>

#include "api/http_auth.h"
#include "api/http_bind.h"
#include "api/http_origin.h"
#include "api/http_routes.h"
#include "base/code_of.h"

namespace kith::api {
namespace {

constexpr char const* key_text = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

HttpHead head_with(std::vector<HeaderField> fields) {
    return {"GET", "/v1/models", std::move(fields)};
}

bool accepted(std::vector<HeaderField> fields) {
    auto const key = ApiKey::create(key_text);
    REQUIRE(key.has_value());
    return authenticate(head_with(std::move(fields)), *key).has_value();
}

bool may_bind(std::string host, std::optional<std::string> key) {
    return check_bind({.host = std::move(host), .port = 8800, .api_key_given = std::move(key)})
        .has_value();
}

}  // namespace

TEST_CASE("P20: beyond this machine only with an API key given on purpose") {
    for (char const* host : {"0.0.0.0", "::", "::ffff:0.0.0.0", "192.168.1.20", "10.0.0.1",
                             "fe80::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:192.168.1.20"}) {
        INFO(std::string(host));
        CHECK_FALSE(may_bind(host, std::nullopt));
        CHECK_FALSE(may_bind(host, ""));
        CHECK_FALSE(may_bind(host, " \t\r\n"));
        CHECK(may_bind(host, "a key of my own"));
    }
}

TEST_CASE("P20: what only looks like loopback is not") {
    for (char const* host :
         {"", "127.1", "0x7f.0.0.1", "2130706433", "0177.0.0.1", "127.0.0.1.evil.example",
          "localhost.", "localhost.evil.example", "LOCALHOST", "my-machine", "127.0.0.1 ", "[::1]",
          "::1%lo", "128.0.0.1", "126.255.255.255"}) {
        INFO(std::string(host));
        CHECK_FALSE(may_bind(host, std::nullopt));
    }
    for (char const* host :
         {"127.0.0.1", "127.0.0.2", "127.255.255.255", "::1", "0:0:0:0:0:0:0:1", "localhost"}) {
        INFO(std::string(host));
        CHECK(may_bind(host, std::nullopt));
    }
}

TEST_CASE("a name is no address to listen on, even with a key") {
    auto const result =
        check_bind({.host = "my-machine", .port = 1, .api_key_given = std::string("key")});
    REQUIRE_FALSE(result.has_value());
    CHECK(result.error().code == base::Code::invalid);
    auto const local = check_bind({.host = "localhost", .port = 7, .api_key_given = {}});
    REQUIRE(local.has_value());
    CHECK(local->ip() == "127.0.0.1");
    CHECK(local->port() == 7);
}

TEST_CASE("S43: the key is accepted from one carrier, the scheme in any case") {
    std::string const key = key_text;
    CHECK(accepted({{"authorization", "Bearer " + key}}));
    CHECK(accepted({{"authorization", "bearer " + key}}));
    CHECK(accepted({{"authorization", "BEARER   " + key}}));
    CHECK(accepted({{"x-api-key", key}}));
}

TEST_CASE("S43: anything but the exact key is refused") {
    std::string const key = key_text;
    std::string upper = key;
    for (char& c : upper) c = static_cast<char>(std::toupper(c));
    CHECK_FALSE(accepted({}));
    for (std::string const& wrong :
         {std::string(), key.substr(1), key.substr(0, 63), key + "0", upper, std::string(64, '0'),
          key + " " + key, "\"" + key + "\"", key + ","}) {
        INFO(wrong);
        CHECK_FALSE(accepted({{"authorization", "Bearer " + wrong}}));
        CHECK_FALSE(accepted({{"x-api-key", wrong}}));
    }
    CHECK_FALSE(accepted({{"authorization", key}}));
    CHECK_FALSE(accepted({{"authorization", "Basic " + key}}));
    CHECK_FALSE(accepted({{"authorization", "Bearer"}}));
    CHECK_FALSE(accepted({{"authorization", "Bearer\t" + key}}));
    CHECK_FALSE(accepted({{"authorization", "BearerX " + key}}));
    CHECK_FALSE(accepted({{"cookie", "key=" + key}}));
    CHECK_FALSE(accepted({{"proxy-authorization", "Bearer " + key}}));
}

TEST_CASE("S43: two credentials are refused even when both are right") {
    std::string const bearer = std::string("Bearer ") + key_text;
    CHECK_FALSE(accepted({{"authorization", bearer}, {"authorization", bearer}}));
    CHECK_FALSE(accepted({{"authorization", bearer}, {"authorization", "Bearer x"}}));
    CHECK_FALSE(accepted({{"authorization", bearer}, {"x-api-key", key_text}}));
    CHECK_FALSE(accepted({{"x-api-key", key_text}, {"x-api-key", key_text}}));
}

TEST_CASE("a key that could not stand in a header field is no key") {
    CHECK_FALSE(ApiKey::create("").has_value());
    CHECK_FALSE(ApiKey::create(" \n\t").has_value());
    CHECK_FALSE(ApiKey::create("two words").has_value());
    CHECK_FALSE(ApiKey::create("caf\xc3\xa9").has_value());
    CHECK(ApiKey::create(std::string(api_key_bytes_max, 'k')).has_value());
    CHECK_FALSE(ApiKey::create(std::string(api_key_bytes_max + 1, 'k')).has_value());
    auto const trimmed_key = ApiKey::create(" secret\n");
    REQUIRE(trimmed_key.has_value());
    CHECK(trimmed_key->matches("secret"));
}

TEST_CASE("S51: Host must be one of ours with the right port") {
    HttpPeer const peer{"127.0.0.1", 8800, "127.0.0.1"};
    for (char const* host : {"localhost:8800", "127.0.0.1:8800", "[::1]:8800", "LOCALHOST:8800"}) {
        INFO(std::string(host));
        CHECK(host_allowed(host, peer, {}));
    }
    for (char const* host : {"",
                             "localhost",
                             "localhost:80",
                             "localhost:8801",
                             "localhost:08800",
                             "localhost.:8800",
                             "evil.example",
                             "evil.example:8800",
                             "127.0.0.1.nip.io:8800",
                             "localhost.evil.example:8800",
                             "evil-localhost:8800",
                             "127.0.0.1:8800.evil.example",
                             "127.1:8800",
                             "0.0.0.0:8800",
                             "2130706433:8800",
                             "::1:8800",
                             "[::1]",
                             "[0:0:0:0:0:0:0:1]:8800",
                             "localhost:8800 ",
                             "user@localhost:8800",
                             "localhost:8800,evil.example",
                             "192.168.1.20:8800"}) {
        INFO(std::string(host));
        CHECK_FALSE(host_allowed(host, peer, {}));
    }
    CHECK(host_allowed("localhost", {"127.0.0.1", 80, ""}, {}));
}

TEST_CASE("S51: the address the connection arrived at and configured names are ours too") {
    HttpPeer const lan{"192.168.1.20", 8800, "192.168.1.30"};
    CHECK(host_allowed("192.168.1.20:8800", lan, {}));
    CHECK_FALSE(host_allowed("192.168.1.21:8800", lan, {}));
    CHECK(host_allowed("[2001:db8::1]:8800", {"2001:db8::1", 8800, ""}, {}));
    HostNames const names{"kith.example.org", "other.example:8443"};
    CHECK(host_allowed("kith.example.org", lan, names));
    CHECK(host_allowed("KITH.example.org:8800", lan, names));
    CHECK(host_allowed("other.example:8443", lan, names));
    CHECK_FALSE(host_allowed("other.example", lan, names));
    CHECK_FALSE(host_allowed("x.kith.example.org", lan, names));
    CHECK_FALSE(host_allowed("kith.example.org.evil.example", lan, names));
}

TEST_CASE("S51: names that could be no Host are refused when they are configured") {
    CHECK(check_host_names({}).has_value());
    for (char const* name : {"kith.example.org", "KITH.example.org:8443", "localhost:9000",
                             "192.168.1.20:8800", "[2001:db8::1]", "[2001:db8::1]:8443", "a_b"}) {
        INFO(std::string(name));
        CHECK(check_host_names({name}).has_value());
    }
    for (char const* name :
         {"", "*", "*.example.org", "http://kith.example.org", "kith.example.org/", "a b", "a,b",
          "kith.example.org:", "kith.example.org:0", "kith.example.org:65536", "a:b", "::1",
          "2001:db8::1", "[]", "[::1", "user@kith.example.org", "kith.example.org:80 "}) {
        INFO(std::string(name));
        CHECK(base::code_of(check_host_names({name})) == base::Code::invalid);
    }
    HostNames names(hosts_count_max, "a.example");
    CHECK(check_host_names(names).has_value());
    names.push_back("b.example");
    CHECK(base::code_of(check_host_names(names)) == base::Code::too_large);
}

TEST_CASE("S51: a foreign Origin is refused, our own and none are not") {
    HttpPeer const peer{"127.0.0.1", 8800, "127.0.0.1"};
    CHECK(origin_allowed(head_with({}), peer, {}));
    CHECK(origin_allowed(head_with({{"origin", "http://localhost:8800"}}), peer, {}));
    CHECK(origin_allowed(head_with({{"origin", "http://127.0.0.1:8800"}}), peer, {}));
    CHECK(origin_allowed(head_with({{"origin", "https://kith.example.org"}}), peer,
                         {"kith.example.org"}));
    for (char const* origin :
         {"", "null", "http://evil.example", "http://127.0.0.1.evil.example:8800",
          "http://127.0.0.1", "http://localhost:8801", "ws://localhost:8800", "file://", "http://",
          "http://localhost:8800/", "http://evil.example@localhost:8800",
          "chrome-extension://localhost:8800", "http://localhost:8800 http://evil.example"}) {
        INFO(std::string(origin));
        CHECK_FALSE(origin_allowed(head_with({{"origin", origin}}), peer, {}));
    }
    CHECK_FALSE(origin_allowed(
        head_with({{"origin", "http://localhost:8800"}, {"origin", "http://localhost:8800"}}), peer,
        {}));
}

TEST_CASE(
    "S44, S45: only the shell page and health are exempt; the tree below /v1 and /api needs the "
    "key") {
    std::size_t exempt = 0;
    for (auto const& route : routes()) {
        exempt += route.access == Access::exempt ? 1 : 0;
        CHECK(needs_key(std::string(route.path) + (route.match == PathMatch::exact ? "" : "x")) ==
              (route.access == Access::key));
    }
    CHECK(exempt == 2);
    for (char const* path : {"/v1", "/v1/", "/v1/models", "/v1/anything/at/all", "/v1/../health",
                             "/api", "/api/admin/provider-models", "/v1/%2e%2e/health"})
        CHECK(needs_key(path));
}

TEST_CASE("S44: paths are compared byte for byte, so no spelling reaches another handler") {
    for (char const* path :
         {"//v1/models", "/v1//models", "/v1/models/", "/V1/models", "/%76%31/models",
          "/v1%2fmodels", "/./v1/models", "/v1/models/a/b", "/v1/chat/completions/", "/health/",
          "/healthz", "//", "/health%00", "/v1/../health", "/.", "/;/v1/models", "/v1;x/models",
          "/index.html"}) {
        INFO(std::string(path));
        CHECK(std::holds_alternative<UnknownPath>(find_route("GET", path)));
    }
}

TEST_CASE("methods are compared exactly; HEAD is GET without a body") {
    CHECK(std::holds_alternative<FoundRoute>(find_route("GET", "/health")));
    CHECK(std::holds_alternative<FoundRoute>(find_route("HEAD", "/health")));
    CHECK(std::holds_alternative<FoundRoute>(find_route("POST", "/v1/chat/completions")));
    for (char const* method : {"POST", "OPTIONS", "get", "TRACE", "PUT", "DELETE"})
        CHECK(std::holds_alternative<WrongMethod>(find_route(method, "/health")));
    CHECK(std::holds_alternative<WrongMethod>(find_route("GET", "/v1/chat/completions")));
    CHECK(std::holds_alternative<WrongMethod>(find_route("HEAD", "/v1/chat/completions")));
}

TEST_CASE("a model's name in the path is decoded once, after the path was matched") {
    auto const parameter = [](char const* path) {
        auto const match = find_route("GET", path);
        REQUIRE(std::holds_alternative<FoundRoute>(match));
        return std::get<FoundRoute>(match).parameter;
    };
    CHECK(parameter("/v1/models/guide") == "guide");
    CHECK(parameter("/v1/models/org%2Fname") == "org/name");
    CHECK(parameter("/v1/models/%252e") == "%2e");
    CHECK(parameter("/v1/models/..") == "..");  // a name like any other: never a path
    for (char const* path : {"/v1/models/%", "/v1/models/%4", "/v1/models/%zz", "/v1/models/a%00b",
                             "/v1/models/a%0d%0ab"}) {
        INFO(std::string(path));
        CHECK(std::holds_alternative<BadParameter>(find_route("GET", path)));
    }
}

}  // namespace kith::api
