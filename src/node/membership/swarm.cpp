#include "node/membership/swarm.h"

#include "wire/reader.h"
#include "wire/writer.h"

namespace kith::node {

using base::Code;
using base::fail;

namespace {

constexpr std::string_view swarm_table = "swarm";
constexpr std::string_view list_table = "list";
constexpr std::string_view secret_name = "swarm.key";
constexpr std::uint8_t record_version = 1;
constexpr std::string_view secret_tag = "kith/swarm.key/v2";

base::ByteView current_key() {
    return base::as_bytes("current");
}

base::Result<Swarm> parse_record(base::ByteView record) {
    wire::Reader reader(record);
    if (KITH_TRY(reader.u8()) != record_version)
        return fail(Code::unsupported, "written by a newer kith");
    Swarm swarm;
    swarm.id = KITH_TRY(reader.array<32>());
    swarm.name = base::to_text(KITH_TRY(reader.prefixed_u16(swarm_name_chars_max * 4)));
    swarm.operator_root = identity::RootId{KITH_TRY(reader.array<32>())};
    swarm.coordinator = identity::PeerId(KITH_TRY(reader.array<32>()));
    swarm.is_coordinator = KITH_TRY(reader.u8()) != 0;
    auto const addresses_count = KITH_TRY(reader.u8());
    for (std::size_t i = 0; i < addresses_count; ++i)
        swarm.coordinator_addresses.push_back(base::to_text(KITH_TRY(reader.prefixed_u16(256))));
    KITH_TRY(reader.expect_end());
    return swarm;
}

}  // namespace

proto::membership::ListChecker::Anchors Swarm::anchors() const {
    return {
        .swarm_id = id, .operator_root = operator_root, .coordinator_key = coordinator.node_id()};
}

base::Status check_swarm_name(std::string_view name) {
    if (name.empty() || name.size() > swarm_name_chars_max)
        return fail(Code::invalid, "a swarm needs a name of 1 to 64 characters");
    for (char const c : name)
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
            return fail(Code::invalid, "a swarm's name may not contain control characters");
    return {};
}

base::Status save_swarm(Swarm const& swarm, ports::Store& store, ports::SecretStore& secrets) {
    wire::Writer secret;  // bound to its swarm, so that a file from elsewhere is noticed
    secret.bytes(base::as_bytes(secret_tag))
        .bytes(swarm.id)
        .u64(swarm.epoch)
        .bytes(swarm.secret.view());
    auto secret_bytes = secret.take();
    auto const stored = secrets.replace(secret_name, secret_bytes);
    crypto::wipe(secret_bytes);
    KITH_TRY(stored);

    wire::Writer record;
    record.u8(record_version)
        .bytes(swarm.id)
        .prefixed_u16(base::as_bytes(swarm.name))
        .bytes(swarm.operator_root.bytes)
        .bytes(swarm.coordinator.public_key())
        .u8(swarm.is_coordinator ? 1 : 0)
        .u8(static_cast<std::uint8_t>(swarm.coordinator_addresses.size()));
    for (auto const& address : swarm.coordinator_addresses)
        record.prefixed_u16(base::as_bytes(address));
    return store.put(swarm_table, current_key(), record.view());
}

base::Result<std::optional<Swarm>> load_swarm(ports::Store& store, ports::SecretStore& secrets) {
    auto const record = KITH_TRY(store.get(swarm_table, current_key()));
    if (!record) return std::optional<Swarm>{};
    auto swarm = parse_record(*record);
    if (!swarm)
        return fail(Code::corrupt,
                    "state.db holds an unreadable swarm record: " + swarm.error().message);
    auto secret = secrets.read(secret_name);
    if (!secret)
        return fail(secret.error().code, "this machine is in a swarm but " +
                                             std::string(secret_name) +
                                             " cannot be used: " + secret.error().message);
    wire::Reader reader(*secret);
    auto const tag = reader.take(secret_tag.size());
    auto const id = reader.array<32>();
    auto const epoch = reader.u64();
    auto const value = reader.take(32);
    bool const fits = tag && base::as_text(*tag) == secret_tag && id && *id == swarm->id && epoch &&
                      value && reader.expect_end().has_value();
    if (fits) {
        swarm->secret = KITH_TRY(crypto::Secret<32>::from(*value));
        swarm->epoch = *epoch;
    }
    crypto::wipe(*secret);
    if (!fits)
        return fail(Code::corrupt,
                    "swarm.key is damaged or of another swarm; restore it or join again");
    return std::optional<Swarm>(std::move(*swarm));
}

base::Status save_list(ports::Store& store, base::ByteView encoded) {
    return store.put(list_table, current_key(), encoded);
}

base::Result<std::optional<base::Bytes>> load_list(ports::Store& store) {
    return store.get(list_table, current_key());
}

}  // namespace kith::node
