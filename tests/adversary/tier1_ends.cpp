#include "tier1_ends.h"

#include <doctest/doctest.h>

#include "crypto/kdf.h"
#include "wire/writer.h"

namespace kith::adversary {

using namespace std::chrono_literals;
using proto::session::Lane;
using proto::session::Side;

crypto::Secret<32> filled(std::uint8_t value) {
    base::ByteArray<32> bytes;
    bytes.fill(value);
    return crypto::Secret<32>(bytes);
}

proto::session::KeyMaterial material(std::uint8_t send, std::uint8_t receive) {
    return {.send = filled(send), .receive = filled(receive), .handshake_hash = {}};
}

void Ends::connect() {
    start(a, b);
    start(b, a);
    REQUIRE(a.channel->offer(now).has_value());
}

void Ends::start(End& self, End const& peer) {
    self.channel = std::make_unique<node::PeerChannel>(
        node::PeerChannel::Parties{
            .self = self.identity,
            .rng = self.rng,
            .swarm_id = {{1}},
            .swarm_secret = self.secret,
            .peer = {.node = peer.identity.node_id(),
                     .static_key = peer.claimed_static.value_or(peer.identity.static_public_key()),
                     .root = peer.identity.root_public_key()},
            .frames_per_key_max = frames_per_key_max},
        now);
}

base::Status Ends::carry(End& from, End& to) {
    auto const bytes = base::to_bytes(from.channel->outgoing());
    from.channel->taken(bytes.size());
    for (auto const& frame : frames_in(bytes)) {
        tape.push_back(frame);
        if (!arrives(frame)) continue;
        base::Bytes framed;
        wire::append_frame(framed, frame);
        KITH_TRY(to.channel->feed(framed, now));
    }
    while (auto const message = to.channel->poll_message())
        to.heard.emplace_back(base::as_text(message->bytes()));
    return {};
}

base::Status Ends::settle() {
    while (!a.channel->outgoing().empty() || !b.channel->outgoing().empty()) {
        KITH_TRY(carry(a, b));
        KITH_TRY(carry(b, a));
    }
    return {};
}

base::Status Ends::run_for(base::Duration span) {
    for (auto const until = now + span; now < until;) {
        now += 500ms;
        for (auto* end : {&a, &b}) {
            KITH_TRY(end->channel->on_deadline(now));
            if (end->channel->rekey_due(now)) KITH_TRY(end->channel->offer(now));
        }
        KITH_TRY(settle());
    }
    return {};
}

bool Ends::talk(std::string const& words) {
    auto const say = [&](End& from, End& to) {
        if (!from.channel->send(Lane::control, base::to_bytes(base::as_bytes(words)))) return false;
        return carry(from, to).has_value() && !to.heard.empty() && to.heard.back() == words;
    };
    return say(a, b) && say(b, a) && settle().has_value();
}

std::uint32_t Ends::key_of_last_frame() const {
    return base::load_be<std::uint32_t>(base::ByteView(tape.back()).subspan(1, 4));
}

std::vector<base::Bytes> frames_in(base::ByteView stream) {
    wire::FrameReader reader(node::peer_frame_bytes_max);
    std::vector<base::Bytes> frames;
    while (!stream.empty()) {
        auto frame = reader.next(stream);
        REQUIRE(frame.has_value());
        if (*frame) frames.push_back(std::move(**frame));
    }
    return frames;
}

wire::v1::EphemeralKeyExchange exchange_in(base::Bytes const& frame) {
    wire::v1::EphemeralKeyExchange exchange;
    REQUIRE(exchange.ParseFromArray(frame.data() + 1, static_cast<int>(frame.size()) - 1));
    return exchange;
}

OfferByHand offer_by_hand(Ends& ends, std::uint32_t key_id) {
    wire::Writer prologue;
    prologue.bytes(base::as_bytes("kith/tier1/v2"))
        .bytes(proto::membership::SwarmId{{1}})
        .bytes(ends.a.identity.node_id().bytes)
        .bytes(ends.b.identity.node_id().bytes)
        .u32(key_id)
        .u32(0);
    auto const psk = crypto::hkdf_sha256<32>(proto::membership::SwarmId{{1}}, ends.a.secret.view(),
                                             base::as_bytes("kith/tier1/psk/v2"));
    auto const ephemeral = filled(77);
    auto const kem_seed = crypto::MlKem768Seed::from(base::Bytes(64, 78)).value();
    proto::noise::HandshakeKeys inputs;
    inputs.static_key = &ends.a.identity.static_private_key();
    inputs.ephemeral_key = &ephemeral;
    inputs.remote_static = ends.b.identity.static_public_key();
    inputs.psks[0] = &psk;
    inputs.kem_seed = &kem_seed;
    proto::noise::HandshakeState handshake(
        proto::noise::Role::initiator, proto::noise::find_pattern("IKhfs+psk2").value(),
        proto::noise::Cipher::chacha_poly, prologue.view(), inputs);
    base::Bytes message;
    REQUIRE(handshake.write_message({}, message).has_value());
    wire::v1::EphemeralKeyExchange offer;
    offer.set_node_id(base::to_text(ends.a.identity.node_id().bytes));
    offer.set_key_id(key_id);
    offer.set_noise_message(base::to_text(message));
    base::Bytes frame{0x02}, framed;
    base::append(frame, base::as_bytes(offer.SerializeAsString()));
    wire::append_frame(framed, frame);
    return {.handshake = std::move(handshake), .framed = std::move(framed)};
}

proto::session::Keyring handshake_by_hand(Ends& ends) {
    constexpr std::uint32_t key_id = 1;
    auto [handshake, framed] = offer_by_hand(ends, key_id);
    base::Bytes ignored;
    REQUIRE(ends.b.channel->feed(framed, ends.now).has_value());
    auto const answer = exchange_in(frames_in(ends.b.channel->outgoing()).at(0));
    REQUIRE(handshake.read_message(base::as_bytes(answer.noise_message()), ignored).has_value());
    auto keys = handshake.split_keys();
    proto::session::Keyring keyring;
    REQUIRE(keyring
                .install(key_id,
                         {.send = std::move(keys.send),
                          .receive = std::move(keys.receive),
                          .handshake_hash = keys.handshake_hash},
                         Side::initiator, ends.now)
                .has_value());
    return keyring;
}

}  // namespace kith::adversary
