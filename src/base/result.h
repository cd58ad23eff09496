// base/result.h: how functions that can fail because of the outside world say so.
//
// Result<T> carries a value or an Error: a code callers branch on plus one sentence for people. No
// secrets and no raw peer bytes go into the sentence. Our own bugs are not Results: they are
// KITH_ASSERT (base/check.h).
#pragma once

#include <expected>
#include <string>
#include <utility>

namespace kith::base {

enum class Code {
    invalid,       // input is malformed or breaks a rule
    too_large,     // a named limit was exceeded
    unauthorized,  // no or wrong proof of identity
    forbidden,     // identity is known, the act is not allowed
    not_found,
    conflict,     // state does not allow it now (exists already, spent, revoked)
    unavailable,  // a peer, file or service cannot be reached; trying later may help
    timeout,
    cancelled,
    corrupt,  // stored data fails its own check
    io,       // the operating system said no
    unsupported,
    internal,  // a library failed in a way it never should
};

// The stable lower-case word for a code, as used in --json output and logs.
char const* code_name(Code code);

struct Error {
    Code code = Code::internal;
    std::string message;
};

template <class T>
struct [[nodiscard]] Result : std::expected<T, Error> {
    using std::expected<T, Error>::expected;
};

using Status = Result<void>;

inline std::unexpected<Error> fail(Code code, std::string message) {
    return std::unexpected<Error>(Error{code, std::move(message)});
}

namespace detail {
template <class T>
T take(Result<T>&& result) {
    if constexpr (!std::is_void_v<T>) return std::move(*result);
}
}  // namespace detail

}  // namespace kith::base

// Evaluates to the value of a Result, or returns its error from the enclosing function.
//   auto header = KITH_TRY(parse_header(bytes));
#define KITH_TRY(expression) KITH_TRY_AS(KITH_TRY_JOIN(kith_try_, __COUNTER__), expression)
#define KITH_TRY_AS(name, expression)                               \
    __extension__({                                                 \
        auto name = (expression);                                   \
        if (!name) return std::unexpected(std::move(name).error()); \
        ::kith::base::detail::take(std::move(name));                \
    })
#define KITH_TRY_JOIN(a, b) KITH_TRY_JOIN_NOW(a, b)
#define KITH_TRY_JOIN_NOW(a, b) a##b
