#include "proto/gossip/rpc.h"

#include <doctest/doctest.h>

#include "base/code_of.h"
#include "proto/gossip/limits.h"

using namespace kith::proto::gossip;
using kith::base::as_bytes;
using kith::base::Bytes;
using kith::base::Code;
using kith::base::code_of;
using kith::libp2p::PubsubRpc;

namespace {

Bytes bytes_of(PubsubRpc const& rpc) {
    return kith::base::to_bytes(as_bytes(rpc.SerializeAsString()));
}

// True when `fill(rpc, count)` is accepted at `max` and refused one past it.
template <class Fill>
void check_limit(std::size_t max, Fill fill) {
    PubsubRpc at, past;
    fill(at, max);
    fill(past, max + 1);
    CHECK(decode_rpc(bytes_of(at)).has_value());
    CHECK(code_of(decode_rpc(bytes_of(past))) == Code::too_large);
}

}  // namespace

TEST_CASE("an RPC is read as it was written, and presence is kept") {
    PubsubRpc rpc;
    auto* const subscription = rpc.add_subscriptions();
    subscription->set_subscribe(true);
    subscription->set_topic("t");
    auto* const message = rpc.add_publish();
    message->set_topic("t");
    message->set_data("d");
    message->set_from("");
    auto* const prune = rpc.mutable_control()->add_prune();
    prune->set_topic("t");
    prune->set_backoff(~std::uint64_t{0});
    auto const read = decode_rpc(bytes_of(rpc)).value();
    CHECK(read.SerializeAsString() == rpc.SerializeAsString());
    CHECK(read.publish(0).has_from());
    CHECK_FALSE(read.publish(0).has_key());
}

TEST_CASE("the bytes of a small RPC are those of the specification's field numbers") {
    PubsubRpc rpc;
    rpc.mutable_control()->add_graft()->set_topic("ab");
    rpc.mutable_control()->add_idontwant()->add_ids("x");
    CHECK(bytes_of(rpc) ==
          Bytes{0x1a, 0x0b, 0x1a, 0x04, 0x0a, 0x02, 'a', 'b', 0x2a, 0x03, 0x0a, 0x01, 'x'});
}

TEST_CASE("fields nobody knows are passed over, groups and cut messages refused") {
    CHECK(decode_rpc(Bytes{0x32, 0x02, 0x01, 0x02, 0x38, 0x05}).has_value());
    CHECK(code_of(decode_rpc(Bytes{0x33, 0x34})) == Code::invalid);
    CHECK(code_of(decode_rpc(Bytes{0x0a, 0x05, 0x01})) == Code::invalid);
    CHECK(code_of(decode_rpc(Bytes{0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f})) == Code::invalid);
    CHECK(code_of(decode_rpc(Bytes{0x00})) == Code::invalid);
    CHECK(decode_rpc({}).has_value());
}

TEST_CASE("what repeats is counted on the wire, at the limit and one past it") {
    check_limit(subscriptions_per_rpc_max, [](PubsubRpc& rpc, std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) rpc.add_subscriptions();
    });
    check_limit(messages_per_rpc_max, [](PubsubRpc& rpc, std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) rpc.add_publish();
    });
    check_limit(control_entries_max, [](PubsubRpc& rpc, std::size_t count) {
        for (std::size_t i = 0; i < count; ++i)
            if (i % 2 == 0)
                rpc.mutable_control()->add_graft();
            else
                rpc.mutable_control()->add_iwant();
    });
    check_limit(prune_peers_max, [](PubsubRpc& rpc, std::size_t count) {
        auto* const one = rpc.mutable_control()->add_prune();
        auto* const two = rpc.mutable_control()->add_prune();
        for (std::size_t i = 0; i < count; ++i) (i % 2 == 0 ? one : two)->add_peers();
    });
    check_limit(ids_per_rpc_max, [](PubsubRpc& rpc, std::size_t count) {
        auto* const have = rpc.mutable_control()->add_ihave();
        auto* const want = rpc.mutable_control()->add_iwant();
        auto* const has = rpc.mutable_control()->add_idontwant();
        for (std::size_t i = 0; i < count; ++i) {
            if (i % 3 == 0) have->add_ids();
            if (i % 3 == 1) want->add_ids();
            if (i % 3 == 2) has->add_ids();
        }
    });
}

TEST_CASE("decode amplification: a repeated control field adds up") {
    PubsubRpc half;
    auto* const have = half.mutable_control()->add_ihave();
    for (std::size_t i = 0; i < ids_per_rpc_max / 2 + 1; ++i) have->add_ids();
    auto bytes = bytes_of(half);
    CHECK(decode_rpc(bytes).has_value());
    kith::base::append(bytes, bytes_of(half));
    CHECK(code_of(decode_rpc(bytes)) == Code::too_large);
}

TEST_CASE("a million empty ids are refused before they become objects") {
    // Two bytes each; as strings they would be 32 and more.
    Bytes ids;
    for (int i = 0; i < 100'000; ++i) kith::base::append(ids, Bytes{0x12, 0x00});
    Bytes have{0x0a, 0xc0, 0x9a, 0x0c};  // 200'000
    kith::base::append(have, ids);
    Bytes rpc{0x1a, 0xc4, 0x9a, 0x0c};  // 200'004
    kith::base::append(rpc, have);
    CHECK(code_of(decode_rpc(rpc)) == Code::too_large);
}

TEST_CASE("sizes: messages, control and whole RPCs, at the limit and one past it") {
    auto const message_of = [](std::size_t size) {
        PubsubRpc rpc;
        rpc.add_publish()->set_data(std::string(size - 4, 'x'));  // tag and length take 4
        CHECK((size < 100 || rpc.publish(0).ByteSizeLong() == size));
        return bytes_of(rpc);
    };
    CHECK(decode_rpc(message_of(message_bytes_max)).has_value());
    CHECK(message_of(message_bytes_max).size() <= rpc_bytes_sent_max);
    CHECK(code_of(decode_rpc(message_of(message_bytes_max + 1))) == Code::too_large);

    auto const control_of = [](std::size_t size) {
        PubsubRpc rpc;
        rpc.mutable_control()->add_graft()->set_topic(std::string(size - 8, 'x'));
        CHECK(rpc.control().ByteSizeLong() == size);
        return bytes_of(rpc);
    };
    CHECK(decode_rpc(control_of(control_bytes_max)).has_value());
    CHECK(code_of(decode_rpc(control_of(control_bytes_max + 1))) == Code::too_large);
    auto halves = control_of(control_bytes_max / 2);
    kith::base::append(halves, control_of(control_bytes_max / 2));
    CHECK(decode_rpc(halves).has_value());
    kith::base::append(halves, control_of(20'000));
    CHECK(code_of(decode_rpc(halves)) == Code::too_large);

    auto two = message_of(message_bytes_max);
    kith::base::append(two, message_of(message_bytes_max - 16));
    CHECK(two.size() <= rpc_bytes_max);
    CHECK(decode_rpc(two).has_value());
    kith::base::append(two, message_of(64));
    CHECK(code_of(decode_rpc(two)) == Code::too_large);
}
