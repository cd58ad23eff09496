#include "vector_file.h"

#include <doctest/doctest.h>
#include <zlib.h>

#include <memory>

#include "base/encoding.h"

namespace kith::vectors {

boost::json::value load(std::string const& name) {
    auto const path = std::string(KITH_VECTORS) + "/" + name;
    // gzopen reads plain files as they are.
    std::unique_ptr<gzFile_s, int (*)(gzFile)> const file(::gzopen(path.c_str(), "rb"), ::gzclose);
    REQUIRE_MESSAGE(file != nullptr, path);
    std::string text;
    char buffer[65536];
    for (int size = 0; (size = ::gzread(file.get(), buffer, sizeof buffer)) != 0;) {
        REQUIRE(size > 0);
        text.append(buffer, static_cast<std::size_t>(size));
    }
    boost::system::error_code error;
    auto out = boost::json::parse(text, error);
    REQUIRE_MESSAGE(!error, path);
    return out;
}

bool has(boost::json::value const& object, char const* key) {
    return object.as_object().contains(key);
}

base::Bytes hex(boost::json::value const& object, char const* key) {
    if (!has(object, key)) return {};
    auto const& text = object.at(key).as_string();
    auto bytes = base::from_hex({text.data(), text.size()});
    REQUIRE(bytes);
    return *std::move(bytes);
}

}  // namespace kith::vectors
