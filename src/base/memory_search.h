// base/memory_search.h: for tests: is a secret still somewhere in the memory of this process? Looks
// through everything that can be written to: heap, stacks, static data, and what was freed and not
// used again (AddressSanitizer keeps that for long, which makes the search a stricter one).
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>

#include "base/bytes.h"
#include "base/check.h"

namespace kith::base {

// ThreadSanitizer's runtime keeps copies of its own, which an optimised build without it does not
// have; tests that count leave it out.
#ifdef KITH_THREAD_SANITIZER
inline constexpr bool memory_has_copies_of_a_sanitizer = true;
#else
inline constexpr bool memory_has_copies_of_a_sanitizer = false;
#endif

// What is looked for, masked, so that the search does not find itself.
class MemoryNeedle {
public:
    // At least 16 bytes; half of a key would be a find as well, so the first 16 are looked for.
    explicit MemoryNeedle(ByteView secret) {
        KITH_ASSERT(secret.size() >= masked_.size());
        for (std::size_t i = 0; i < masked_.size(); ++i)
            masked_[i] = static_cast<std::uint8_t>(secret[i] ^ mask);
    }

    [[nodiscard]] std::size_t count() const {
        std::size_t found = 0;
        std::ifstream maps("/proc/self/maps");
        for (std::string line; std::getline(maps, line);) {
            std::uintptr_t begin = 0;
            std::uintptr_t end = 0;
            char access[5] = "";
            if (std::sscanf(line.c_str(), "%lx-%lx %4s", &begin, &end, access) != 3) continue;
            bool const writable = access[0] == 'r' && access[1] == 'w';
            // Larger ones are a sanitizer's reserved shadow.
            if (!writable || end - begin > region_bytes_max) continue;
            found += count_in(begin, end);
        }
        return found;
    }

    // In what returned functions left on this thread's stack, 64 KiB deep. Calls nothing that would
    // overwrite it first, which count() does.
    [[nodiscard, gnu::noinline]] std::size_t count_below() const {
        auto const here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
        return count_in(here - below_bytes, here);
    }

private:
    static constexpr std::uintptr_t below_bytes = std::uintptr_t{64} * 1024;
    static constexpr std::uint8_t mask = 0xa5;
    static constexpr std::uintptr_t region_bytes_max = std::uintptr_t{1} << 30;

    // Reads memory that is nobody's, as the sanitizer sees it.
    [[gnu::no_sanitize("address", "undefined", "thread"), gnu::optimize("O2"),
      gnu::noinline]] std::size_t
    count_in(std::uintptr_t begin, std::uintptr_t end) const {
        std::size_t found = 0;
        auto const first = static_cast<std::uint8_t>(masked_[0] ^ mask);
        for (auto at = begin; at + masked_.size() <= end; ++at) {
            auto const* const bytes = reinterpret_cast<std::uint8_t const volatile*>(at);
            if (*bytes != first) continue;
            std::size_t same = 1;
            while (same < masked_.size() && (bytes[same] ^ mask) == masked_[same]) ++same;
            if (same == masked_.size()) ++found;
        }
        return found;
    }

    ByteArray<16> masked_{};
};

}  // namespace kith::base
