// What a member does to a whole machine in the protocols of libp2p: lengths, ids, times and counts
// that no honest implementation sends, on genuine streams. The cases stand for the rows of
// docs/protocol/pitfalls.md that name them.
#include <limits>

#include "base/encoding.h"
#include "proto/gossip/limits.h"
#include "proto/kad/records.h"
#include "schema/libp2p.pb.h"
#include "wire/frame.h"
#include "wire_hall.h"

using namespace kith;
using namespace kith::adversary;
using namespace std::chrono_literals;

namespace {

namespace gossip = proto::gossip;
namespace kad = proto::kad;
namespace ping = proto::ping;

std::vector<std::string> protocols_of_members() {
    auto protocols = node::member_protocols({});
    protocols.emplace_back(node::protocol_join);
    return protocols;
}

// 2^63 - 1 is the greatest varint that libp2p allows; 2^63 and 2^64 - 1 are none.
std::vector<base::Bytes> impossible_lengths() {
    return {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
            {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01},
            {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01},
            {0xff, 0xff, 0xff, 0xff, 0x0f},
            base::Bytes(100, 0x80)};
}

template <class Message>
base::Bytes framed(Message const& message) {
    base::Bytes bytes;
    wire::append_frame(bytes, base::as_bytes(message.SerializeAsString()));
    return bytes;
}

std::string id_of(std::uint64_t number) {
    std::string id(20, 'i');
    for (std::size_t i = 0; i < 8; ++i) id[i] = static_cast<char>(number >> (8 * i));
    return id;
}

// Mallory's side of GossipSub: the machine speaks with it, and it says what it likes.
struct Gossip {
    explicit Gossip(WireHall& hall)
        : peer(hall.link_that([](WirePeer& one) { one.answer = base::Bytes{}; })) {
        hall.bench.run_for(2s);  // the machine has opened its own stream, and was told yes
        CHECK(std::ranges::count(peer.asked_of_us, gossip::protocol_v1_2) == 1);
        stream = peer.open(gossip::protocol_v1_2);
        libp2p::PubsubRpc hello;
        auto* subscription = hello.add_subscriptions();
        subscription->set_subscribe(true);
        subscription->set_topic(std::string(node::swarm_topic));
        peer.write(stream, framed(hello));
        graft();
        hall.bench.run_for(2s);
        CHECK(peer.is_up());
    }
    void graft() {
        libp2p::PubsubRpc rpc;
        rpc.mutable_control()->add_graft()->set_topic(std::string(node::swarm_topic));
        peer.write(stream, framed(rpc));
    }
    WirePeer& peer;
    std::uint32_t stream = 0;
};

// Mallory's side of the members' Kademlia.
struct Asker {
    explicit Asker(WireHall& hall_in) : hall(hall_in), peer(hall.link()) {
        signer = {.public_key = hall.mallory.identity.operational_public_key(),
                  .sign = [this](base::ByteView bytes) {
                      return hall.mallory.identity.sign_operational(bytes);
                  }};
        domain = std::string(kad::kith_protocol) + "/" + base::to_hex(hall.op.node->swarm()->id);
    }
    // nullopt: no answer. A request takes its part of the rate that is allowed to a peer.
    std::optional<kad::Message> ask(kad::Message const& message) {
        hall.bench.run_for(100ms);
        base::Bytes bytes;
        wire::append_frame(bytes, kad::encode(message));
        auto const stream = peer.open(kad::kith_protocol, bytes);
        auto const heard = peer.heard(stream).bytes;
        base::ByteView rest = heard;
        auto const echo = proposal(kad::kith_protocol);
        if (rest.size() <= echo.size()) return std::nullopt;
        rest = rest.subspan(echo.size());
        wire::FrameReader reader(kad::message_bytes_max);
        auto const frame = reader.next(rest);
        if (!frame || !*frame) return std::nullopt;
        auto answer = kad::decode(**frame);
        return answer ? std::optional(*answer) : std::nullopt;
    }
    [[nodiscard]] base::Bytes sign(kad::RecordKind kind, base::ByteView key, std::int64_t ahead,
                                   base::ByteView body) const {
        auto const now = hall.bench.clock.unix_now();
        return kad::sign_record({.kind = kind, .domain = domain, .key = key},
                                {.sequence = std::numeric_limits<std::uint64_t>::max(),
                                 .issued = base::UnixTime{base::seconds(now) + ahead}},
                                body, signer);
    }
    WireHall& hall;
    WirePeer& peer;
    kad::Signer signer;
    std::string domain;
};

base::Bytes key_of(identity::NodeId const& member) {
    return node::member_key(member);
}

}  // namespace

