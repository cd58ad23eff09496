// crypto/password.h: a key from a password that a person can remember: Argon2id version 1.3 (RFC
// 9106), by libsodium, one lane.
//
// The cost stands beside what the key protects, so whoever can write there chooses it. Bounds keep
// a hostile one from taking the machine's memory or time, and from making the next guess cheap.
#pragma once

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/secret.h"

namespace kith::crypto {

inline constexpr std::size_t password_salt_bytes = 16;
inline constexpr std::size_t password_bytes_max = 1024;

struct PasswordCost {
    std::uint32_t memory_kib = 256 * 1024;  // libsodium's "moderate": 0.7 s on a desktop
    std::uint32_t passes = 3;
    bool operator==(PasswordCost const&) const = default;
};
// The least that the OWASP cheat sheet on password storage allows for Argon2id.
inline constexpr PasswordCost password_cost_min{.memory_kib = 19 * 1024, .passes = 2};
inline constexpr PasswordCost password_cost_max{.memory_kib = 1024 * 1024, .passes = 64};
// Both at once: memory written, which is what takes the time.
inline constexpr std::uint64_t password_work_kib_max = std::uint64_t{4} * 1024 * 1024;

[[nodiscard]] bool is_allowed(PasswordCost cost);

using PasswordSalt = base::ByteArray<password_salt_bytes>;

// Code::invalid: a cost that is not allowed, an empty password. Code::too_large: a longer one than
// password_bytes_max. Code::internal: the memory cannot be had. Takes as long as the cost says.
base::Result<Secret<32>> key_from_password(base::ByteView password, PasswordSalt const& salt,
                                           PasswordCost cost);

}  // namespace kith::crypto
