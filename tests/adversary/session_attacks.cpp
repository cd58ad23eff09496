// What members can do to each other's frames, and whose word counts: links, sessions, dispatch.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "base/code_of.h"
#include "base/encoding.h"
#include "crypto/aead.h"
#include "crypto/kdf.h"
#include "hostile.h"
#include "tier1_ends.h"

using namespace kith;
using namespace kith::adversary;
using namespace std::chrono_literals;
using proto::session::Lane;
using proto::session::Side;

namespace {

// A hostile member with a session to an operator that holds the whole model.
struct Inside {
    SwarmBench bench;
    Machine& victim = bench.add_operator();
    Hostile member{bench};
    std::string model;

    Inside() {
        bench.add_model(victim);
        model = victim.ask->models().at(0).id;
        member.join(victim, bench.invite(victim));
        member.open_session(victim);
        REQUIRE(member.session_ready());
    }
    wire::v1::StageMessage forward(std::uint32_t request = 0) {
        auto message =
            forward_to(member.identity.node_id(), victim.identity.node_id(), model, 0, 1);
        message.mutable_forward()->set_request_id(std::string(16, static_cast<char>(request)));
        return message;
    }
    base::Bytes activation(wire::v1::StageMessage const& message) {
        return node::encode_activation(
            message, seal_content(message.forward(), victim.identity.static_public_key(),
                                  base::Bytes(64 * 4, 0x3c)));
    }
    base::Bytes frame(std::uint32_t request = 0) {
        return member.sealed(Lane::tensor, activation(forward(request)));
    }
    void close(char request) {
        wire::v1::Control close;
        close.mutable_stage_close()->set_request_id(std::string(16, request));
        member.send(close);
    }
    std::uint64_t computed() { return victim.ask->stage_server().forwards_computed(); }
    void reopen() {
        bench.run_for(4s);  // so that the new link replaces the one before
        member.open_session(victim);
        REQUIRE(member.session_ready());
    }
};

}  // namespace

TEST_CASE(
    "P8: everything a member says travels under a sealed lane, and tensors under the tensor lane") {
    Inside inside;
    auto& asker = inside.victim;
    REQUIRE(inside.bench.drop(asker, {1, 2, 3, 4}).has_value());
    wire::v1::Control announce;
    announce.mutable_shard_announce()->set_node_id(
        base::to_text(inside.member.identity.node_id().bytes));
    announce.mutable_shard_announce()->set_takes_embeddings(true);
    auto* holding = announce.mutable_shard_announce()->add_models();
    holding->set_model_id(base::to_text(base::from_hex(inside.model).value()));
    for (std::uint32_t const shard : {1U, 2U, 3U, 4U}) holding->add_shards(shard);
    inside.member.send(announce);
    (void)inside.bench.ask(asker, "a secret question");

    REQUIRE(inside.member.activations.size() == 1);
    auto const& canary = inside.member.activations.front().tensor;
    REQUIRE(canary.size() >= 64 * 4);
    std::set<base::Bytes> headers;
    std::size_t tensors = 0;
    for (auto const& frame : inside.member.frames) {
        CHECK((frame.at(0) == 0x02 || (frame.at(0) >= 0x10 && frame.at(0) <= 0x12)));
        if (frame.at(0) == 0x10) ++tensors;
        if (frame.at(0) == 0x02) continue;
        // Lane, key and counter together are the nonce's identity: never twice.
        CHECK(headers.emplace(frame.begin(), frame.begin() + proto::session::header_bytes).second);
    }
    CHECK(tensors == 1);
    // Inside Noise, on the plain yamux stream, and outside of it: neither what Tier 1 sealed (which
    // for a first stage is sealed by Tier 2 once more) nor the content itself.
    for (base::ByteView const secret :
         {base::ByteView(inside.member.tensors.front()), base::ByteView(canary)})
        for (std::size_t at = 0; at + 16 <= secret.size(); at += 16) {
            auto const window = secret.subspan(at, 16);
            for (auto const& frame : inside.member.frames) CHECK_FALSE(contains(frame, window));
            CHECK_FALSE(
                contains(inside.bench.network.tape(asker.address, inside.member.address), window));
        }
}

