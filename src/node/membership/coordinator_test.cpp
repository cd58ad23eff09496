#include "node/membership/coordinator.h"

#include <doctest/doctest.h>

#include "base/code_of.h"
#include "node/link/proved_peer_test_support.h"
#include "node/membership/join_desk.h"
#include "node/membership/joiner.h"
#include "proto/membership/secret_wrap.h"
#include "sim/chance.h"
#include "sim/disk.h"

using namespace kith;
using namespace kith::node;
using base::Code;
namespace membership = proto::membership;

namespace {

constexpr base::UnixTime today{1'800'000'000};

// A disk that counts how often whole tables are read, and that may stop writing.
struct WatchedStore final : ports::Store {
    sim::Disk disk;
    std::size_t scans_count = 0;
    bool is_full = false;

    base::Status room() const {
        if (is_full) return base::fail(Code::io, "the disk is full");
        return {};
    }
    base::Result<std::optional<base::Bytes>> get(std::string_view table,
                                                 base::ByteView key) override {
        return disk.get(table, key);
    }
    base::Status put(std::string_view table, base::ByteView key, base::ByteView value) override {
        KITH_TRY(room());
        return disk.put(table, key, value);
    }
    base::Status erase(std::string_view table, base::ByteView key) override {
        KITH_TRY(room());
        return disk.erase(table, key);
    }
    base::Result<std::vector<ports::Row>> scan(std::string_view table, std::size_t max) override {
        ++scans_count;
        return disk.scan(table, max);
    }
    base::Status invite_add(ports::InviteRow const& invite) override {
        return disk.invite_add(invite);
    }
    base::Result<std::vector<ports::InviteRow>> invites(std::size_t max) override {
        ++scans_count;
        return disk.invites(max);
    }
    base::Result<std::optional<ports::InviteRow>> invite(base::ByteView lookup_id) override {
        return disk.invite(lookup_id);
    }
    base::Status invite_revoke(base::ByteView lookup_id) override {
        return disk.invite_revoke(lookup_id);
    }
    base::Result<ports::InviteRow> invite_redeem(base::ByteView lookup_id, base::ByteView redeemer,
                                                 base::UnixTime now, std::string_view table,
                                                 base::ByteView value) override {
        return disk.invite_redeem(lookup_id, redeemer, now, table, value);
    }
};

identity::Identity new_identity(sim::SeededRng& rng) {
    crypto::Secret<identity::identity_random_bytes> random;
    REQUIRE(rng.fill(random.mutable_view()).has_value());
    return identity::Identity::create(random, today).value();
}

struct Scene {
    sim::SeededRng rng{31};
    identity::Identity op = new_identity(rng);
    identity::Identity joiner = new_identity(rng);
    WatchedStore store;
    Swarm swarm;
    std::optional<Coordinator> coordinator;
    std::string token;

    Scene() {
        REQUIRE(rng.fill(swarm.id).has_value());
        swarm.name = "kin";
        swarm.operator_root = op.root_id();
        swarm.coordinator = op.peer_id();
        coordinator.emplace(
            Coordinator::create({.identity = op, .rng = rng, .store = store}, swarm, today)
                .value());
        token =
            coordinator->create_invite({}, swarm, {"/ip4/10.0.0.1/tcp/8810"}, today).value().token;
    }
    wire::v1::JoinRequest honest_request() const {
        auto const framed = Joiner(membership::parse_token(token).value(), {}).request(joiner, {});
        wire::FrameReader reader(join_message_bytes_max);
        base::ByteView rest = framed;
        auto const frame = reader.next(rest).value().value();
        wire::v1::JoinRequest request;
        REQUIRE(request.ParseFromArray(frame.data(), static_cast<int>(frame.size())));
        return request;
    }
    base::Result<wire::v1::Grant> redeem(wire::v1::JoinRequest const& request) {
        return coordinator->redeem(request, proved(joiner, rng), swarm, today);
    }
};

}  // namespace

TEST_CASE("what a stranger asks is looked up by key: no request reads all members or invites") {
    Scene scene;
    REQUIRE(scene.redeem(scene.honest_request()).has_value());
    auto const stranger = new_identity(scene.rng);
    auto const peer = proved(stranger, scene.rng);
    auto unknown = scene.honest_request();
    unknown.set_binding(base::to_text(identity::encode(stranger.binding())));
    unknown.set_lookup_id(std::string(32, 'u'));
    auto forged = unknown;
    forged.set_lookup_id(scene.honest_request().lookup_id());
    wire::v1::JoinRequest refresh;
    refresh.set_binding(unknown.binding());
    scene.store.scans_count = 0;
    CHECK(base::code_of(scene.coordinator->redeem(unknown, peer, scene.swarm, today)) ==
          Code::not_found);
    CHECK(base::code_of(scene.coordinator->redeem(forged, peer, scene.swarm, today)) ==
          Code::unauthorized);
    CHECK(base::code_of(scene.coordinator->refresh(refresh, peer, scene.swarm, today)) ==
          Code::forbidden);
    // A member's own question costs no more.
    refresh.set_binding(scene.honest_request().binding());
    CHECK(scene.coordinator->refresh(refresh, proved(scene.joiner, scene.rng), scene.swarm, today)
              .has_value());
    CHECK(scene.store.scans_count == 0);
}

TEST_CASE("a request that is malformed or of another machine is refused before any look-up") {
    Scene scene;
    auto const request = scene.honest_request();
    auto const other = new_identity(scene.rng);
    CHECK(base::code_of(scene.coordinator->redeem(request, proved(other, scene.rng), scene.swarm,
                                                  today)) == Code::unauthorized);
    for (auto const size : {0, 31, 33}) {
        auto cut = request;
        cut.set_lookup_id(std::string(static_cast<std::size_t>(size), 'l'));
        CHECK(base::code_of(scene.redeem(cut)) == Code::invalid);
    }
    auto cut = request;
    cut.mutable_statement_signature()->pop_back();
    CHECK(base::code_of(scene.redeem(cut)) == Code::invalid);
    CHECK(scene.redeem(request).has_value());
}

TEST_CASE("a list that could not be made is made at the member's next question") {
    Scene scene;
    scene.store.is_full = true;  // the version cannot be stored, so nothing is signed
    CHECK(base::code_of(scene.redeem(scene.honest_request())) == Code::io);
    CHECK(scene.coordinator->list_version() == 1);
    scene.store.is_full = false;
    wire::v1::JoinRequest refresh;
    refresh.set_binding(scene.honest_request().binding());
    auto const peer = proved(scene.joiner, scene.rng);
    auto const grant = scene.coordinator->refresh(refresh, peer, scene.swarm, today);
    REQUIRE(grant.has_value());
    CHECK(scene.coordinator->list_version() == 2);
    membership::ListChecker checker(scene.swarm.anchors());
    auto const list =
        checker.check(base::to_bytes(base::as_bytes(grant->member_list())), today).value();
    CHECK(list.find(scene.joiner.node_id()) != nullptr);
    refresh.set_have_version(2);  // and only once
    CHECK(scene.coordinator->refresh(refresh, peer, scene.swarm, today)->member_list().empty());
    CHECK(scene.coordinator->list_version() == 2);
}

TEST_CASE("the keys of members are known again after a restart") {
    Scene scene;
    REQUIRE(scene.redeem(scene.honest_request()).has_value());
    auto again = Coordinator::create({.identity = scene.op, .rng = scene.rng, .store = scene.store},
                                     scene.swarm, today)
                     .value();
    // Another root that claims the member's key. Only the member proves it, so it is he who tries.
    auto const other = new_identity(scene.rng);
    auto binding = scene.joiner.binding();
    binding.body.root = other.binding().body.root;
    wire::v1::JoinRequest refresh;
    refresh.set_binding(base::to_text(identity::encode(binding)));
    auto const peer = proved(scene.joiner, scene.rng);
    CHECK(base::code_of(again.refresh(refresh, peer, scene.swarm, today)) == Code::conflict);
}