TEST_CASE("GHSA-xqvc: no length a member says is believed, on any protocol, asked or asking") {
    WireHall hall;
    for (auto const& protocol : protocols_of_members())
        for (auto const& length : impossible_lengths()) {
            auto& peer = hall.link();
            peer.open(protocol, length);
            peer.open(length.size() > 99 ? protocol : base::to_text(length));  // of a name as well
            peer.close();
        }
    hall.check_unharmed();
    std::vector<std::string> asked;
    for (auto const& length : impossible_lengths()) {
        auto& peer = hall.link_that([&length](WirePeer& one) { one.answer = length; });
        hall.bench.run_for(5s);
        asked.insert(asked.end(), peer.asked_of_us.begin(), peer.asked_of_us.end());
        peer.close();
    }
    CHECK(std::ranges::count(asked, proto::identify::protocol) > 0);
    CHECK(std::ranges::count(asked, gossip::protocol_v1_2) > 0);
    hall.check_unharmed();
}

TEST_CASE("GHSA-gc42: PRUNE for 2^64 - 1 s, of any topic and with peers to go to, stops nothing") {
    WireHall hall;
    Gossip mallory(hall);
    for (auto const& topic : {std::string(node::swarm_topic), std::string("/no/such/topic")})
        for (auto const backoff : {std::numeric_limits<std::uint64_t>::max(),
                                   std::uint64_t{1} << 63, std::uint64_t{1}, std::uint64_t{0}}) {
            libp2p::PubsubRpc rpc;
            auto* prune = rpc.mutable_control()->add_prune();
            prune->set_topic(topic);
            prune->set_backoff(backoff);
            for (int i = 0; i < 16; ++i)
                prune->add_peers()->set_peer_id(
                    base::to_text(hall.ada.identity.peer_id().to_multihash()));
            mallory.peer.write(mallory.stream, framed(rpc));
        }
    mallory.graft();
    hall.bench.run_for(65s);
    auto const heard = hall.ada.node->gossip_counts().heard;
    REQUIRE(hall.op.node->set_nickname("Op").has_value());
    hall.bench.run_for(2s);
    CHECK(hall.ada.node->gossip_counts().heard > heard);
    hall.check_unharmed();
}

TEST_CASE(
    "rust gossipsub 0.50: floods of ids, grafts and topics are counted before they are kept") {
    WireHall hall;
    for (auto const count : {gossip::ids_per_rpc_max, gossip::ids_per_rpc_max + 1}) {
        for (int kind = 0; kind < 3; ++kind) {
            Gossip mallory(hall);
            for (std::uint64_t round = 0; round < 8; ++round) {
                libp2p::PubsubRpc rpc;
                auto* have = kind == 0 ? rpc.mutable_control()->add_ihave() : nullptr;
                auto* ids = kind == 1   ? rpc.mutable_control()->add_iwant()
                            : kind == 2 ? rpc.mutable_control()->add_idontwant()
                                        : nullptr;
                if (have != nullptr) have->set_topic(std::string(node::swarm_topic));
                for (std::uint64_t i = 0; i < count; ++i) {
                    if (have != nullptr) have->add_ids(id_of(round * count + i));
                    if (ids != nullptr) ids->add_ids(id_of(round * count + i));
                }
                auto const bytes = framed(rpc);
                base::ByteView rest = bytes;
                while (!rest.empty() && mallory.peer.is_up()) {
                    auto const part = rest.first(std::min<std::size_t>(rest.size(), 32 * 1024));
                    mallory.peer.write(mallory.stream, part);
                    rest = rest.subspan(part.size());
                }
            }
            CHECK(mallory.peer.heard(mallory.stream).is_reset == (count > gossip::ids_per_rpc_max));
            mallory.peer.close();
            hall.bench.run_for(1s);
        }
    }
    hall.check_unharmed();
    Gossip mallory(hall);
    libp2p::PubsubRpc grafts, topics;
    for (std::uint64_t i = 0; i < gossip::control_entries_max; ++i)
        grafts.mutable_control()->add_graft()->set_topic(i % 2 == 0 ? std::string(node::swarm_topic)
                                                                    : id_of(i));
    for (std::uint64_t i = 0; i < gossip::subscriptions_per_rpc_max; ++i) {
        topics.add_subscriptions()->set_subscribe(true);
        topics.mutable_subscriptions(static_cast<int>(i))
            ->set_topic(id_of(i) + std::string(200, 't'));
    }
    for (int i = 0; i < 100; ++i) {
        mallory.peer.write(mallory.stream, framed(grafts));
        mallory.peer.write(mallory.stream, framed(topics));
    }
    hall.bench.run_for(5s);
    hall.check_unharmed();
}

