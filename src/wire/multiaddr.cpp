#include "wire/multiaddr.h"

#include <arpa/inet.h>

#include <charconv>

#include "base/encoding.h"
#include "wire/varint.h"

namespace kith::wire {

using base::Bytes;
using base::ByteView;
using base::Code;
using base::fail;
using base::Result;
using base::Status;

namespace {

enum class ValueKind { ip4, ip6, port, name, multihash, none };

struct ProtocolRow {
    AddressProtocol protocol;
    std::string_view name;
    ValueKind kind;
};

constexpr ProtocolRow protocol_table[] = {
    {AddressProtocol::ip4, "ip4", ValueKind::ip4},
    {AddressProtocol::tcp, "tcp", ValueKind::port},
    {AddressProtocol::ip6, "ip6", ValueKind::ip6},
    {AddressProtocol::dns4, "dns4", ValueKind::name},
    {AddressProtocol::dns6, "dns6", ValueKind::name},
    {AddressProtocol::udp, "udp", ValueKind::port},
    {AddressProtocol::p2p_circuit, "p2p-circuit", ValueKind::none},
    {AddressProtocol::p2p, "p2p", ValueKind::multihash},
};

ProtocolRow const* find(AddressProtocol protocol) {
    for (auto const& row : protocol_table)
        if (row.protocol == protocol) return &row;
    return nullptr;
}

Result<ProtocolRow> find(std::string_view name) {
    if (name == "ipfs") name = "p2p";  // the old name of the same code
    for (auto const& row : protocol_table)
        if (row.name == name) return row;
    return fail(Code::unsupported, "address uses a protocol this program does not know");
}

Result<ProtocolRow> find(std::uint64_t code) {
    for (auto const& row : protocol_table)
        if (static_cast<std::uint64_t>(row.protocol) == code) return row;
    return fail(Code::unsupported, "address uses a protocol this program does not know");
}

// The number of value bytes a kind has on the wire; nullopt: a varint length says it.
std::optional<std::size_t> fixed_size(ValueKind kind) {
    switch (kind) {
        case ValueKind::ip4:
            return 4;
        case ValueKind::ip6:
            return 16;
        case ValueKind::port:
            return 2;
        case ValueKind::none:
            return 0;
        case ValueKind::name:
        case ValueKind::multihash:
            return std::nullopt;
    }
    return std::nullopt;
}

Status check_name(ByteView name) {
    if (name.empty() || name.size() > dns_name_max)
        return fail(Code::invalid, "bad DNS name length");
    for (auto const c : name) {
        bool const ordinary = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                              (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
        if (!ordinary) return fail(Code::invalid, "DNS name has a character it cannot have");
    }
    return {};
}

Status check_value(ValueKind kind, ByteView value) {
    if (auto const size = fixed_size(kind)) {
        if (value.size() != *size) return fail(Code::invalid, "address value has a wrong size");
        return {};
    }
    if (kind == ValueKind::name) return check_name(value);
    if (value.size() < 2 || value.size() > multihash_bytes_max)
        return fail(Code::invalid, "multihash has a wrong size");
    return {};
}

Result<Bytes> parse_ip(int family, std::string_view text) {
    Bytes value(family == AF_INET ? 4 : 16);
    if (inet_pton(family, std::string(text).c_str(), value.data()) != 1)
        return fail(Code::invalid, "not a numeric IP address");
    return value;
}

Result<Bytes> parse_port(std::string_view text) {
    std::uint16_t port = 0;
    auto const* const end = text.data() + text.size();
    // NOLINTNEXTLINE(bugprone-suspicious-stringview-data-usage): from_chars takes the end
    auto const [parsed, error] = std::from_chars(text.data(), end, port);
    if (error != std::errc{} || parsed != end) return fail(Code::invalid, "not a port number");
    Bytes value(2);
    base::store_be(value, port);
    return value;
}

Result<Bytes> parse_value(ValueKind kind, std::string_view text) {
    switch (kind) {
        case ValueKind::ip4:
            return parse_ip(AF_INET, text);
        case ValueKind::ip6:
            return parse_ip(AF_INET6, text);
        case ValueKind::port:
            return parse_port(text);
        case ValueKind::name:
            return base::to_bytes(base::as_bytes(text));
        case ValueKind::multihash:
            return base::from_base58(text);
        case ValueKind::none:
            return Bytes{};
    }
    return fail(Code::internal, "unknown kind of address value");
}

std::string format_ip(int family, ByteView value) {
    char text[INET6_ADDRSTRLEN] = {};
    inet_ntop(family, value.data(), text, sizeof text);
    return text;
}

std::string format_value(ValueKind kind, ByteView value) {
    switch (kind) {
        case ValueKind::ip4:
            return format_ip(AF_INET, value);
        case ValueKind::ip6:
            return format_ip(AF_INET6, value);
        case ValueKind::port:
            return std::to_string(base::load_be<std::uint16_t>(value));
        case ValueKind::name:
            return base::to_text(value);
        case ValueKind::multihash:
            return base::to_base58(value);
        case ValueKind::none:
            return {};
    }
    return {};
}

// Takes "/word" from the front.
Result<std::string_view> next_word(std::string_view& text) {
    if (text.size() < 2 || text.front() != '/')
        return fail(Code::invalid, "address ends too early");
    text.remove_prefix(1);
    auto const word = text.substr(0, text.find('/'));
    if (word.empty()) return fail(Code::invalid, "address has an empty part");
    text.remove_prefix(word.size());
    return word;
}

Result<std::uint64_t> next_varint(ByteView& bytes) {
    auto const varint = KITH_TRY(read_varint(bytes));
    if (!varint) return fail(Code::invalid, "address ends too early");
    bytes = bytes.subspan(varint->size);
    return varint->value;
}

// No address is made here whose binary form others would refuse to read.
Result<Multiaddr> sendable(Multiaddr address) {
    if (address.to_bytes().size() > multiaddr_bytes_max)
        return fail(Code::too_large, "address is too long");
    return address;
}

}  // namespace

Status Multiaddr::add(AddressProtocol protocol, Bytes value) {
    if (components_.size() == multiaddr_components_max)
        return fail(Code::too_large, "address has too many parts");
    KITH_TRY(check_value(find(protocol)->kind, value));
    components_.push_back({.protocol = protocol, .value = std::move(value)});
    return {};
}

Result<Multiaddr> Multiaddr::from_text(std::string_view text) {
    if (text.size() > multiaddr_text_max) return fail(Code::too_large, "address is too long");
    if (text.empty()) return fail(Code::invalid, "address is empty");
    Multiaddr address;
    while (!text.empty()) {
        auto const name = KITH_TRY(next_word(text));
        auto const row = KITH_TRY(find(name));
        auto const word =
            row.kind == ValueKind::none ? std::string_view{} : KITH_TRY(next_word(text));
        auto value = KITH_TRY(parse_value(row.kind, word));
        KITH_TRY(address.add(row.protocol, std::move(value)));
    }
    return sendable(std::move(address));
}

Result<Multiaddr> Multiaddr::from_bytes(ByteView bytes) {
    if (bytes.size() > multiaddr_bytes_max) return fail(Code::too_large, "address is too long");
    if (bytes.empty()) return fail(Code::invalid, "address is empty");
    Multiaddr address;
    while (!bytes.empty()) {
        auto const code = KITH_TRY(next_varint(bytes));
        auto const row = KITH_TRY(find(code));
        auto const fixed = fixed_size(row.kind);
        std::uint64_t const size = fixed ? *fixed : KITH_TRY(next_varint(bytes));
        if (size > bytes.size()) return fail(Code::invalid, "address ends too early");
        auto const value = bytes.first(static_cast<std::size_t>(size));
        bytes = bytes.subspan(value.size());
        KITH_TRY(address.add(row.protocol, base::to_bytes(value)));
    }
    return address;
}

std::string Multiaddr::to_text() const {
    std::string text;
    for (auto const& [protocol, value] : components_) {
        auto const* row = find(protocol);
        text.append("/").append(row->name);
        if (row->kind != ValueKind::none) text.append("/").append(format_value(row->kind, value));
    }
    return text;
}

Bytes Multiaddr::to_bytes() const {
    Bytes bytes;
    for (auto const& [protocol, value] : components_) {
        append_varint(bytes, static_cast<std::uint64_t>(protocol));
        if (!fixed_size(find(protocol)->kind)) append_varint(bytes, value.size());
        base::append(bytes, value);
    }
    return bytes;
}

std::optional<Multiaddr::TcpEndpoint> Multiaddr::tcp_endpoint() const {
    if (components_.size() < 2 || components_[1].protocol != AddressProtocol::tcp)
        return std::nullopt;
    auto const& host = components_[0];
    auto const port = base::load_be<std::uint16_t>(components_[1].value);
    if (host.protocol == AddressProtocol::ip4)
        return TcpEndpoint{format_ip(AF_INET, host.value), port};
    if (host.protocol == AddressProtocol::ip6)
        return TcpEndpoint{format_ip(AF_INET6, host.value), port};
    return std::nullopt;
}

std::optional<Bytes> Multiaddr::peer_multihash() const {
    if (components_.empty() || components_.back().protocol != AddressProtocol::p2p)
        return std::nullopt;
    return components_.back().value;
}

Result<Multiaddr> Multiaddr::tcp(std::string_view ip, std::uint16_t port) {
    bool const is_ip6 = ip.find(':') != std::string_view::npos;
    Multiaddr address;
    auto host = KITH_TRY(parse_ip(is_ip6 ? AF_INET6 : AF_INET, ip));
    KITH_TRY(address.add(is_ip6 ? AddressProtocol::ip6 : AddressProtocol::ip4, std::move(host)));
    Bytes value(2);
    base::store_be(value, port);
    KITH_TRY(address.add(AddressProtocol::tcp, std::move(value)));
    return address;
}

Result<Multiaddr> Multiaddr::with_peer(ByteView multihash) const {
    Multiaddr address = *this;
    KITH_TRY(address.add(AddressProtocol::p2p, base::to_bytes(multihash)));
    return sendable(std::move(address));
}

Result<Multiaddr> Multiaddr::with_circuit() const {
    Multiaddr address = *this;
    KITH_TRY(address.add(AddressProtocol::p2p_circuit, {}));
    return sendable(std::move(address));
}

std::optional<Multiaddr::Circuit> Multiaddr::circuit() const {
    auto const relay_at = tcp_endpoint();
    auto const size = components_.size();
    if (!relay_at || size < 4 || size > 5 || components_[2].protocol != AddressProtocol::p2p ||
        components_[3].protocol != AddressProtocol::p2p_circuit)
        return std::nullopt;
    Circuit circuit{.relay_at = *relay_at, .relay = components_[2].value, .target = {}};
    if (size == 4) return circuit;
    if (components_[4].protocol != AddressProtocol::p2p) return std::nullopt;
    circuit.target = components_[4].value;
    return circuit;
}

}  // namespace kith::wire
