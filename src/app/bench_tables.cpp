#include "app/bench_tables.h"

#include <array>
#include <boost/json.hpp>
#include <charconv>

namespace kith::app {

namespace json = boost::json;
using base::Code;
using base::fail;
using base::Result;

namespace {

std::string fixed(double value, int digits) {
    std::array<char, 64> text;  // rates and shares: far fewer than 64 digits
    auto const end = std::to_chars(text.data(), text.data() + text.size(), value,
                                   std::chars_format::fixed, digits);
    return end.ec == std::errc() ? std::string(text.data(), end.ptr) : "-";
}

std::string cell(json::object const& row, char const* key, double scale, int digits) {
    auto const* const value = row.if_contains(key);
    auto const* const number = value == nullptr ? nullptr : value->if_double();
    return number == nullptr ? "-" : fixed(*number * scale, digits);
}

}  // namespace

Result<BenchTables> bench_tables(std::string_view document) {
    json::error_code error;
    auto const value = json::parse({document.data(), document.size()}, error);
    auto const* const object = error ? nullptr : value.if_object();
    if (object == nullptr) return fail(Code::invalid, "not a document of model_bench");
    BenchTables out;
    out.speed = {{"", "tokens/s", "% of read bandwidth", "% of int8 peak"}};
    for (char const* const name : {"prompt", "decode", "together"}) {
        auto const* const found = object->if_contains(name);
        auto const* const row = found == nullptr ? nullptr : found->if_object();
        if (row == nullptr) continue;
        out.speed.push_back({name, cell(*row, "tokens_per_second", 1, 1),
                             cell(*row, "bandwidth_share", 100, 0),
                             cell(*row, "int8_share", 100, 0)});
    }
    auto const* const layers = object->if_contains("layers");
    if (layers == nullptr || !layers->is_array()) return out;
    out.layers = {{"layer", "ms/token of the prompt", "ms/token decoded"}};
    for (auto const& each : layers->get_array()) {
        auto const* const row = each.if_object();
        if (row == nullptr) continue;
        out.layers.push_back({std::to_string(out.layers.size() - 1),
                              cell(*row, "prompt_ms_per_token", 1, 3),
                              cell(*row, "decode_ms_per_token", 1, 3)});
    }
    return out;
}

}  // namespace kith::app
