#include "crypto/password.h"

#include <doctest/doctest.h>

#include "base/encoding.h"

using namespace kith;
using namespace kith::crypto;
using base::Code;

TEST_CASE("P22: a cost is taken at its bounds and refused one past them") {
    CHECK(is_allowed(PasswordCost{}));
    CHECK(is_allowed(password_cost_min));
    CHECK(is_allowed({.memory_kib = 1024 * 1024, .passes = 4}));
    CHECK(is_allowed({.memory_kib = 64 * 1024, .passes = 64}));
    CHECK_FALSE(is_allowed({.memory_kib = 19 * 1024 - 1, .passes = 2}));
    CHECK_FALSE(is_allowed({.memory_kib = 19 * 1024, .passes = 1}));
    CHECK_FALSE(is_allowed({.memory_kib = 1024 * 1024 + 1, .passes = 3}));
    CHECK_FALSE(is_allowed({.memory_kib = 32 * 1024, .passes = 65}));
    CHECK_FALSE(is_allowed({.memory_kib = 1024 * 1024, .passes = 5}));  // both together
    CHECK_FALSE(is_allowed({.memory_kib = 0xffffffff, .passes = 0xffffffff}));
    CHECK_FALSE(is_allowed({.memory_kib = 0, .passes = 0}));
}

TEST_CASE("the key depends on password, salt and cost, as Argon2id's reference says") {
    // libargon2's `argon2 saltsaltsaltsalt -id -t 2 -k 65536 -p 1 -l 32 -r`, password "password".
    PasswordSalt salt;
    std::ranges::copy(base::as_bytes("saltsaltsaltsalt"), salt.begin());
    PasswordCost const cost{.memory_kib = 64 * 1024, .passes = 2};
    auto const key = key_from_password(base::as_bytes("password"), salt, cost).value();
    auto const differs = [&](std::string_view password, PasswordSalt const& with, PasswordCost at) {
        auto const other = key_from_password(base::as_bytes(password), with, at).value();
        return !constant_time_equal(other.view(), key.view());
    };
    CHECK_FALSE(differs("password", salt, cost));
    CHECK(differs("Password", salt, cost));
    CHECK(differs("password", {}, cost));
    CHECK(differs("password", salt, password_cost_min));
    CHECK(base::to_hex(key.view()) ==
          "7640855aef9cb6ffd20229601d2904a2192e372b391db8230d7faf073b393e4c");
}

TEST_CASE("an empty password and one that is too long are refused") {
    auto const refusal = [](std::size_t size) {
        base::Bytes const password(size, 'x');
        return key_from_password(password, {}, password_cost_min);
    };
    CHECK(refusal(0).error().code == Code::invalid);
    CHECK(refusal(password_bytes_max).has_value());
    CHECK(refusal(password_bytes_max + 1).error().code == Code::too_large);
    auto const cheap = key_from_password(base::as_bytes("password"), {}, {1024, 1});
    CHECK(cheap.error().code == Code::invalid);
}
