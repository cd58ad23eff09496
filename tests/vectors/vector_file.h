// tests/vectors/vector_file.h: reads one file of test vectors, gzipped or not, and the fields of
// its tests.
//
// Only test code: a field that is missing or of another shape throws std::exception, which the
// runner turns into a failed test.
#pragma once

#include <boost/json.hpp>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace kith::vectors {

using Value = boost::json::value;

inline constexpr std::size_t file_bytes_max = std::size_t{512} << 20;

// Code::not_found: cannot be opened. Code::too_large: above file_bytes_max when unpacked.
// Code::invalid: damaged, or not JSON.
base::Result<Value> load(std::string const& path);

// Null counts as absent.
bool has(Value const& object, char const* key);
// The string under `key`; empty when there is none.
std::string text(Value const& object, char const* key);
// The hex string under `key`; empty when there is none.
base::Bytes hex(Value const& object, char const* key);
base::Bytes from_hex(std::string_view text);

bool is_valid(Value const& test);  // Wycheproof: result is "valid"

// The hex string under `key` when it has exactly N bytes.
template <std::size_t N>
std::optional<base::ByteArray<N>> fixed(Value const& object, char const* key) {
    auto const bytes = hex(object, key);
    if (bytes.size() != N) return std::nullopt;
    base::ByteArray<N> out{};
    std::ranges::copy(bytes, out.begin());
    return out;
}

// The same where another length is an error of the file.
template <std::size_t N>
base::ByteArray<N> array(Value const& object, char const* key) {
    return fixed<N>(object, key).value();
}

// Zeros when there is no such key.
template <std::size_t N>
base::ByteArray<N> array_or_zeros(Value const& object, char const* key) {
    return has(object, key) ? array<N>(object, key) : base::ByteArray<N>{};
}

// Lower-case letters and digits only, so that "SHA3-256", "sha3_256" and "SHA3 256" are one name.
std::string plain_name(std::string_view name);

}  // namespace kith::vectors
