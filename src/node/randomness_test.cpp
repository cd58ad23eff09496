// A random source that fails: whoever draws from it for a signature, a key or a secret must fail
// too, and leave nothing half made behind.
#include <doctest/doctest.h>

#include <map>
#include <random>

#include "identity/contexts.h"
#include "node/membership/coordinator.h"
#include "node/node.h"
#include "node/peers/peer_channel.h"

using namespace kith;
using namespace kith::node;
using base::Code;

namespace {

// Gives `draws` answers, then fails for good.
struct FailingRng final : ports::Rng {
    explicit FailingRng(std::size_t draws) : draws_left(draws) {}
    base::Status fill(base::MutableByteView out) override {
        if (draws_left == 0) return base::fail(Code::io, "no randomness");
        --draws_left;
        for (auto& byte : out) byte = static_cast<std::uint8_t>(random());
        return {};
    }
    std::size_t draws_left;
    std::mt19937 random{7};
};

struct MemoryStore final : ports::Store {
    using Key = std::pair<std::string, base::Bytes>;
    std::map<Key, base::Bytes> rows;
    std::vector<ports::InviteRow> invite_rows;

    base::Result<std::optional<base::Bytes>> get(std::string_view table,
                                                 base::ByteView key) override {
        auto const found = rows.find({std::string(table), base::to_bytes(key)});
        if (found == rows.end()) return std::optional<base::Bytes>();
        return std::optional<base::Bytes>(found->second);
    }
    base::Status put(std::string_view table, base::ByteView key, base::ByteView value) override {
        rows[{std::string(table), base::to_bytes(key)}] = base::to_bytes(value);
        return {};
    }
    base::Status erase(std::string_view table, base::ByteView key) override {
        rows.erase({std::string(table), base::to_bytes(key)});
        return {};
    }
    base::Result<std::vector<ports::Row>> scan(std::string_view table, std::size_t) override {
        std::vector<ports::Row> out;
        for (auto const& [key, value] : rows)
            if (key.first == table) out.push_back({key.second, value});
        return out;
    }
    base::Status invite_add(ports::InviteRow const& invite) override {
        invite_rows.push_back(invite);
        return {};
    }
    base::Result<std::vector<ports::InviteRow>> invites(std::size_t) override {
        return invite_rows;
    }
    base::Result<std::optional<ports::InviteRow>> invite(base::ByteView) override {
        return std::optional<ports::InviteRow>();
    }
    base::Status invite_revoke(base::ByteView) override {
        return base::fail(Code::not_found, "no such invite");
    }
    base::Result<ports::InviteRow> invite_redeem(base::ByteView, base::ByteView, base::UnixTime,
                                                 std::string_view, base::ByteView) override {
        return base::fail(Code::not_found, "no such invite");
    }
};

struct MemorySecrets final : ports::SecretStore {
    std::map<std::string, base::Bytes, std::less<>> secrets;
    base::Result<base::Bytes> read(std::string_view name) override {
        auto const found = secrets.find(name);
        if (found == secrets.end()) return base::fail(Code::not_found, "no such secret");
        return found->second;
    }
    base::Status replace(std::string_view name, base::ByteView secret) override {
        secrets.insert_or_assign(std::string(name), base::to_bytes(secret));
        return {};
    }
};

struct FixedClock final : ports::Clock {
    [[nodiscard]] base::Instant now() const override { return {}; }
    [[nodiscard]] base::UnixTime unix_now() const override { return base::UnixTime{1'800'000'000}; }
};

identity::Identity new_identity(std::uint8_t value = 3) {
    crypto::Secret<identity::identity_random_bytes> random;
    std::ranges::fill(random.mutable_view(), value);
    return identity::Identity::create(random, FixedClock().unix_now()).value();
}

constexpr std::size_t draws_max = 20;  // of any one command; more means that it never succeeds

struct Founder {
    identity::Identity identity = new_identity();
    FailingRng rng{0};
    FixedClock clock;
    MemoryStore store;
    MemorySecrets secrets;
    std::unique_ptr<Node> node;

    Founder() {
        rng.draws_left = draws_max;
        node = Node::create({.identity = identity,
                             .rng = rng,
                             .clock = clock,
                             .store = store,
                             .secrets = secrets,
                             .log = [](std::string const&) {}},
                            {})
                   .value();
        node->set_listen_addresses({"/ip4/10.0.0.1/tcp/8810"});
    }
};

}  // namespace

TEST_CASE("no swarm is founded when any draw for its id and secret fails") {
    std::size_t draws = 0;
    for (; draws < draws_max; ++draws) {
        Founder founder;
        founder.rng.draws_left = draws;
        auto const made = founder.node->create_swarm("kin", {});
        if (made) break;
        CHECK(made.error().code == Code::io);
        CHECK(founder.node->swarm() == nullptr);
        CHECK(founder.secrets.secrets.empty());
        CHECK(founder.store.rows.empty());
    }
    CHECK(draws == 2);  // id and secret
}

TEST_CASE("no invite is signed, shown or stored when any of its draws fails") {
    std::size_t draws = 0;
    for (; draws < draws_max; ++draws) {
        Founder founder;
        REQUIRE(founder.node->create_swarm("kin", {}).has_value());
        founder.rng.draws_left = draws;
        auto* const coordinator = founder.node->coordinator().value();
        auto const invite = coordinator->create_invite(
            {}, *founder.node->swarm(), {"/ip4/10.0.0.1/tcp/8810"}, founder.clock.unix_now());
        if (invite) break;
        CHECK(invite.error().code == Code::io);
        CHECK(founder.store.invite_rows.empty());
    }
    CHECK(draws == 3);  // token, signature, salt
}

TEST_CASE("no session begins, and nothing is sent, when a draw for its keys or its proof fails") {
    enum class Who { offers, answers };
    auto const ada = new_identity(3);
    auto const bo = new_identity(4);
    auto const secret = crypto::Secret<32>(base::ByteArray<32>{9});
    for (auto const broken : {Who::offers, Who::answers}) {
        std::size_t draws = 0;
        for (; draws < draws_max; ++draws) {
            FailingRng ada_rng(broken == Who::offers ? draws : draws_max);
            FailingRng bo_rng(broken == Who::answers ? draws : draws_max);
            auto const end = [&](auto const& self, auto const& peer, FailingRng& rng) {
                return PeerChannel({.self = self,
                                    .rng = rng,
                                    .swarm_id = {{1}},
                                    .swarm_secret = secret,
                                    .peer = {.node = peer.node_id(),
                                             .static_key = peer.static_public_key(),
                                             .root = peer.root_public_key()}},
                                   FixedClock().now());
            };
            auto from_ada = end(ada, bo, ada_rng);
            auto from_bo = end(bo, ada, bo_rng);
            auto const carry = [](PeerChannel& from, PeerChannel& to) -> base::Status {
                auto const bytes = base::to_bytes(from.outgoing());
                from.taken(bytes.size());
                return to.feed(bytes, FixedClock().now());
            };
            auto const session = [&]() -> base::Status {
                KITH_TRY(from_ada.offer(FixedClock().now()));
                while (!from_ada.outgoing().empty() || !from_bo.outgoing().empty()) {
                    KITH_TRY(carry(from_ada, from_bo));
                    KITH_TRY(carry(from_bo, from_ada));
                }
                return {};
            }();
            if (session) break;
            CHECK(session.error().code == Code::io);
            auto const& failed = broken == Who::offers ? from_ada : from_bo;
            CHECK_FALSE(failed.ready());
            CHECK(failed.outgoing().empty());
        }
        CHECK(draws == 4);  // ephemeral key, two for the KEM, the signature of the proof
    }
}

TEST_CASE("two signatures of the root over one message differ, and both are good") {
    auto const identity = new_identity();
    FailingRng rng(2);
    auto const message = base::as_bytes("the same words");
    std::array<crypto::MlDsa65Signature, 2> signatures{};
    for (auto& signature : signatures) {
        crypto::Secret<32> random;
        REQUIRE(rng.fill(random.mutable_view()).has_value());
        signature = identity.sign_root(identity::context::invite, message, random).value();
        CHECK(crypto::mldsa65_verify(identity.root_public_key(), message,
                                     base::as_bytes(identity::context::invite), signature));
    }
    CHECK(signatures[0] != signatures[1]);
}
