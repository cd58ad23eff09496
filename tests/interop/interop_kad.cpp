#include "interop_kad.h"

#include <algorithm>

#include "base/encoding.h"

namespace kith::interop {

namespace kad = proto::kad;

namespace {

constexpr std::string_view test_namespace = "interop";

kad::KadOptions options(identity::Identity const& self) {
    kad::KadOptions out;
    out.self.id = self.peer_id();
    out.domain = std::string(kad::libp2p_protocol);
    out.signer = {.public_key = self.operational_public_key(),
                  .sign = [&self](base::ByteView bytes) { return self.sign_operational(bytes); }};
    out.namespaces.resize(2);
    out.namespaces[0].name = std::string(test_namespace);
    out.namespaces[0].form = kad::Namespace::Form::plain;
    out.namespaces[0].judge = [](kad::Namespace::Candidate const& candidate) -> base::Status {
        if (base::as_text(candidate.body).starts_with("good")) return {};
        return base::fail(base::Code::invalid, "values of this namespace begin with good");
    };
    // Signed, by anybody: what another implementation keeps for us must come back intact.
    out.namespaces[1].name = "signed";
    out.namespaces[1].author = kad::Namespace::Author::judged;
    out.namespaces[1].judge = [](kad::Namespace::Candidate const&) { return base::Status{}; };
    out.unsigned_providers = kad::UnsignedProviders::allowed;
    out.reach = kad::Reach::loopback;
    return out;
}

std::string list_of(std::vector<wire::Multiaddr> const& addresses) {
    std::string list;
    for (auto const& address : addresses)
        list += (list.empty() ? "\"" : ",\"") + address.to_text() + "\"";
    return "[" + list + "]";
}

base::Bytes bytes_of(std::string const& text) {
    return base::to_bytes(base::as_bytes(text));
}

}  // namespace

KadPart::KadPart(node::Host& host, identity::Identity const& self, ports::Rng& rng,
                 ports::Clock const& clock, Say say)
    : clock_(clock),
      say_(std::move(say)),
      service_(host, options(self), std::string(kad::libp2p_protocol), rng) {}

void KadPart::set_address(wire::Multiaddr const& address) {
    service_.kad().set_addresses({address});
}

node::Taken KadPart::on_event(node::HostEvent const& event) {
    return service_.on_event(event, now());
}

void KadPart::on_identified(ports::ConnectionId id, identity::PeerId const& peer,
                            proto::identify::Info const& info) {
    bool const serves =
        std::ranges::find(info.protocols, kad::libp2p_protocol) != info.protocols.end();
    service_.on_identified(id, info.listen_addresses,
                           serves ? kad::ServesKad::yes : kad::ServesKad::no, now());
    say_("kad_ready", "\"peer\":\"" + peer.to_text() +
                          "\",\"serves\":" + (serves ? "true" : "false") +
                          ",\"table\":" + std::to_string(service_.kad().table().size()));
}

bool KadPart::command(std::string const& verb, std::string const& first,
                      std::string const& second) {
    auto& machine = service_.kad();
    base::Result<kad::QueryId> started = base::fail(base::Code::invalid, "no such command");
    if (verb == "kad-put") started = machine.put_value(bytes_of(first), bytes_of(second), now());
    if (verb == "kad-get") started = machine.get_value(bytes_of(first), now());
    auto const hex = base::from_hex(first);
    if (verb == "kad-provide" && hex) started = machine.provide(*hex, now());
    if (verb == "kad-find-providers" && hex) started = machine.find_providers(*hex, now());
    auto const peer = identity::PeerId::parse(first);
    if (verb == "kad-find-peer" && peer) started = machine.find_peer(*peer, now());
    if (!started)
        say_("kad_error",
             std::string("\"code\":\"") + base::code_name(started.error().code) + "\"");
    service_.pump(now());
    report();
    return verb.starts_with("kad-");
}

void KadPart::report() {
    while (auto event = service_.poll_event()) {
        if (auto const* const finished = std::get_if<kad::QueryFinished>(&*event))
            std::visit([this](auto const& result) { say(result); }, finished->result);
        if (auto const* const bad = std::get_if<kad::BadRecord>(&*event))
            say_("kad_bad_record", std::string("\"code\":\"") + base::code_name(bad->reason.code) +
                                       "\",\"peer\":\"" + bad->from.to_text() + "\"");
    }
}

void KadPart::say(kad::PeerFound const& found) {
    if (!found.peer) return say_("kad_peer", "\"closest\":" + std::to_string(found.closest.size()));
    say_("kad_peer", "\"id\":\"" + found.peer->id.to_text() +
                         "\",\"addresses\":" + list_of(found.peer->addresses));
}

void KadPart::say(kad::ValueFound const& found) {
    if (!found.record) return say_("kad_value", "\"found\":false");
    say_("kad_value", "\"found\":true,\"value\":\"" + base::to_text(found.record->body()) + "\"");
}

void KadPart::say(kad::ProvidersFound const& found) {
    std::string list;
    for (auto const& provider : found.providers)
        list += (list.empty() ? "{\"id\":\"" : ",{\"id\":\"") + provider.peer.id.to_text() +
                "\",\"addresses\":" + list_of(provider.peer.addresses) + "}";
    say_("kad_providers", "\"peers\":[" + list + "]");
}

void KadPart::say(kad::Stored const& stored) {
    say_("kad_stored", "\"peers\":" + std::to_string(stored.peers_count));
}

}  // namespace kith::interop
