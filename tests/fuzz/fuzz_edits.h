// tests/fuzz/fuzz_edits.h: a valid message, and what the input wants changed in it. Mutations of
// the input are then small lies in a message that is otherwise in order, and a corpus entry is a
// few bytes instead of a signed document.
//
// An edit is: kind u8, place u16 (modulo the size), then what the kind takes:
//   1 xor u8   2 write u8   3 insert count u8 and bytes   4 erase count u8   5 cut here
//   6 repeat count u8   7 write u16, big-endian   8 write u32, big-endian
// Every other kind ends the list; so does the end of the input.
#pragma once

#include "fuzz_input.h"

namespace kith::fuzz {

inline constexpr std::size_t edits_max = 8;

namespace detail {

template <class T>
void overwrite(base::Bytes& bytes, std::size_t at, T value) {
    if (bytes.size() - at >= sizeof(T))
        base::store_be(base::MutableByteView(bytes).subspan(at), value);
}

// False: this was no edit.
inline bool edit_once(FuzzInput& input, base::Bytes& bytes) {
    auto const kind = input.byte();
    if (kind == 0 || kind > 8) return false;
    auto const at = input.below(bytes.size() + 1);
    auto const place = bytes.begin() + static_cast<std::ptrdiff_t>(at);
    if (kind == 1 && at < bytes.size()) *place ^= input.byte();
    if (kind == 2 && at < bytes.size()) *place = input.byte();
    if (kind == 3) {
        auto const fresh = base::as_bytes(input.text(input.byte()));
        bytes.insert(place, fresh.begin(), fresh.end());
    }
    auto const rest = bytes.size() - at;
    if (kind == 4)
        bytes.erase(place,
                    place + static_cast<std::ptrdiff_t>(std::min<std::size_t>(input.byte(), rest)));
    if (kind == 5) bytes.resize(at);
    if (kind == 6) {
        auto const size = std::min<std::size_t>(input.byte(), rest);
        base::Bytes const again(place, place + static_cast<std::ptrdiff_t>(size));
        bytes.insert(place, again.begin(), again.end());
    }
    if (kind == 7) overwrite<std::uint16_t>(bytes, at, input.u16());
    if (kind == 8) overwrite<std::uint32_t>(bytes, at, input.u32());
    return true;
}

}  // namespace detail

inline base::Bytes edited(FuzzInput& input, base::Bytes bytes) {
    for (std::size_t i = 0; i < edits_max && detail::edit_once(input, bytes); ++i) {
    }
    return bytes;
}

inline base::Bytes edited(FuzzInput& input, base::ByteView bytes) {
    return edited(input, base::to_bytes(bytes));
}

}  // namespace kith::fuzz