TEST_CASE("GHSA-cqfx: a member fills its share of the members' store, under no name but its own") {
    WireHall hall;
    Asker mallory(hall);
    auto const self = hall.mallory.identity.node_id();
    auto const ada = hall.ada.identity.node_id();
    auto const put = [&](base::Bytes key, std::int64_t ahead) {
        kad::Message message{.type = kad::MessageType::put_value, .key = key};
        message.record =
            kad::Record{.key = key, .value = mallory.sign(kad::RecordKind::value, key, ahead, {})};
        return mallory.ask(message).has_value();
    };
    CHECK(put(key_of(self), 0));
    CHECK_FALSE(put(key_of(ada), 0));
    CHECK_FALSE(put(key_of(self), std::int64_t{1} << 40));  // cpp-libp2p#305
    auto const records = hall.op.node->discovery_counts().records;
    for (std::uint64_t i = 0; i < 100; ++i) {
        auto key = base::to_bytes(base::as_bytes("/member/" + id_of(i)));
        CHECK_FALSE(put(key, 0));
    }
    CHECK(hall.op.node->discovery_counts().records == records);
    auto const found = mallory.ask({.type = kad::MessageType::get_value, .key = key_of(ada)});
    REQUIRE(found.has_value());
    if (found->record)
        CHECK(base::equal(base::ByteView(found->record->value).first(32), ada.bytes));
    std::size_t kept = 0;
    kad::PeerInfo const info{
        .id = hall.mallory.identity.peer_id(),
        .addresses = {wire::Multiaddr::from_text("/ip4/10.9.9.9/tcp/1").value()}};
    for (std::uint64_t i = 0; i < 400; ++i) {
        auto const key = base::to_bytes(base::as_bytes(id_of(i)));
        kad::Message message{.type = kad::MessageType::add_provider, .key = key};
        message.provider_peers.push_back(
            {.peer = info, .proof = mallory.sign(kad::RecordKind::provider, key, 0, {})});
        (void)mallory.ask(message);
        auto const answer = mallory.ask({.type = kad::MessageType::get_providers, .key = key});
        if (answer && !answer->provider_peers.empty()) ++kept;
    }
    CHECK(kept > 0);
    CHECK(kept <= kad::StoreLimits{}.providers_per_peer_max);
    hall.check_unharmed();
}

TEST_CASE(
    "nimbus#4470, nimbus#6062: streams of a protocol are few, and end when nobody ends them") {
    WireHall hall;
    constexpr std::size_t tries = 64;
    std::map<std::string, std::size_t> const most{
        {std::string(ping::protocol), ping::inbound_streams_max},
        {std::string(proto::identify::protocol), 0},  // answered and over
        {std::string(proto::identify::push_protocol), node::identify_pushes_max},
        {std::string(node::protocol_peer), 1},
        {std::string(proto::relay::hop_protocol),
         proto::relay::ServerLimits{}.unanswered_per_connection_max},
        {std::string(kad::kith_protocol), node::kad_streams_per_connection_max}};
    for (auto const& [protocol, open_max] : most) {
        INFO(protocol);
        auto& peer = hall.link();
        std::vector<std::uint32_t> streams;
        for (std::size_t i = 0; i < tries; ++i) streams.push_back(peer.open(protocol));
        auto const open_count = [&] {
            return std::ranges::count_if(streams, [&](auto const stream) {
                auto const heard = peer.heard(stream);
                return peer.is_agreed(stream, protocol) && !heard.is_reset && !heard.is_ended;
            });
        };
        CHECK(static_cast<std::size_t>(open_count()) == open_max);
        // A member has one session and two ways to ping for as long as its link stands.
        if (protocol != node::protocol_peer && protocol != ping::protocol) {
            hall.bench.run_for(75s);
            CHECK((open_count() == 0 || peer.is_closed()));
        }
        peer.close();
        hall.bench.run_for(1s);
    }
    hall.check_unharmed();
}

TEST_CASE("js-yamux#48: a lone small frame of a member is answered before anything else happens") {
    WireHall hall;
    auto& peer = hall.link();
    auto const stream = peer.open(ping::protocol);
    for (std::uint8_t i = 0; i < 10; ++i) {
        auto const before = peer.heard(stream).bytes.size();
        peer.write(stream, base::Bytes(ping::payload_bytes - 1, i));
        CHECK(peer.heard(stream).bytes.size() == before);
        peer.write(stream, base::Bytes(1, i));
        CHECK(peer.heard(stream).bytes.size() == before + ping::payload_bytes);
    }
    hall.check_unharmed();
}

TEST_CASE("cpp-libp2p#301: a member may hang up while the machine opens streams to it") {
    WireHall hall;
    for (std::size_t number = 0; number < 6; ++number) {
        auto& peer = hall.link_that([number](WirePeer& one) {
            one.answer = base::Bytes(number, 0x01);
            one.hangs_up_at = number;
        });
        hall.bench.run_for(3s);
        CHECK(peer.asked_of_us.size() <= number + 1);
        peer.close();
    }
    hall.bench.run_for(5s);
    hall.check_unharmed();
}
