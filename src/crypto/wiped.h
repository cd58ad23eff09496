// crypto/wiped.h: intermediate secrets on the stack, overwritten whichever way the function ends.
#pragma once

#include <type_traits>

#include "crypto/constant_time.h"

namespace kith::crypto {

template <class T>
struct Wiped {
    static_assert(std::is_trivially_destructible_v<T>);

    T value{};

    Wiped() = default;
    ~Wiped() { wipe({reinterpret_cast<std::uint8_t*>(&value), sizeof value}); }
    Wiped(Wiped const&) = delete;
    Wiped& operator=(Wiped const&) = delete;

    T* operator->() { return &value; }
};

}  // namespace kith::crypto
