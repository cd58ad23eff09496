#include "sim/chance.h"

namespace kith::sim {

namespace {

std::uint64_t mixed(std::uint64_t value) {
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
    return value ^ (value >> 31);
}

}  // namespace

std::uint64_t Chance::next() {
    return mixed(state_ += 0x9e3779b97f4a7c15ULL);
}

base::Duration Chance::between(base::Duration low, base::Duration high) {
    auto const span = static_cast<std::uint64_t>((high - low).count()) + 1;
    return low + base::Duration(static_cast<std::int64_t>(below(span)));
}

Chance Chance::split(std::uint64_t purpose) const {
    return Chance(mixed(state_ ^ mixed(purpose + 1)));
}

base::Status SeededRng::fill(base::MutableByteView out) {
    if (draws_left_ && *draws_left_ == 0)
        return base::fail(base::Code::io, "the generator of this machine has failed");
    if (draws_left_) --*draws_left_;
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < out.size(); ++i) {
        if (i % 8 == 0) word = chance_.next();
        out[i] = static_cast<std::uint8_t>(word >> (i % 8 * 8));
    }
    return {};
}

}  // namespace kith::sim