TEST_CASE("P8: the tensor lane is AES-256-GCM under a key of its own") {
    proto::session::Keyring sender;
    REQUIRE(sender.install(1, material(1, 2), Side::initiator, {}).has_value());
    base::Bytes frame;
    REQUIRE(sender.seal(Lane::tensor, base::as_bytes("activations"), frame).has_value());
    CHECK(frame.at(0) == 0x10);
    auto const key = crypto::hkdf_sha256<32>(base::ByteArray<32>{}, filled(1).view(),
                                             base::as_bytes("kith/tier1/tensor/v1"));
    base::Bytes plain(frame.size() - proto::session::overhead_bytes);
    auto const header = base::ByteView(frame).first(proto::session::header_bytes);
    CHECK(crypto::Aes256Gcm(key)
              .open({}, header, base::ByteView(frame).subspan(header.size()), plain)
              .has_value());
    CHECK(base::as_text(plain) == "activations");
}

TEST_CASE("P8: a tensor that comes without encryption is refused and nothing is computed") {
    Inside inside;
    auto const sealed = inside.frame();  // for a header with the right key and a fresh counter
    base::ByteView rest = sealed;
    auto plain = wire::FrameReader(node::peer_frame_bytes_max).next(rest).value().value();
    plain.resize(proto::session::header_bytes);
    plain[0] = 0x01;
    base::append(plain, inside.activation(inside.forward()));
    base::append(plain, base::Bytes(16));
    base::Bytes framed;
    wire::append_frame(framed, plain);
    inside.member.send_raw(framed);
    CHECK(inside.computed() == 0);
    CHECK_FALSE(inside.member.session_ready());
    CHECK(inside.victim.recorder.activations.empty());
}

TEST_CASE("P11: a flipped, cut or spliced tensor frame ends the session before any layer runs") {
    Inside inside;
    auto const size = inside.frame().size();
    std::vector<std::size_t> places{2, 4, 8, 14, 20, size / 2, size - 20, size - 1};
    for (auto const place : places) {
        inside.reopen();
        auto frame = inside.frame();
        frame.at(place) = static_cast<std::uint8_t>(frame.at(place) ^ 1);
        if (place < 3) continue;  // the length in front of the frame, not the frame
        inside.member.send_raw(frame);
        CHECK(inside.computed() == 0);
        CHECK_FALSE(inside.member.session_ready());
    }
    inside.reopen();
    auto const first = inside.frame(1);
    auto const second = inside.frame(2);
    auto spliced = base::Bytes(first.begin(), first.begin() + 100);
    spliced.insert(spliced.end(), second.begin() + 100, second.end());
    inside.member.send_raw(spliced);
    CHECK(inside.computed() == 0);
    CHECK_FALSE(inside.member.session_ready());
}

TEST_CASE("P11: a tensor frame that is sent twice is computed once") {
    Inside inside;
    auto const frame = inside.frame();
    inside.member.send_raw(frame);
    CHECK(inside.computed() == 1);
    // The request is closed, and so many others that it is forgotten: a second copy would be taken
    // for a new one.
    for (std::size_t i = 0; i <= ask::closed_requests_max; ++i) inside.close(static_cast<char>(i));
    inside.member.send_raw(frame);
    CHECK(inside.computed() == 1);
}

TEST_CASE("S72: a step that comes after the end of its request takes no memory") {
    Inside inside;
    auto const held = [&] { return inside.victim.ask->stage_server().kv_bytes(); };
    inside.close(0);
    inside.member.send_raw(inside.frame(0));
    CHECK(inside.computed() == 0);
    CHECK(held() == 0);
    // The memory of what is closed has an end: the last 64.
    for (int i = 1; i < static_cast<int>(ask::closed_requests_max); ++i)
        inside.close(static_cast<char>(i));
    inside.member.send_raw(inside.frame(0));
    CHECK(inside.computed() == 0);
    inside.close(static_cast<char>(ask::closed_requests_max));
    inside.member.send_raw(inside.frame(0));
    CHECK(inside.computed() == 1);
    CHECK(held() > 0);
}

