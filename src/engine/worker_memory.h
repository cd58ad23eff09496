// engine/worker_memory.h: how much address space a worker may take, by what it is there for.
#pragma once

#include <cstdint>

namespace kith::engine {

// The program, its threads, and what it makes of a file's header.
inline constexpr std::uint64_t program_memory_bytes = std::uint64_t{4} << 30U;
// Packed weights are at most 1.9 times what the files have (docs/decisions/0009).
inline constexpr std::uint64_t packing_factor = 2;

constexpr std::uint64_t memory_to_parse(std::uint64_t files_bytes) {
    return files_bytes + program_memory_bytes;
}
constexpr std::uint64_t memory_to_compute(std::uint64_t files_bytes, std::uint64_t caches_bytes) {
    return files_bytes * (1 + packing_factor) + caches_bytes + program_memory_bytes;
}

}  // namespace kith::engine
