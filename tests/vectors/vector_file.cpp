#include "vector_file.h"

#include <zlib.h>

#include <memory>
#include <stdexcept>

#include "base/encoding.h"

namespace kith::vectors {

using base::Code;
using base::fail;

base::Result<Value> load(std::string const& path) {
    // gzopen reads plain files as they are.
    std::unique_ptr<gzFile_s, int (*)(gzFile)> const file(::gzopen(path.c_str(), "rb"), ::gzclose);
    if (!file) return fail(Code::not_found, "cannot be opened");
    std::string text;
    char buffer[65536];
    for (int size = 0; (size = ::gzread(file.get(), buffer, sizeof buffer)) != 0;) {
        if (size < 0) return fail(Code::invalid, "cannot be read or unpacked");
        if (text.size() > file_bytes_max) return fail(Code::too_large, "is too large");
        text.append(buffer, static_cast<std::size_t>(size));
    }
    // A gzip stream that ends early is reported by the close only.
    int error_number = 0;
    ::gzerror(file.get(), &error_number);
    if (error_number != Z_OK) return fail(Code::invalid, "is cut short");
    boost::system::error_code error;
    auto out = boost::json::parse(text, error);
    if (error) return fail(Code::invalid, "is not JSON");
    return out;
}

bool has(Value const& object, char const* key) {
    auto const* const found = object.as_object().if_contains(key);
    return found != nullptr && !found->is_null();
}

std::string text(Value const& object, char const* key) {
    return has(object, key) ? std::string(object.at(key).as_string()) : std::string();
}

base::Bytes from_hex(std::string_view text) {
    auto bytes = base::from_hex(text);
    if (!bytes) throw std::invalid_argument("not hex");
    return *std::move(bytes);
}

base::Bytes hex(Value const& object, char const* key) {
    return from_hex(text(object, key));
}

bool is_valid(Value const& test) {
    return text(test, "result") == "valid";
}

std::string plain_name(std::string_view name) {
    std::string out;
    for (char const c : name) {
        if (c >= 'A' && c <= 'Z') out += static_cast<char>(c - 'A' + 'a');
        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) out += c;
    }
    return out;
}

}  // namespace kith::vectors
