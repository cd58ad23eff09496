#include "proto/identify/peer_record.h"

#include <doctest/doctest.h>

#include "identity/envelope.h"
#include "schema/libp2p.pb.h"

using namespace kith::proto::identify;
using kith::base::as_bytes;
using kith::base::Code;
using kith::identity::Identity;
using kith::wire::Multiaddr;

namespace {

Identity identity_of(std::uint8_t fill) {
    kith::base::ByteArray<kith::identity::identity_random_bytes> random;
    random.fill(fill);
    return Identity::create(kith::crypto::Secret<kith::identity::identity_random_bytes>(random),
                            kith::base::UnixTime{1'800'000'000})
        .value();
}

}  // namespace

TEST_CASE("a peer record is read back, in the form in use and in that of the RFC") {
    auto const self = identity_of(1);
    std::vector const addresses{Multiaddr::from_text("/ip4/1.2.3.4/tcp/5").value()};
    auto const record =
        open_peer_record(seal_peer_record(self, 7, addresses), self.peer_id()).value();
    CHECK((record.peer == self.peer_id()));
    CHECK(record.seq == 7);
    CHECK(record.addresses == addresses);
    kith::libp2p::PeerRecord old;
    old.set_peer_id(kith::base::to_text(self.peer_id().to_multihash()));
    old.set_seq(9);
    auto const rfc = kith::identity::seal_envelope(self, kith::identity::peer_record_use_rfc,
                                                   as_bytes(old.SerializeAsString()));
    CHECK(open_peer_record(rfc, self.peer_id())->seq == 9);
}

TEST_CASE("P7: a peer record signed by or about somebody else is refused") {
    auto const self = identity_of(1);
    auto const other = identity_of(2);
    auto const theirs = seal_peer_record(other, 1, {});
    CHECK(open_peer_record(theirs, other.peer_id()).has_value());
    auto const taken = open_peer_record(theirs, self.peer_id());
    REQUIRE_FALSE(taken.has_value());
    CHECK(taken.error().code == Code::unauthorized);
    kith::libp2p::PeerRecord forged;  // about us, signed by the other
    forged.set_peer_id(kith::base::to_text(self.peer_id().to_multihash()));
    auto const sealed = kith::identity::seal_envelope(other, kith::identity::peer_record_use,
                                                      as_bytes(forged.SerializeAsString()));
    for (auto const& expected : {self.peer_id(), other.peer_id()}) {
        auto const opened = open_peer_record(sealed, expected);
        REQUIRE_FALSE(opened.has_value());
        CHECK(opened.error().code == Code::unauthorized);
    }
}

TEST_CASE("garbage is no peer record, unknown addresses are left out, and so is the 65th") {
    auto const self = identity_of(1);
    CHECK_FALSE(open_peer_record({}, self.peer_id()).has_value());
    kith::libp2p::PeerRecord record;
    record.set_peer_id(kith::base::to_text(self.peer_id().to_multihash()));
    record.add_addresses()->set_multiaddr("\xff\xff");
    auto const good = Multiaddr::from_text("/ip4/1.2.3.4/tcp/1")->to_bytes();
    for (std::size_t i = 0; i <= record_addresses_max; ++i)
        record.add_addresses()->set_multiaddr(kith::base::to_text(good));
    auto const sealed = kith::identity::seal_envelope(self, kith::identity::peer_record_use,
                                                      as_bytes(record.SerializeAsString()));
    CHECK(open_peer_record(sealed, self.peer_id())->addresses.size() == record_addresses_max);
    auto const empty =
        kith::identity::seal_envelope(self, kith::identity::peer_record_use, as_bytes("\xff"));
    CHECK(open_peer_record(empty, self.peer_id()).error().code == Code::invalid);
}
