#include "app/config_keys.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <numeric>

#include "api/http_origin.h"
#include "trust/admission.h"

namespace kith::app {
namespace {

using base::Code;
using base::fail;
using Values = std::vector<std::string>;

base::Result<std::uint32_t> number(std::string const& text, std::uint32_t max) {
    std::uint32_t value = 0;
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value > max)
        return fail(Code::invalid, "must be a whole number from 0 to " + std::to_string(max));
    return value;
}

base::Result<bool> boolean(std::string const& text) {
    if (text == "true" || text == "1") return true;
    if (text == "false" || text == "0") return false;
    return fail(Code::invalid, "must be true or false");
}

base::Result<std::vector<Endpoint>> endpoints(Values const& values) {
    if (values.size() > endpoints_max)
        return fail(Code::too_large, "has more than " + std::to_string(endpoints_max) + " entries");
    std::vector<Endpoint> parsed;
    for (auto const& value : values) parsed.push_back(KITH_TRY(parse_endpoint(value)));
    return parsed;
}

base::Status apply_listen(Settings& settings, Values const& values) {
    settings.listen = KITH_TRY(endpoints(values));
    for (auto& endpoint : settings.listen)
        if (endpoint.host == "localhost") endpoint.host = "127.0.0.1";
    // "[::]" takes the IPv4 of its port along, unless "0.0.0.0" has it already.
    std::ranges::stable_partition(settings.listen,
                                  [](Endpoint const& it) { return !it.host.contains(':'); });
    return {};
}

base::Status apply_announce(Settings& settings, Values const& values) {
    settings.announce = KITH_TRY(endpoints(values));
    return {};
}

base::Status apply_passphrase(Settings& settings, Values const& values) {
    settings.passphrase = KITH_TRY(boolean(values.front()));
    return {};
}

base::Status apply_port_mapping(Settings& settings, Values const& values) {
    if (values.front() != "auto" && values.front() != "off")
        return fail(Code::invalid, "must be auto or off");
    settings.port_mapping =
        values.front() == "auto" ? PortMappingMode::automatic : PortMappingMode::off;
    return {};
}

base::Status apply_api_host(Settings& settings, Values const& values) {
    auto const& host = values.front();
    bool const plain = std::ranges::none_of(
        host, [](char c) { return c <= ' ' || c == '[' || c == ']' || c == '/' || c == '\x7f'; });
    if (host.empty() || host.size() > 253 || !plain)  // RFC 1035 2.3.4: 253 visible characters
        return fail(Code::invalid, "must be an address or a name, without port and brackets");
    settings.http.host = host;
    return {};
}

base::Status apply_api_port(Settings& settings, Values const& values) {
    settings.http.port = static_cast<std::uint16_t>(KITH_TRY(number(values.front(), 65535)));
    return {};
}

base::Status apply_api_hosts(Settings& settings, Values const& values) {
    KITH_TRY(api::check_host_names(values));
    settings.api_hosts = values;
    return {};
}

base::Status apply_api_key(Settings& settings, Values const& values) {
    auto const& key = values.front();
    bool const printable = std::ranges::all_of(key, [](char c) { return c > ' ' && c < '\x7f'; });
    if (!printable || key.size() < 16 || key.size() > 256)
        return fail(Code::invalid,
                    "must have 16 to 256 printable characters without spaces; a good one: "
                    "openssl rand -hex 32");
    settings.api_key = key;
    return {};
}

base::Status apply_discovery(Settings& settings, Values const& values) {
    settings.services.discovery =
        KITH_TRY(boolean(values.front())) ? node::Use::yes : node::Use::no;
    return {};
}

base::Status apply_gossip(Settings& settings, Values const& values) {
    settings.services.gossip = KITH_TRY(boolean(values.front())) ? node::Use::yes : node::Use::no;
    return {};
}

base::Status apply_hole_punching(Settings& settings, Values const& values) {
    settings.services.hole_punching =
        KITH_TRY(boolean(values.front())) ? node::Use::yes : node::Use::no;
    return {};
}

base::Status apply_encrypted_pipeline(Settings& settings, Values const& values) {
    settings.encrypted_pipeline = KITH_TRY(boolean(values.front()));
    return {};
}

base::Status apply_local_embedding(Settings& settings, Values const& values) {
    settings.local_embedding_privacy = KITH_TRY(boolean(values.front()));
    return {};
}

base::Status apply_threads(Settings& settings, Values const& values) {
    settings.threads = KITH_TRY(number(values.front(), threads_max));
    return {};
}

base::Status apply_models_directory(Settings& settings, Values const& values) {
    std::filesystem::path const directory = values.front();
    if (!directory.is_absolute()) return fail(Code::invalid, "must be an absolute path");
    settings.models_directory = directory.lexically_normal();
    return {};
}

base::Status apply_log_level(Settings& settings, Values const& values) {
    constexpr std::array<std::pair<std::string_view, LogLevel>, 4> levels{
        {{"error", LogLevel::error},
         {"warning", LogLevel::warning},
         {"info", LogLevel::info},
         {"debug", LogLevel::debug}}};
    for (auto const& [name, level] : levels)
        if (values.front() == name) {
            settings.log_level = level;
            return {};
        }
    return fail(Code::invalid, "must be error, warning, info or debug");
}

base::Status apply_trust_policy(Settings& settings, Values const& values) {
    auto const policy = trust::parse_policy(values.front());
    if (!policy) return fail(Code::invalid, "must be members, tofu, allow_list or allow_all");
    settings.trust.policy = *policy;
    return {};
}

base::Status apply_trust_allow_list(Settings& settings, Values const& values) {
    KITH_TRY(node::parse_allow_list(values));
    settings.trust.allow_list = values;
    return {};
}

// There is deliberately no key that turns encryption or the admission of members off (claim M9).
constexpr std::array<Key, 18> keys{{
    {"node.listen", KeyKind::list, R"(["0.0.0.0:8810"])",
     "Where other members reach this node: HOST:PORT, [IPv6]:PORT; port 0 takes any free one.",
     apply_listen},
    {"node.announce", KeyKind::list, "[]",
     "Told to members instead of the addresses above, for a node behind a port forwarding.",
     apply_announce},
    {"node.passphrase", KeyKind::boolean, "false",
     "true: the identity that the first start makes is protected by a passphrase, which every\n"
     "start then asks for. For an identity that exists: kith identity passphrase set.",
     apply_passphrase},
    {"network.port_mapping", KeyKind::text, R"("auto")",
     "auto: asks the router to hand connections on to this node (UPnP, NAT-PMP), unless it "
     "listens\n"
     "on loopback only. off: never asks.",
     apply_port_mapping},
    {"network.gossip", KeyKind::boolean, "true",
     "Passes on what members tell the whole swarm (their names and models), so that it reaches\n"
     "those who have no link to each other. Only members can read it.",
     apply_gossip},
    {"network.discovery", KeyKind::boolean, "true",
     "Keeps this node's addresses, signed by it, with other members, and looks there for a member\n"
     "that its known addresses do not lead to. Only members take part.",
     apply_discovery},
    {"network.hole_punching", KeyKind::boolean, "true",
     "Looks for a direct way to members that are reached through a relay; both routers have to\n"
     "let it through. The addresses that this node was seen at are told to those members.",
     apply_hole_punching},
    {"api.host", KeyKind::text, R"("127.0.0.1")",
     "The OpenAI endpoint. A host that others can reach is refused unless api.key is set.",
     apply_api_host},
    {"api.port", KeyKind::integer, "8800", "0 takes any free one.", apply_api_port},
    {"api.hosts", KeyKind::list, "[]",
     "Other names and ports under which clients reach the endpoint, behind a proxy or a tunnel:\n"
     "[\"kith.example.org\", \"localhost:9000\"]. Requests to names not listed are refused.",
     apply_api_hosts},
    {"api.key", KeyKind::text, "",
     "The bearer key of the endpoint. Without it one is generated into api.key beside this file.",
     apply_api_key},
    {"inference.encrypted_pipeline", KeyKind::boolean, "false",
     "No other machine is handed text: this one computes the first and the last part of every "
     "model itself.\n"
     "A model whose two end shards are not here is then refused.",
     apply_encrypted_pipeline},
    {"inference.local_embedding_privacy", KeyKind::boolean, "false",
     "This machine turns the prompt into vectors itself; token ids are not sent. The machine with\n"
     "the last part still sees the answer.",
     apply_local_embedding},
    {"inference.threads", KeyKind::integer, "0", "0: one per core.", apply_threads},
    {"models.directory", KeyKind::text, "", "Where shards are kept. An absolute path.",
     apply_models_directory},
    {"trust.policy", KeyKind::text, R"("members")",
     "Which links to peers outside the swarm may stay up: members (none), tofu (an address keeps\n"
     "the key it had first), allow_list, allow_all (every one; for closed networks only).\n"
     "What a member may do is decided by the member list alone.",
     apply_trust_policy},
    {"trust.allow_list", KeyKind::list, "[]", "Whole node ids or peer ids, for policy allow_list.",
     apply_trust_allow_list},
    {"log.level", KeyKind::text, R"("info")",
     "error, warning, info or debug. No level logs prompts, answers, keys or tokens.",
     apply_log_level},
}};

std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), 0);
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            auto const replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            diagonal = row[j];
            row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
        }
    }
    return row.back();
}

}  // namespace

std::span<Key const> config_keys() {
    return keys;
}

Key const* find_key(std::string_view path) {
    auto const found = std::ranges::find(keys, path, &Key::path);
    return found == keys.end() ? nullptr : &*found;
}

std::string_view nearest_key(std::string_view path) {
    // Somebody who forgot the table means the key of that name: compare with and without it.
    auto const score = [path](Key const& key) {
        auto const name = key.path.substr(key.path.find('.') + 1);
        return std::min(distance(path, key.path), distance(path, name));
    };
    return std::ranges::min_element(keys, {}, score)->path;
}

std::string environment_name(std::string_view path) {
    std::string name = "KITH_";
    for (char const c : path)
        name += c == '.' ? '_' : (c >= 'a' && c <= 'z') ? static_cast<char>(c - 'a' + 'A') : c;
    return name;
}

}  // namespace kith::app
