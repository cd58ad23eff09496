// engine/read_flag.h: one byte that is 0 or 1.
#pragma once

#include "wire/reader.h"

namespace kith::engine {

// Code::invalid for any other byte: a message has one form.
inline base::Result<bool> read_flag(wire::Reader& in) {
    auto const byte = KITH_TRY(in.u8());
    if (byte > 1) return base::fail(base::Code::invalid, "neither yes nor no");
    return byte == 1;
}

}  // namespace kith::engine
