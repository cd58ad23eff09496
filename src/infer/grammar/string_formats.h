// infer/grammar/string_formats.h: what `format` says of a string, as patterns.
//
// Each is narrower than its standard, so that every value is valid by it and none is endless:
//   date       RFC 3339 full-date; no 29th of February
//   time       RFC 3339 full-time; up to 6 digits of a fraction, no leap second
//   date-time  the two, with a 'T'
//   duration   RFC 3339 appendix A; numbers of up to 6 digits
//   uuid       RFC 9562, in lower case
//   email      local parts of letters, digits, '+', '-', '_' and dots, then a hostname
//   hostname   RFC 1123; up to 7 labels of up to 31 characters, no two hyphens together
//   ipv4 ipv6  RFC 2673; RFC 4291, in lower case without dotted parts
//   uri        RFC 3986 with a hostname; path, query and fragment
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace kith::infer::grammar {

// A pattern in the words of pattern.h; nullopt for a format that is not above, which says nothing.
std::optional<std::string> find_format(std::string_view name);

}  // namespace kith::infer::grammar