TEST_CASE("P31: whatever a dialler speaks instead of Noise, it hears no more than a refusal") {
    SwarmBench bench;
    auto& victim = bench.add_operator();
    auto const now = bench.clock.now();
    std::uint64_t next = 1'000'001;
    base::Bytes const select = [] {
        base::Bytes bytes;
        wire::append_frame(bytes, base::as_bytes("/multistream/1.0.0\n"));
        return bytes;
    }();
    auto const answer_to = [&](base::ByteView bytes) {
        ports::ConnectionId const id{next};
        next += 2;
        victim.node->on_accepted(id, {"10.9.9.9", 1}, now);
        victim.node->on_bytes(id, bytes, now);
        base::Bytes out;
        while (victim.node->poll_transmit(id, out, now)) {
        }
        while (victim.node->poll_output()) {
        }
        return out;
    };
    for (std::string const protocol : {"/plaintext/2.0.0", "/tls/1.0.0", "/secio/1.0.0",
                                       "/kith/peer/1.0.0", "/kith/join/1.0.0", "/yamux/1.0.0"}) {
        auto bytes = select;
        wire::append_frame(bytes, base::as_bytes(protocol + "\n"));
        auto const answer = answer_to(bytes);
        CHECK_FALSE(contains(answer, base::as_bytes(protocol)));
        CHECK(answer.size() < 64);
    }
    CHECK(answer_to(base::as_bytes("GET / HTTP/1.1\r\n\r\n")).size() < 64);
    CHECK(answer_to(base::Bytes{0x16, 0x03, 0x01, 0x02, 0x00}).size() < 64);
    CHECK(victim.recorder.controls.empty());
}

TEST_CASE("S15: whoever answers at a member's address with another key is not spoken to") {
    SwarmBench bench;
    auto& op = bench.add_operator();
    auto& ada = bench.add_member(op);
    auto& bo = bench.add_member(op);
    bench.run_for(20s);
    bench.network.detach(ada.address, bench.clock.now());
    Hostile mallory(bench);
    mallory.listen_at(ada.address);
    bench.run_for(60s);
    CHECK_FALSE(bo.node->is_ready(ada.identity.node_id()));
    CHECK(mallory.callers.empty());  // bo ended the handshake before it said who it is
    auto const& failures = bo.node->pairing().failures();
    CHECK(std::ranges::any_of(failures, [&](auto const& failure) {
        return failure.peer == ada.identity.node_id() && failure.sentence.starts_with("STOP.");
    }));
}

TEST_CASE("S16: an announcement or a ping in another member's name changes nothing") {
    Inside inside;
    auto& ada = inside.bench.add_member(inside.victim);
    auto const heard_before = inside.victim.recorder.controls.size();
    auto const models_before = inside.victim.ask->models().size();
    auto const in_her_name = base::to_text(ada.identity.node_id().bytes);
    wire::v1::Control announce;
    announce.mutable_shard_announce()->set_node_id(in_her_name);
    auto* holding = announce.mutable_shard_announce()->add_models();
    holding->set_model_id(std::string(32, 'm'));
    holding->set_name("trap");
    holding->add_shards(0);
    inside.member.send(announce);
    wire::v1::Control ping;
    ping.mutable_health_ping()->set_node_id(in_her_name);
    inside.member.send(ping);
    wire::v1::Control pong;
    pong.mutable_health_pong()->set_node_id(in_her_name);
    inside.member.send(pong);
    CHECK(inside.victim.recorder.controls.size() == heard_before);
    CHECK(inside.victim.ask->models().size() == models_before);
    CHECK(inside.victim.ask->serving(ada.identity.node_id()).empty());
    CHECK(inside.member.session_ready());  // dropped, not cut off
}
