// tests/fuzz/peer_record_fuzz.cpp: signed peer records and relay vouchers, as any peer passes them
// on.
//
// First byte: 0 the input is an envelope; 1 a true record with the edits of the input
// (fuzz_edits.h); 2 the input is the payload of envelopes that are signed right here, by the peer
// that is expected, by another peer, and for another use; 3 so is the true payload with edits.
// Checked: an envelope that nobody signed is never accepted; what is accepted is of the expected
// peer and within limits, and its content can be sealed and opened again the same.
#include "base/check.h"
#include "fuzz_edits.h"
#include "fuzz_identity.h"
#include "identity/envelope.h"
#include "proto/identify/peer_record.h"

using namespace kith;
namespace identify = proto::identify;

namespace {

struct Peers {
    identity::Identity alice = fuzz::identity_of(1), mallory = fuzz::identity_of(2);
    base::Bytes record = identify::seal_peer_record(
        alice, 7,
        {wire::Multiaddr::tcp("192.0.2.1", 8810).value(),
         wire::Multiaddr::from_text("/dns4/kith.example/tcp/8810").value()});
    base::Bytes payload = base::to_bytes(
        identity::open_envelope(record, identity::peer_record_use).value().payload());
    identify::PeerRecord content = identify::open_peer_record(record, alice.peer_id()).value();
};

bool same(identify::PeerRecord const& one, identify::PeerRecord const& other) {
    return one.peer == other.peer && one.seq == other.seq && one.addresses == other.addresses;
}

void check(identify::PeerRecord const& record, Peers const& peers) {
    KITH_ASSERT(record.peer == peers.alice.peer_id());
    KITH_ASSERT(record.addresses.size() <= identify::record_addresses_max);
    auto const sealed = identify::seal_peer_record(peers.alice, record.seq, record.addresses);
    if (sealed.size() > identity::envelope_bytes_max) return;
    auto const again = identify::open_peer_record(sealed, peers.alice.peer_id());
    KITH_ASSERT(again.has_value() && same(*again, record));
}

// Protobuf has many spellings of one message, so an edited envelope may still be the true one; what
// it says may not have changed.
void open_unsigned(base::ByteView envelope, Peers const& peers) {
    auto const record = identify::open_peer_record(envelope, peers.alice.peer_id());
    if (record) KITH_ASSERT(same(*record, peers.content));
    KITH_ASSERT(!identify::open_peer_record(envelope, peers.mallory.peer_id()));
}

void open_signed(base::ByteView payload, Peers const& peers) {
    for (auto const& use : {identity::peer_record_use, identity::peer_record_use_rfc}) {
        auto const own = identity::seal_envelope(peers.alice, use, payload);
        if (auto const record = identify::open_peer_record(own, peers.alice.peer_id()))
            check(*record, peers);
        auto const foreign = identity::seal_envelope(peers.mallory, use, payload);
        KITH_ASSERT(!identify::open_peer_record(foreign, peers.alice.peer_id()));
    }
    // Signed for another use, it is worth nothing here.
    auto const voucher = identity::seal_envelope(peers.alice, identity::relay_voucher_use, payload);
    KITH_ASSERT(!identify::open_peer_record(voucher, peers.alice.peer_id()));
    auto const opened = identity::open_envelope(voucher, identity::relay_voucher_use);
    bool const fits = voucher.size() <= identity::envelope_bytes_max;
    KITH_ASSERT(opened.has_value() == fits);
    if (opened) KITH_ASSERT(base::equal(opened->payload(), payload));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    static Peers const peers;
    fuzz::FuzzInput input(data, size);
    auto const kind = input.byte();
    if (kind % 4 == 0) open_unsigned(base::as_bytes(input.text(size)), peers);
    if (kind % 4 == 1) open_unsigned(fuzz::edited(input, peers.record), peers);
    if (kind % 4 == 2) open_signed(base::as_bytes(input.text(size)), peers);
    if (kind % 4 == 3) open_signed(fuzz::edited(input, peers.payload), peers);
    return 0;
}
