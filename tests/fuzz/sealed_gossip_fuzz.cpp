// Fuzzes the opener of sealed gossip. The input is an envelope; a second time it is the part before
// the signature, signed by a member, so that everything behind the signature is reached too.
// Checked: what opens names the member that signed it, and the same bytes do not open twice.
#include <cstdlib>

#include "proto/sealed_gossip/envelope.h"

namespace sealed_gossip = kith::proto::sealed_gossip;
using kith::base::ByteView;
using kith::base::UnixTime;

namespace {

constexpr UnixTime now{1'800'000'000};

kith::identity::Identity member() {
    kith::base::ByteArray<kith::identity::identity_random_bytes> random;
    random.fill(1);
    return kith::identity::Identity::create(
               kith::crypto::Secret<kith::identity::identity_random_bytes>(random), now)
        .value();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    static kith::identity::Identity const alice = member();
    sealed_gossip::SwarmId swarm;
    swarm.fill(1);
    kith::base::ByteArray<32> secret;
    secret.fill(2);
    sealed_gossip::Opener opener(swarm, kith::crypto::Secret<32>(secret));
    kith::identity::NodeId const members[] = {alice.node_id()};
    if (!opener.set_members(members)) std::abort();
    ByteView const input(data, size);
    for (auto const* topic : {"topic", ""}) {
        auto const first = opener.open(topic, input, now);
        if (first && (first->origin() != alice.node_id() || opener.open(topic, input, now)))
            std::abort();
        if (!first && first.error().fault == sealed_gossip::Fault::origin &&
            first.error().origin != alice.node_id())
            std::abort();
        kith::base::Bytes envelope = kith::base::to_bytes(input);
        kith::base::append(envelope, alice.sign_operational(
                                         sealed_gossip::signed_statement(swarm, topic, envelope)));
        auto const again = opener.open(topic, envelope, now);
        if (again && opener.open(topic, envelope, now)) std::abort();
    }
    return 0;
}
