// infer/kv_layout.h: where an element of a key or a value is, in one head of one layer.
//
// Keys lie in blocks of 16 positions, element by element: [position / 16][head_size][16], so that a
// vector holds one element of 16 keys and scores need no sum across lanes. Values lie position by
// position: [position][head_size].
#pragma once

#include <cstddef>

namespace kith::infer {

inline constexpr std::size_t kv_lanes = 16;
// Room is taken for whole steps of attention, which read (and ignore) what lies past the last
// position.
inline constexpr std::size_t kv_positions_step = 64;

constexpr std::size_t kv_positions(std::size_t positions) {
    return (positions + kv_positions_step - 1) / kv_positions_step * kv_positions_step;
}
// Elements from `position`'s first to its next: kv_lanes apart.
constexpr std::size_t key_offset(std::size_t position, std::size_t head_size) {
    return position / kv_lanes * kv_lanes * head_size + position % kv_lanes;
}

}  // namespace kith::infer
