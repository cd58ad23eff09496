// tests/fuzz/config_fuzz.cpp: what a person writes: config.toml, endpoints, lists of trusted keys,
// numbers on the command line.
//
// First byte: 0 the text of a file, applied key by key as kith does it; 1 one value, for all that
// reads a single one. Checked: what is accepted is within its limits; an endpoint is written again
// the same.
#include <cmath>

#include "app/arguments.h"
#include "app/config.h"
#include "app/config_file.h"
#include "app/config_keys.h"
#include "base/check.h"
#include "node/peers/pairing.h"
#include "trust/admission.h"

using namespace kith;
using namespace kith::app;

namespace {

void check(Settings const& settings) {
    KITH_ASSERT(settings.listen.size() <= endpoints_max);
    KITH_ASSERT(settings.announce.size() <= endpoints_max);
    KITH_ASSERT(settings.threads <= threads_max);
    KITH_ASSERT(!settings.api_key || !settings.api_key->empty());
    KITH_ASSERT(settings.trust.allow_list.size() <= node::allow_list_max);
}

void read_file(std::string_view text) {
    auto const entries = parse_config(text, "config.toml");
    if (!entries) {
        KITH_ASSERT(entries.error().code == base::Code::invalid);
        return;
    }
    Settings settings;
    for (auto const& entry : *entries) {
        KITH_ASSERT(entry.key != nullptr && find_key(entry.key->path) == entry.key);
        KITH_ASSERT(entry.key->kind == KeyKind::list || entry.values.size() == 1);
        auto const before = settings.listen;
        if (!entry.key->apply(settings, entry.values)) KITH_ASSERT(settings.listen == before);
        check(settings);
    }
}

std::string text_of(Endpoint const& endpoint) {
    bool const is_ip6 = endpoint.host.find(':') != std::string::npos;
    return (is_ip6 ? "[" + endpoint.host + "]" : endpoint.host) + ":" +
           std::to_string(endpoint.port);
}

void read_value(std::string_view text) {
    if (auto const endpoint = parse_endpoint(text)) {
        auto const again = parse_endpoint(text_of(*endpoint));
        KITH_ASSERT(again.has_value() && *again == *endpoint);
    }
    if (auto const uses = parse_uses(text)) KITH_ASSERT(*uses >= 1 && *uses <= invite_uses_max);
    if (auto const hours = parse_hours(text))
        KITH_ASSERT(std::isfinite(*hours) && *hours > 0 && *hours <= invite_hours_max);
    if (auto const shards = parse_shards(text)) {
        KITH_ASSERT(!shards->empty() && shards->back() <= shard_index_max);
        for (std::size_t i = 1; i < shards->size(); ++i)
            KITH_ASSERT((*shards)[i - 1] < (*shards)[i]);
    }
    if (auto const allowed = node::parse_allow_list({std::string(text)}))
        KITH_ASSERT(allowed->size() == 1 &&
                    node::parse_allow_list({allowed->begin()->to_hex()}).has_value());
    (void)trust::parse_policy(text);
    KITH_ASSERT(find_key(nearest_key(text)) != nullptr);
    for (auto const& key : config_keys()) {
        Settings settings;
        if (key.apply(settings, {std::string(text)})) check(settings);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    if (size == 0) return 0;
    auto const text = base::as_text(base::ByteView(data + 1, size - 1));
    if (data[0] % 2 == 0)
        read_file(text);
    else
        read_value(text);
    return 0;
}
