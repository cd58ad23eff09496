#include "identity/envelope.h"

#include <doctest/doctest.h>

#include "base/encoding.h"

using namespace kith::identity;
using kith::base::as_bytes;
using kith::base::Bytes;
using kith::base::Code;

namespace {

Identity signer() {
    kith::base::ByteArray<identity_random_bytes> random;
    random.fill(3);
    return Identity::create(kith::crypto::Secret<identity_random_bytes>(random),
                            kith::base::UnixTime{1'800'000'000})
        .value();
}

}  // namespace

TEST_CASE("an envelope opens for the use it was sealed for, and names its signer") {
    auto const self = signer();
    auto const sealed = seal_envelope(self, peer_record_use, as_bytes("payload"));
    auto const opened = open_envelope(sealed, peer_record_use).value();
    CHECK((opened.signer() == self.peer_id()));
    CHECK(kith::base::as_text(opened.payload()) == "payload");
    CHECK(open_envelope(sealed, relay_voucher_use).error().code == Code::unsupported);
    CHECK(open_envelope(sealed, peer_record_use_rfc).error().code == Code::unsupported);
    // The domain alone separates uses too.
    EnvelopeUse const other_domain{"libp2p-relay-rsvp", peer_record_use.payload_type};
    CHECK(open_envelope(sealed, other_domain).error().code == Code::unauthorized);
}

TEST_CASE("no changed bit of an envelope verifies, and no cut one is read") {
    auto const sealed = seal_envelope(signer(), peer_record_use, as_bytes("payload"));
    for (std::size_t bit = 0; bit < sealed.size() * 8; ++bit) {
        auto changed = sealed;
        changed[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
        auto const opened = open_envelope(changed, peer_record_use);
        // A bit of the encoding may be one that protobuf reads past; what it says must be the same.
        if (opened) CHECK(kith::base::as_text(opened->payload()) == "payload");
    }
    for (std::size_t size = 0; size < sealed.size(); ++size)
        CHECK_FALSE(
            open_envelope(kith::base::ByteView(sealed).first(size), peer_record_use).has_value());
    CHECK(open_envelope(Bytes(envelope_bytes_max + 1, 0), peer_record_use).error().code ==
          Code::too_large);
}
