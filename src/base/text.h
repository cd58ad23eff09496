// base/text.h: text of other machines, made fit to be shown: not too long, still UTF-8, one line.
#pragma once

#include <string>
#include <string_view>

namespace kith::base {

// The longest beginning of UTF-8 text with at most bytes_max bytes that ends with a whole character
// (RFC 3629: continuation bytes are 10xxxxxx). Text that is no UTF-8 may lose a few bytes more.
std::string_view utf8_prefix(std::string_view text, std::size_t bytes_max);

// The same, with ASCII control characters as spaces.
std::string one_line(std::string_view text, std::size_t bytes_max);

}  // namespace kith::base
