#include "crypto/password.h"

#include <sodium.h>

#include "base/sabotage.h"

namespace kith::crypto {

using base::Code;
using base::fail;

static_assert(password_salt_bytes == crypto_pwhash_SALTBYTES);

bool is_allowed(PasswordCost cost) {
    auto const work = std::uint64_t{cost.memory_kib} * cost.passes;
    bool const strong =
        cost.memory_kib >= password_cost_min.memory_kib && cost.passes >= password_cost_min.passes;
    bool const bearable = cost.memory_kib <= password_cost_max.memory_kib &&
                          cost.passes <= password_cost_max.passes && work <= password_work_kib_max;
    return strong && bearable;
}

base::Result<Secret<32>> key_from_password(base::ByteView password, PasswordSalt const& salt,
                                           PasswordCost cost) {
    if (!KITH_GUARD("P22.cost", is_allowed(cost)))
        return fail(Code::invalid, "the cost of trying a passphrase is out of bounds");
    if (password.empty()) return fail(Code::invalid, "the passphrase is empty");
    if (password.size() > password_bytes_max)
        return fail(Code::too_large, "a passphrase has 1024 bytes at most");
    Secret<32> out;
    auto const bytes = out.mutable_view();
    if (crypto_pwhash(bytes.data(), bytes.size(), reinterpret_cast<char const*>(password.data()),
                      password.size(), salt.data(), cost.passes,
                      std::size_t{cost.memory_kib} * 1024, crypto_pwhash_ALG_ARGON2ID13) != 0)
        return fail(Code::internal, "there is not enough memory to check a passphrase");
    return out;
}

}  // namespace kith::crypto
