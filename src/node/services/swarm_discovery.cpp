#include "node/services/swarm_discovery.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/sabotage.h"
#include "wire/frame.h"

namespace kith::node {

using base::Bytes;
using base::ByteView;
using base::Code;
using base::fail;
using base::Instant;
namespace kad = proto::kad;

Bytes encode_addresses(std::span<wire::Multiaddr const> addresses) {
    Bytes body;
    for (auto const& address : addresses.first(std::min(addresses.size(), member_addresses_max)))
        wire::append_frame(body, address.to_bytes());
    return body;
}

base::Result<std::vector<wire::Multiaddr>> decode_addresses(ByteView body) {
    std::vector<wire::Multiaddr> addresses;
    wire::FrameReader reader(address_bytes_max);
    while (!body.empty()) {
        auto const frame = KITH_TRY(reader.next(body));
        if (!frame) return fail(Code::invalid, "addresses of a member: cut off");
        if (addresses.size() >= member_addresses_max)
            return fail(Code::too_large, "addresses of a member: too many");
        addresses.push_back(KITH_TRY(wire::Multiaddr::from_bytes(*frame)));
    }
    return addresses;
}

Bytes member_key(identity::NodeId const& member) {
    auto key = base::to_bytes(base::as_bytes("/" + std::string(discovery_namespace) + "/"));
    key.insert(key.end(), member.bytes.begin(), member.bytes.end());
    return key;
}

namespace {

// Many members in one office, or at home, are no reason to know only three of them.
bool is_local(wire::Multiaddr const& address) {
    return kad::scope_of(address) != kad::AddressScope::public_network;
}

}  // namespace

SwarmDiscovery::SwarmDiscovery(Edges const& edges, ByteView swarm_id)
    : edges_(edges),
      domain_(std::string(kad::kith_protocol) + "/" + base::to_hex(swarm_id)),
      kad_(edges.host, options(), std::string(kad::kith_protocol), edges.rng, KadDials::no) {}

kad::KadOptions SwarmDiscovery::options() {
    auto const& identity = edges_.identity;
    kad::KadOptions options{
        .self = {.id = identity.peer_id(), .addresses = {}},
        .domain = domain_,
        .signer = {.public_key = identity.operational_public_key(),
                   .sign =
                       [&identity](ByteView bytes) { return identity.sign_operational(bytes); }},
        .namespaces = {}};
    kad::Namespace space{.name = std::string(discovery_namespace)};
    space.judge = [this](kad::Namespace::Candidate const& candidate) -> base::Status {
        identity::NodeId const author(*candidate.author);
        if (!KITH_GUARD("S25.member", members_.contains(author)))
            return fail(Code::unauthorized, "addresses of somebody who is no member");
        KITH_TRY(decode_addresses(candidate.body));
        return {};
    };
    options.namespaces.push_back(std::move(space));
    options.admits = [this](identity::PeerId const& peer) { return is_member(peer); };
    // Members are told each other's addresses by the coordinator without such a rule as well.
    options.reach = kad::Reach::loopback;
    options.group_exempt = is_local;
    return options;
}

bool SwarmDiscovery::is_member(identity::PeerId const& peer) const {
    return members_.contains(peer.node_id());
}

kad::Now SwarmDiscovery::both(Instant now) const {
    return {.instant = now, .wall = edges_.clock.unix_now()};
}

void SwarmDiscovery::set_members(std::span<identity::NodeId const> members) {
    members_ = {members.begin(), members.end()};
    std::erase_if(looked_, [this](auto const& one) { return !members_.contains(one.first); });
    kad_.kad().forget_unadmitted();
}

void SwarmDiscovery::set_addresses(std::vector<wire::Multiaddr> addresses, Instant now) {
    if (addresses == addresses_) return;
    addresses_ = std::move(addresses);
    kad_.kad().set_addresses(addresses_);
    published_.reset();  // who moved cannot be found until the others know it
    publish_soon(now);
}

void SwarmDiscovery::publish_soon(Instant now) {
    publish_at_ = published_ ? std::max(now, *published_ + publish_interval) : now;
    publish(now);
}

// A node that nobody can dial says nothing; an old record of it ends by itself.
void SwarmDiscovery::publish(Instant now) {
    if (!publish_at_ || now < *publish_at_ || kad_.kad().table().size() == 0) return;
    auto const self = edges_.identity.node_id();
    if (!members_.contains(self)) return;
    publish_at_.reset();
    if (addresses_.empty()) return kad_.kad().withdraw_value(member_key(self));
    auto const begun =
        kad_.kad().put_value(member_key(self), encode_addresses(addresses_), both(now));
    published_ = now;
    if (begun) publication_ = *begun;
    if (!begun) publish_at_ = now + publish_interval;  // too many queries just now
    kad_.pump(both(now));
}

void SwarmDiscovery::on_identified(ports::ConnectionId connection,
                                   proto::identify::Info const& said, Instant now) {
    bool const serves =
        std::ranges::find(said.protocols, kad::kith_protocol) != said.protocols.end();
    auto const before = kad_.kad().table().size();
    kad_.on_identified(connection, said.listen_addresses,
                       serves ? kad::ServesKad::yes : kad::ServesKad::no, both(now));
    if (kad_.kad().table().size() > before || !published_) publish_soon(now);
    drain();
}

std::optional<Instant> SwarmDiscovery::deadline() const {
    auto const due = kad_.deadline();
    bool const can_publish = publish_at_ && kad_.kad().table().size() > 0 &&
                             members_.contains(edges_.identity.node_id());
    if (!can_publish) return due;
    return due ? std::min(*due, *publish_at_) : *publish_at_;
}

Handled SwarmDiscovery::on_event(HostEvent const& event, Instant now) {
    auto const taken = kad_.on_event(event, both(now));
    drain();
    return taken == Taken::yes ? Handled::yes : Handled::no;
}

void SwarmDiscovery::on_deadline(Instant now) {
    kad_.on_deadline(both(now));
    publish(now);
    drain();
}

void SwarmDiscovery::look_for(identity::NodeId const& member, Instant now) {
    if (!members_.contains(member) || kad_.kad().table().size() == 0) return;
    auto const last = looked_.find(member);
    if (last != looked_.end() && now < last->second + lookup_interval) return;
    auto const runs = [&member](auto const& lookup) { return lookup.second == member; };
    if (std::ranges::any_of(lookups_, runs)) return;
    auto const query = kad_.kad().get_value(member_key(member), both(now));
    if (!query) return;  // too many at once: it is asked for again soon
    looked_.insert_or_assign(member, now);
    lookups_.emplace(*query, member);
    ++counts_.lookups;
    kad_.pump(both(now));
    drain();
}

void SwarmDiscovery::drain() {
    while (auto const event = kad_.poll_event()) {
        if (std::holds_alternative<kad::BadRecord>(*event)) ++counts_.refused;
        auto const* finished = std::get_if<kad::QueryFinished>(&*event);
        if (finished == nullptr) continue;
        if (publication_ == finished->id) {
            publication_.reset();
            auto const* stored = std::get_if<kad::Stored>(&finished->result);
            if (stored != nullptr && stored->peers_count == 0) published_.reset();
        }
        auto const lookup = lookups_.extract(finished->id);
        auto const* value = std::get_if<kad::ValueFound>(&finished->result);
        if (!lookup || value == nullptr || !value->record) continue;
        auto addresses = decode_addresses(value->record->body());
        if (!addresses || addresses->empty()) continue;
        ++counts_.found;
        found_.push_back({.member = lookup.mapped(), .addresses = std::move(*addresses)});
    }
}

std::optional<MemberFound> SwarmDiscovery::poll_found() {
    if (found_.empty()) return std::nullopt;
    auto found = std::move(found_.front());
    found_.pop_front();
    return found;
}

SwarmDiscovery::Counts SwarmDiscovery::counts() const {
    auto counts = counts_;
    counts.known = kad_.kad().table().size();
    counts.records = kad_.kad().store().values_count();
    return counts;
}

}  // namespace kith::node
