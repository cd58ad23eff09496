// tests/adversary/tier1_ends.h: the two ends of one Tier 1 session (node::PeerChannel), and a
// stream between them that loses what the test says.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "node/peers/peer_channel.h"
#include "schema/wire.pb.h"
#include "swarm_bench.h"

namespace kith::adversary {

crypto::Secret<32> filled(std::uint8_t value);
proto::session::KeyMaterial material(std::uint8_t send, std::uint8_t receive);

// A machine and its end of the session.
struct End {
    explicit End(std::uint64_t seed)
        : rng(seed), identity(new_identity(rng, base::UnixTime{1'800'000'000})) {}

    SeededRng rng;
    identity::Identity identity;
    crypto::Secret<32> secret = filled(1);
    std::optional<crypto::X25519PublicKey> claimed_static;  // what the list says, if not the truth
    std::unique_ptr<node::PeerChannel> channel;
    std::vector<std::string> heard;
};

class Ends {
public:
    End a{31}, b{32};
    base::Instant now{std::chrono::hours(1)};
    std::uint64_t frames_per_key_max = proto::session::frames_per_key_max;  // before start()
    // Everything that went over the stream; the answer says whether a frame arrives.
    std::vector<base::Bytes> tape;
    std::function<bool(base::Bytes const&)> arrives = [](auto const&) { return true; };

    void connect();  // a dials
    void start(End& self, End const& peer);
    base::Status carry(End& from, End& to);
    base::Status settle();                      // until nobody has anything to say
    base::Status run_for(base::Duration span);  // housekeeping every half second, as Node does it
    bool talk(std::string const& words);        // heard on both sides
    [[nodiscard]] std::uint32_t key_of_last_frame() const;
    End& lower() { return a.identity.node_id() < b.identity.node_id() ? a : b; }
};

std::vector<base::Bytes> frames_in(base::ByteView stream);
inline bool is_exchange(base::Bytes const& frame) {
    return frame.at(0) == 0x02;
}
wire::v1::EphemeralKeyExchange exchange_in(base::Bytes const& frame);

// What a hostile member does instead of a PeerChannel: a's offer to b under any number...
struct OfferByHand {
    proto::noise::HandshakeState handshake;
    base::Bytes framed;
};
OfferByHand offer_by_hand(Ends& ends, std::uint32_t key_id);
// ...or a's part of the handshake, and nothing after it.
proto::session::Keyring handshake_by_hand(Ends& ends);

}  // namespace kith::adversary
