// proto/session/replay_window.h: which message counters were seen (RFC 6479, S4): reordering within
// 128 is fine, a duplicate or anything older is not.
//
// Invariant: a counter is recorded only by accept(), which the caller calls only after the message
// opened (S5), so a forged counter of 2^63 moves nothing.
#pragma once

#include <cstdint>

namespace kith::proto::session {

class ReplayWindow {
public:
    static constexpr std::uint64_t width = 128;

    // False: seen before, or too old to tell.
    [[nodiscard]] bool is_new(std::uint64_t counter) const {
        if (counter >= next_) return true;
        auto const age = next_ - 1 - counter;
        return age < width && !bit(age);
    }

    void accept(std::uint64_t counter) {
        if (counter >= next_) {
            shift(counter + 1 - next_);
            next_ = counter + 1;
        }
        if (auto const age = next_ - 1 - counter; age < width) set(age);
    }

private:
    [[nodiscard]] bool bit(std::uint64_t age) const {
        return ((words_[age / 64] >> (age % 64)) & 1) != 0;
    }
    void set(std::uint64_t age) { words_[age / 64] |= std::uint64_t{1} << (age % 64); }
    void shift(std::uint64_t by) {
        if (by >= width) {
            words_[0] = words_[1] = 0;
        } else if (by >= 64) {
            words_[1] = words_[0] << (by - 64);
            words_[0] = 0;
        } else if (by > 0) {
            words_[1] = (words_[1] << by) | (words_[0] >> (64 - by));
            words_[0] <<= by;
        }
    }

    std::uint64_t words_[2] = {0, 0};  // bit `age` of the pair: counter next_ - 1 - age was seen
    std::uint64_t next_ = 0;  // one above the highest counter accepted; 2^64 - 1 is never used
};

}  // namespace kith::proto::session
