// proto/kad/responder.h: the server's half: one request in, one answer out, from the routing table
// and the store. Holds nothing itself.
#pragma once

#include <optional>

#include "proto/kad/addresses.h"
#include "proto/kad/records.h"
#include "proto/kad/routing_table.h"

namespace kith::proto::kad {

class Responder {
public:
    // All must outlive the responder.
    Responder(PeerInfo const& self, Reach reach, RoutingTable const& table, RecordStore& store,
              RecordChecker const& checker)
        : self_(self), reach_(reach), table_(table), store_(store), checker_(checker) {}

    // The answer to `request` of the authenticated `from`; nullopt: there is none (ADD_PROVIDER).
    // Errors: the request is refused, the driver resets its stream. PUT_VALUE: as
    // RecordChecker::check and RecordStore::put. ADD_PROVIDER: entries that are not of the sender,
    // have no address within reach or no proof are ignored one by one; an error only when none is
    // left.
    base::Result<std::optional<Message>> answer(identity::PeerId const& from,
                                                Message const& request, Now now);

private:
    base::Result<Message> find_node(identity::PeerId const& from, Message const& request) const;
    base::Result<Message> get_value(identity::PeerId const& from, Message const& request,
                                    Now now) const;
    base::Result<Message> put_value(identity::PeerId const& from, Message const& request, Now now);
    base::Status add_provider(identity::PeerId const& from, Message const& request, Now now);
    base::Result<Message> get_providers(identity::PeerId const& from, Message const& request,
                                        Now now) const;
    [[nodiscard]] std::vector<PeerInfo> closer(identity::PeerId const& from,
                                               base::ByteView key) const;

    PeerInfo const& self_;
    Reach reach_;
    RoutingTable const& table_;
    RecordStore& store_;
    RecordChecker const& checker_;
};

}  // namespace kith::proto::kad
