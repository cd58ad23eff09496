// base58 (Bitcoin's pairs) and base58check (bs58check's fixtures).
#include "base/encoding.h"
#include "identity/ids.h"
#include "runner.h"

namespace kith::vectors {
namespace {

Verdict run_base58(Value const& pair) {
    auto const bytes = from_hex(pair.at(0).as_string());
    std::string const encoded(pair.at(1).as_string());
    if (bytes.size() > base::base58_bytes_max) return skipped("longer than kith's limit");
    if (base::to_base58(bytes) != encoded) return failed("encodes otherwise");
    auto const decoded = base::from_base58(encoded);
    return expect(decoded && *decoded == bytes, "decodes otherwise");
}

Verdict run_valid(Value const& test) {
    auto const encoded = text(test, "string");
    auto const payload = hex(test, "payload");
    if (identity::to_base58check(payload) != encoded) return failed("encodes otherwise");
    auto const decoded = identity::from_base58check(encoded);
    return expect(decoded && *decoded == payload, "decodes otherwise");
}

Verdict run_invalid(Value const& test) {
    return expect(!identity::from_base58check(text(test, "string")), "accepts a bad string");
}

bool is_pair_of_texts(Value const& value) {
    return value.is_array() && value.as_array().size() == 2 && value.at(0).is_string() &&
           value.at(1).is_string();
}

bool is_base58_file(Value const& file) {
    return file.is_array() && !file.as_array().empty() && is_pair_of_texts(file.as_array().front());
}

}  // namespace

bool run_text(Value const& file, Report& report) {
    if (is_base58_file(file)) {
        report.kind = "base58";
        run_list(file.as_array(), report, run_base58);
        return true;
    }
    if (!file.is_object() || !has(file, "valid") || !file.at("valid").is_array()) return false;
    report.kind = "base58check";
    run_list(file.at("valid").as_array(), report, run_valid);
    if (has(file, "invalid")) run_list(file.at("invalid").as_array(), report, run_invalid);
    return true;
}

}  // namespace kith::vectors
