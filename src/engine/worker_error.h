// engine/worker_error.h: an error of a worker as bytes. The worker may be in an attacker's hands:
// its code is checked, and its words are cut to printable ASCII before anybody shows them.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace kith::engine {

inline constexpr std::size_t error_message_bytes_max = 4096;

void write_error(wire::Writer& out, base::Error const& error);
// Code::internal with a sentence of ours when the bytes are no error.
base::Error read_error(wire::Reader& in);

// At most size_max bytes, '?' for what is not printable ASCII.
std::string plain_text(std::string_view text, std::size_t size_max);

}  // namespace kith::engine
