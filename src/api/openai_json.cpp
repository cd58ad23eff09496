#include "api/openai_json.h"

#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/parse.hpp>
#include <boost/system/error_code.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace kith::api {
namespace {

namespace json = boost::json;
using ErrorCode = boost::system::error_code;

enum class Objection { none, duplicate_key, too_many_keys, too_many_values };

// Walks the text once without building anything and objects to what the DOM parser would let pass.
struct Inspector {
    static constexpr std::size_t max_object_size = static_cast<std::size_t>(-1);
    static constexpr std::size_t max_array_size = static_cast<std::size_t>(-1);
    static constexpr std::size_t max_key_size = static_cast<std::size_t>(-1);
    static constexpr std::size_t max_string_size = static_cast<std::size_t>(-1);

    Objection objection = Objection::none;
    std::size_t values_count = 0;
    std::vector<std::set<std::string, std::less<>>> objects;  // keys seen in each open object
    std::string key;                                          // parts of one key so far

    bool object_to(Objection why, ErrorCode& error) {
        objection = why;
        error = json::error::syntax;
        return false;
    }
    bool count_value(ErrorCode& error) {
        return ++values_count <= json_values_max || object_to(Objection::too_many_values, error);
    }

    bool on_document_begin(ErrorCode&) { return true; }
    bool on_document_end(ErrorCode&) { return true; }
    bool on_object_begin(ErrorCode& error) {
        objects.emplace_back();
        return count_value(error);
    }
    bool on_object_end(std::size_t, ErrorCode&) {
        objects.pop_back();
        return true;
    }
    bool on_array_begin(ErrorCode& error) { return count_value(error); }
    bool on_array_end(std::size_t, ErrorCode&) { return true; }
    bool on_key_part(json::string_view part, std::size_t, ErrorCode&) {
        key.append(part.data(), part.size());
        return true;
    }
    bool on_key(json::string_view part, std::size_t, ErrorCode& error) {
        key.append(part.data(), part.size());
        bool const fresh = objects.back().insert(std::move(key)).second;
        key.clear();
        if (!fresh) return object_to(Objection::duplicate_key, error);
        if (objects.back().size() > json_keys_max)
            return object_to(Objection::too_many_keys, error);
        return true;
    }
    bool on_string_part(json::string_view, std::size_t, ErrorCode&) { return true; }
    bool on_string(json::string_view, std::size_t, ErrorCode& error) { return count_value(error); }
    bool on_number_part(json::string_view, ErrorCode&) { return true; }
    bool on_int64(std::int64_t, json::string_view, ErrorCode& error) { return count_value(error); }
    bool on_uint64(std::uint64_t, json::string_view, ErrorCode& error) {
        return count_value(error);
    }
    bool on_double(double, json::string_view, ErrorCode& error) { return count_value(error); }
    bool on_bool(bool, ErrorCode& error) { return count_value(error); }
    bool on_null(ErrorCode& error) { return count_value(error); }
    bool on_comment_part(json::string_view, ErrorCode&) { return true; }
    bool on_comment(json::string_view, ErrorCode&) { return true; }
};

base::Status inspect(std::string_view text) {
    json::parse_options options;
    options.max_depth = json_depth_max;
    json::basic_parser<Inspector> parser(options);
    ErrorCode error;
    std::size_t const used = parser.write_some(false, text.data(), text.size(), error);
    switch (parser.handler().objection) {
        case Objection::none:
            break;
        case Objection::duplicate_key:
            return base::fail(base::Code::invalid, "an object has the same key twice");
        case Objection::too_many_keys:
            return base::fail(base::Code::too_large, "an object has more than 1024 keys");
        case Objection::too_many_values:
            return base::fail(base::Code::too_large, "there are more than 262144 values");
    }
    if (error == json::error::too_deep)
        return base::fail(base::Code::too_large, "it is nested deeper than 32 levels");
    if (error)
        return base::fail(base::Code::invalid, "it is malformed at byte " + std::to_string(used));
    if (used != text.size()) return base::fail(base::Code::invalid, "something follows the value");
    return {};
}

}  // namespace

base::Result<json::value> parse_json(base::ByteView bytes) {
    auto const text = base::as_text(bytes);
    KITH_TRY(inspect(text));
    json::parse_options options;
    options.max_depth = json_depth_max;
    ErrorCode error;
    json::value value = json::parse({text.data(), text.size()}, error, {}, options);
    if (error) return base::fail(base::Code::invalid, "it is malformed");
    return value;
}

}  // namespace kith::api
