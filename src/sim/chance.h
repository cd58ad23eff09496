// sim/chance.h: all chance of a simulation, from a seed. Own generator and own distributions: those
// of the standard library differ between libraries, and a seed must mean the same run everywhere.
//
// Take one Chance per purpose (network, faults, ...), split() from the first: then one more draw in
// one place does not shift every other.
#pragma once

#include <optional>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "ports/rng.h"

namespace kith::sim {

// splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
class Chance {
public:
    explicit Chance(std::uint64_t seed) : state_(seed) {}
    std::uint64_t next();
    // 0 to count - 1; count is not 0.
    std::uint64_t below(std::uint64_t count) { return next() % count; }
    bool one_in(std::uint64_t count) { return count != 0 && below(count) == 0; }
    base::Duration between(base::Duration low, base::Duration high);  // both included
    // Another sequence, that depends on this seed and on `purpose` only.
    [[nodiscard]] Chance split(std::uint64_t purpose) const;

private:
    std::uint64_t state_;
};

// What a machine in the simulation takes for the randomness of its system.
class SeededRng final : public ports::Rng {
public:
    explicit SeededRng(std::uint64_t seed) : chance_(seed) {}
    // Code::io once the draws that fail_after() has left are used up; never without it.
    base::Status fill(base::MutableByteView out) override;
    void fail_after(std::size_t draws) { draws_left_ = draws; }
    void heal() { draws_left_.reset(); }
    // Draws that fail_after() has left.
    [[nodiscard]] std::optional<std::size_t> draws_left() const { return draws_left_; }

private:
    Chance chance_;
    std::optional<std::size_t> draws_left_;
};

}  // namespace kith::sim
