// tests/vectors/vector_file.h: reads one file of test vectors, gzipped or not.
#pragma once

#include <boost/json.hpp>
#include <string>

#include "base/bytes.h"

namespace kith::vectors {

// The parsed tests/vectors/NAME; ends the test run with a message when the file is missing or
// malformed.
boost::json::value load(std::string const& name);

// The hex string under `key`; empty when there is no such key.
base::Bytes hex(boost::json::value const& object, char const* key);

// The hex string under `key` as an array; a failed check (and zeros) when the length differs.
template <std::size_t N>
base::ByteArray<N> array(boost::json::value const& object, char const* key);

bool has(boost::json::value const& object, char const* key);

// Calls visit(group, test) for every test of every group; returns how many there were.
template <class Visit>
std::size_t for_each_test(boost::json::value const& file, Visit visit) {
    std::size_t count = 0;
    for (auto const& group : file.at("testGroups").as_array()) {
        for (auto const& test : group.at("tests").as_array()) {
            visit(group, test);
            ++count;
        }
    }
    return count;
}

template <std::size_t N>
base::ByteArray<N> array(boost::json::value const& object, char const* key) {
    auto const bytes = hex(object, key);
    base::ByteArray<N> out{};
    if (bytes.size() == N) std::copy(bytes.begin(), bytes.end(), out.begin());
    return out;
}

}  // namespace kith::vectors
