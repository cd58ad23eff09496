#include <doctest/doctest.h>

#include "base/code_of.h"
#include "identity/contexts.h"
#include "identity/identity.h"
#include "proto/membership/registry.h"
#include "proto/membership/secret_wrap.h"

using namespace kith;
using namespace kith::proto::membership;
using namespace std::chrono_literals;

namespace {

base::UnixTime constexpr unix_now{1'800'000'000};

template <std::size_t N>
crypto::Secret<N> secret(std::uint8_t value) {
    base::ByteArray<N> bytes;
    bytes.fill(value);
    return crypto::Secret<N>(bytes);
}

identity::Identity person(std::uint8_t seed) {
    base::ByteArray<identity::identity_random_bytes> random;
    for (std::size_t i = 0; i < random.size(); ++i)
        random[i] = static_cast<std::uint8_t>(seed * 7 + i);
    return identity::Identity::create(crypto::Secret<identity::identity_random_bytes>(random),
                                      unix_now)
        .value();
}

// An operator's swarm, with everything a coordinator would do, by hand.
struct Bench {
    identity::Identity op = person(1);
    SwarmId swarm_id{{7, 7, 7}};
    std::uint64_t version = 0;

    Token token(std::uint8_t seed) {
        Token token;
        token.swarm_id = swarm_id;
        token.operator_root = op.root_id();
        token.coordinator = op.peer_id();
        token.addresses = {"/ip4/127.0.0.1/tcp/8810"};
        token.expires = base::UnixTime{base::seconds(unix_now) + 3600};
        token.seed = secret<32>(seed);
        return token;
    }
    base::Bytes certificate(TokenKeys const& keys, std::uint32_t uses_max,
                            identity::Identity const& signer) {
        auto body = certificate_body({.swarm_id = swarm_id,
                                      .lookup_id = keys.lookup_id,
                                      .invite_public_key = keys.invite_key.public_key(),
                                      .uses_max = uses_max,
                                      .created = unix_now});
        base::append(body,
                     signer.sign_root(identity::context::invite, body, secret<32>(9)).value());
        return body;
    }
    Entry entry(identity::Identity const& joiner, std::uint8_t seed, std::uint32_t uses_max = 1) {
        auto const keys = derive_token_keys(secret<32>(seed));
        Entry entry{.binding = identity::encode(joiner.binding()),
                    .certificate = certificate(keys, uses_max, op),
                    .joined = unix_now};
        entry.statement_signature =
            keys.invite_key.sign(join_statement(swarm_id, keys.lookup_id, joiner.root_id()));
        return entry;
    }
    base::Bytes list(std::vector<Entry> entries, std::vector<Revocation> revocations = {}) {
        MemberList list{.swarm_id = swarm_id,
                        .version = ++version,
                        .issued = unix_now,
                        .operator_binding = identity::encode(op.binding()),
                        .entries = std::move(entries),
                        .revocations = std::move(revocations)};
        return sign(encode_list_body(list), op);
    }
    static base::Bytes sign(base::Bytes body, identity::Identity const& signer) {
        auto const signature = signer.sign_operational(list_statement(body));
        return append_list_signature(std::move(body), signature);
    }
    ListChecker::Anchors anchors() {
        return {
            .swarm_id = swarm_id, .operator_root = op.root_id(), .coordinator_key = op.node_id()};
    }
    base::Bytes fresh(Nonce const& nonce, VerifiedList const& list) {
        return encode_fresh(
            nonce, list.version(), list.hash(),
            op.sign_operational(fresh_statement(swarm_id, nonce, list.version(), list.hash())));
    }
};

base::Instant at(base::Duration since) {
    return base::Instant{} + since;
}

}  // namespace

TEST_CASE("a token comes back as it was made, and any changed character is noticed") {
    Bench bench;
    auto const text = format_token(bench.token(3));
    CHECK(text.starts_with("kith1"));
    CHECK(text.size() < 400);
    auto const parsed = parse_token(text);
    REQUIRE(parsed.has_value());
    CHECK(parsed->swarm_id == bench.swarm_id);
    CHECK(parsed->coordinator == bench.op.peer_id());
    CHECK(parsed->addresses.size() == 1);
    for (std::size_t i = 0; i < text.size(); ++i) {
        auto changed = text;
        changed[i] = changed[i] == 'A' ? 'B' : 'A';
        CHECK_FALSE(parse_token(changed).has_value());
    }
    for (std::size_t size = 0; size < text.size(); ++size)
        CHECK_FALSE(parse_token(text.substr(0, size)).has_value());
    CHECK_FALSE(parse_token(std::string(token_chars_max + 1, 'k')).has_value());
}

TEST_CASE("P10: the wrapped secret opens with the token and with nothing else") {
    auto const wrapped = wrap_secret(secret<32>(1), SwarmId{{1}}, secret<32>(42), {}).value();
    CHECK(wrapped.size() == wrapped_secret_bytes);
    CHECK(base::equal(unwrap_secret(secret<32>(1), SwarmId{{1}}, wrapped).value().view(),
                      secret<32>(42).view()));
    CHECK_FALSE(unwrap_secret(secret<32>(2), SwarmId{{1}}, wrapped).has_value());
    CHECK_FALSE(unwrap_secret(secret<32>(1), SwarmId{{2}}, wrapped).has_value());
    for (std::size_t i = 0; i < wrapped.size(); ++i) {
        auto forged = wrapped;
        forged[i] ^= 1;
        CHECK_FALSE(unwrap_secret(secret<32>(1), SwarmId{{1}}, forged).has_value());
    }
}

TEST_CASE("P4: a member list proves every member by operator, invite and binding") {
    Bench bench;
    auto const ada = person(2);
    ListChecker checker(bench.anchors());
    auto const list = checker.check(bench.list({bench.entry(ada, 3)}), unix_now);
    REQUIRE(list.has_value());
    CHECK(list->members().size() == 2);
    CHECK(list->members().front().is_operator());
    REQUIRE(list->find(ada.node_id()) != nullptr);
    CHECK(list->find(ada.node_id())->static_key() == ada.static_public_key());
    CHECK(list->find(person(9).node_id()) == nullptr);
}

TEST_CASE("P4: the coordinator cannot add a member whom no invite of the operator names") {
    Bench bench;
    auto const mallory = person(5);
    auto entry = bench.entry(mallory, 3);
    auto const keys = derive_token_keys(secret<32>(3));
    entry.certificate =
        bench.certificate(keys, 1, mallory);  // signed by somebody's root, not the operator's
    CHECK(base::code_of(ListChecker(bench.anchors()).check(bench.list({entry}), unix_now)) ==
          base::Code::unauthorized);

    auto stolen = bench.entry(person(2), 3);  // a good chain for another person's binding
    stolen.binding = identity::encode(mallory.binding());
    CHECK(base::code_of(ListChecker(bench.anchors()).check(bench.list({stolen}), unix_now)) ==
          base::Code::unauthorized);
}

TEST_CASE("P16: an invite for one names one member, whatever the coordinator says") {
    Bench bench;
    auto const two = bench.list({bench.entry(person(2), 3), bench.entry(person(4), 3)});
    CHECK(base::code_of(ListChecker(bench.anchors()).check(two, unix_now)) ==
          base::Code::unauthorized);
    auto const allowed = bench.list({bench.entry(person(2), 3, 2), bench.entry(person(4), 3, 2)});
    CHECK(ListChecker(bench.anchors()).check(allowed, unix_now).has_value());
}

TEST_CASE(
    "P4: lists of another coordinator or another swarm are refused, and so is every flipped byte") {
    Bench bench;
    auto const good = bench.list({bench.entry(person(2), 3)});
    ListChecker checker(bench.anchors());
    auto other_swarm = bench.anchors();
    other_swarm.swarm_id[0] ^= 1;
    CHECK_FALSE(ListChecker(other_swarm).check(good, unix_now).has_value());
    auto other_operator = bench.anchors();
    other_operator.operator_root = person(8).root_id();
    CHECK_FALSE(ListChecker(other_operator).check(good, unix_now).has_value());
    auto const body = base::Bytes(good.begin(), good.end() - 64);
    CHECK_FALSE(checker.check(Bench::sign(body, person(6)), unix_now).has_value());
    Bench sibling;  // the same operator and coordinator, another swarm: every signature is good
    sibling.swarm_id = SwarmId{{9, 9, 9}};
    CHECK_FALSE(checker.check(sibling.list({}), unix_now).has_value());
    for (std::size_t i = 0; i < good.size(); i += 37) {
        auto forged = good;
        forged[i] ^= 0x40;
        CHECK_FALSE(checker.check(forged, unix_now).has_value());
    }
}

TEST_CASE("P5: a revoked member is on no list any more, and only the operator can revoke") {
    Bench bench;
    auto const ada = person(2);
    auto const body = revocation_body(bench.swarm_id, ada.root_id(), unix_now);
    auto const by = [&](identity::Identity const& signer) {
        return Revocation{
            .root_id = ada.root_id(),
            .time = unix_now,
            .signature = base::to_bytes(
                signer.sign_root(identity::context::revocation, body, secret<32>(1)).value())};
    };
    auto const list = ListChecker(bench.anchors())
                          .check(bench.list({bench.entry(ada, 3)}, {by(bench.op)}), unix_now);
    REQUIRE(list.has_value());
    CHECK(list->find(ada.node_id()) == nullptr);
    CHECK_FALSE(ListChecker(bench.anchors())
                    .check(bench.list({bench.entry(ada, 3)}, {by(person(6))}), unix_now)
                    .has_value());
}

TEST_CASE("P5: a member whose binding ran out is no member any more, and the others stay") {
    Bench bench;
    auto const ada = person(2);
    base::UnixTime const later{base::seconds(unix_now) + identity::binding_validity_seconds};
    auto ben = person(4);
    REQUIRE(bench.op.renew(later, secret<32>(1)).has_value());
    REQUIRE(ben.renew(later, secret<32>(1)).has_value());
    auto const list = ListChecker(bench.anchors())
                          .check(bench.list({bench.entry(ada, 3), bench.entry(ben, 5)}), later);
    REQUIRE(list.has_value());
    CHECK(list->find(ada.node_id()) == nullptr);
    CHECK(list->find(ben.node_id()) != nullptr);
    // The invite of the one who left is still used up.
    auto const reused = bench.list({bench.entry(ada, 3), bench.entry(ben, 3)});
    CHECK_FALSE(ListChecker(bench.anchors()).check(reused, later).has_value());
}

TEST_CASE("E5: renewed and exchanged keys keep their place by the statement of the first day") {
    Bench bench;
    auto ada = person(2);
    auto entry = bench.entry(ada, 3);
    auto const old_node = ada.node_id();
    base::UnixTime const later{base::seconds(unix_now) + 29 * 86'400};
    REQUIRE(ada.renew(later, secret<32>(1)).has_value());
    REQUIRE(ada.rotate(later, secret<identity::rotation_random_bytes>(5)).has_value());
    REQUIRE(bench.op.renew(later, secret<32>(1)).has_value());
    CHECK(ada.node_id() != old_node);
    entry.binding = identity::encode(ada.binding());
    base::UnixTime const after_the_first{base::seconds(unix_now) + 31 * 86'400};
    auto const list = ListChecker(bench.anchors()).check(bench.list({entry}), after_the_first);
    REQUIRE(list.has_value());
    REQUIRE(list->find(ada.node_id()) != nullptr);
    CHECK(list->find(ada.node_id())->mark().counter == 3);
    CHECK(list->find(ada.node_id())->static_key() == ada.static_public_key());
    CHECK(list->find(old_node) == nullptr);
    // Somebody else's binding has no place by it.
    entry.binding = identity::encode(person(4).binding());
    CHECK_FALSE(ListChecker(bench.anchors()).check(bench.list({entry}), unix_now).has_value());
}

TEST_CASE("E5: keys that were replaced are not served again, whatever a later list says") {
    Bench bench;
    auto ada = person(2);
    auto const stolen = ada.node_id();
    auto const before = bench.entry(ada, 3);
    REQUIRE(ada.rotate(unix_now, secret<identity::rotation_random_bytes>(5)).has_value());
    auto after = before;
    after.binding = identity::encode(ada.binding());
    Registry registry(bench.anchors());
    registry.grant_own_lease();
    REQUIRE(registry.offer(bench.list({after}), unix_now).value());
    CHECK(registry.serveable(ada.node_id(), at(0s)) != nullptr);
    REQUIRE(registry.offer(bench.list({before, bench.entry(person(4), 5)}), unix_now).value());
    CHECK(registry.serveable(stolen, at(0s)) == nullptr);
    CHECK(registry.serveable(person(4).node_id(), at(0s)) != nullptr);  // the others stay
    REQUIRE(registry.list()->conflicts().size() == 1);
    CHECK(registry.list()->conflicts()[0].conflict == Conflict::replaced);
    // Also after a restart, which keeps the marks, and when the member was left out meanwhile.
    Registry restarted(bench.anchors());
    restarted.grant_own_lease();
    restarted.remember(registry.marks());
    REQUIRE(restarted.offer(bench.list({}), unix_now).value());
    REQUIRE(restarted.offer(bench.list({before}), unix_now).value());
    CHECK(restarted.serveable(stolen, at(0s)) == nullptr);
}

TEST_CASE("E5: of two bindings with one number neither is served, and the second is evidence") {
    Bench bench;
    auto ada = person(2);
    auto copy = person(2);
    auto one = bench.entry(ada, 3);
    auto two = one;
    REQUIRE(ada.renew(unix_now, secret<32>(1)).has_value());
    REQUIRE(copy.renew(base::UnixTime{base::seconds(unix_now) + 1}, secret<32>(1)).has_value());
    one.binding = identity::encode(ada.binding());
    two.binding = identity::encode(copy.binding());
    Registry registry(bench.anchors());
    registry.grant_own_lease();
    REQUIRE(registry.offer(bench.list({one}), unix_now).value());
    REQUIRE(registry.offer(bench.list({two}), unix_now).value());
    CHECK(registry.serveable(ada.node_id(), at(0s)) == nullptr);
    REQUIRE(registry.list()->conflicts().size() == 1);
    CHECK(registry.list()->conflicts()[0].conflict == Conflict::equivocation);
    CHECK(registry.list()->conflicts()[0].binding == two.binding);
    // The way out is a binding with a higher number.
    REQUIRE(ada.rotate(unix_now, secret<identity::rotation_random_bytes>(5)).has_value());
    one.binding = identity::encode(ada.binding());
    REQUIRE(registry.offer(bench.list({one}), unix_now).value());
    CHECK(registry.serveable(ada.node_id(), at(0s)) != nullptr);
}

TEST_CASE("E5: a list with a replaced or a second binding of the operator is refused whole") {
    Bench bench;
    auto old_operator = person(1);
    (void)bench.list({});  // version 1 is one that nobody has seen
    REQUIRE(bench.op.renew(unix_now, secret<32>(1)).has_value());
    Registry registry(bench.anchors());
    REQUIRE(registry.offer(bench.list({}), unix_now).value());
    std::swap(bench.op, old_operator);
    CHECK(base::code_of(registry.offer(bench.list({}), unix_now)) == base::Code::corrupt);
    REQUIRE(bench.op.renew(base::UnixTime{base::seconds(unix_now) + 5}, secret<32>(1)).has_value());
    CHECK(base::code_of(registry.offer(bench.list({}), unix_now)) == base::Code::corrupt);
    CHECK(registry.list()->version() == 2);
}

TEST_CASE("E5: who was checked while his binding was valid is no member once it has run out") {
    Bench bench;
    auto const ada = person(2);
    Registry registry(bench.anchors());
    registry.grant_own_lease();
    REQUIRE(registry.offer(bench.list({bench.entry(ada, 3)}), unix_now).value());
    auto const end = base::seconds(ada.binding().body.not_after);
    CHECK_FALSE(registry.reconsider(base::UnixTime{end - 1}));
    CHECK(registry.serveable(ada.node_id(), at(0s)) != nullptr);
    CHECK(registry.reconsider(base::UnixTime{end}));
    CHECK(registry.serveable(ada.node_id(), at(0s)) == nullptr);
    CHECK(registry.list()->members().size() == 1);  // the operator stays the head of the list
}

TEST_CASE(
    "E5: a stored list is taken after the operator's binding ran out, an offered one is not") {
    Bench bench;
    auto const ada = person(2);
    auto const list = bench.list({bench.entry(ada, 3)});
    auto const later = base::UnixTime{base::seconds(bench.op.binding().body.not_after) + 1};
    Registry offered(bench.anchors());
    CHECK(base::code_of(offered.offer(list, later)) == base::Code::unauthorized);
    Registry restored(bench.anchors());
    REQUIRE(restored.restore(list, later).has_value());
    CHECK(restored.list()->members().size() == 1);  // the operator; ada's has run out as well
    CHECK(restored.reconsider(unix_now));           // the clock was wrong
    CHECK(restored.list()->find(ada.node_id()) != nullptr);
    CHECK_FALSE(restored.has_lease(at(0s)));
}

TEST_CASE("a binding that is not valid yet by this clock does not take the list away from others") {
    Bench bench;
    auto ada = person(2);
    auto entry = bench.entry(ada, 3);
    REQUIRE(ada.renew(base::UnixTime{base::seconds(unix_now) + 86'400}, secret<32>(1)).has_value());
    entry.binding = identity::encode(ada.binding());
    auto const list = ListChecker(bench.anchors())
                          .check(bench.list({entry, bench.entry(person(4), 5)}), unix_now);
    REQUIRE(list.has_value());
    CHECK(list->find(ada.node_id()) == nullptr);
    CHECK(list->find(person(4).node_id()) != nullptr);
}

TEST_CASE("marks of roots that are no members are forgotten past the limit, members' are not") {
    Bench bench;
    auto const ada = person(2);
    for (auto const& [strangers, kept] : {std::pair{binding_marks_max - 2, binding_marks_max},
                                          {binding_marks_max, binding_marks_max}}) {
        BindingMarks marks;
        for (std::uint32_t i = 0; i < strangers; ++i) {
            identity::RootId root;
            base::store_be<std::uint32_t>(std::span(root.bytes).first<4>(), i);
            marks[root] = {.counter = 1};
        }
        Registry registry(bench.anchors());
        registry.remember(std::move(marks));
        REQUIRE(registry.offer(bench.list({bench.entry(ada, 3)}), unix_now).value());
        CHECK(registry.marks().size() == kept);
        CHECK(registry.marks().contains(ada.root_id()));
        CHECK(registry.marks().contains(bench.op.root_id()));
    }
}

TEST_CASE("P5: a list never goes back, and two lists of one version raise an alarm") {
    Bench bench;
    Registry registry(bench.anchors());
    auto const first = bench.list({});
    auto const second = bench.list({bench.entry(person(2), 3)});
    CHECK(registry.offer(second, unix_now).value());
    CHECK(base::code_of(registry.offer(first, unix_now)) == base::Code::conflict);
    CHECK_FALSE(registry.offer(second, unix_now).value());
    --bench.version;
    auto const twin = bench.list({});
    CHECK(base::code_of(registry.offer(twin, unix_now)) == base::Code::corrupt);
    CHECK(registry.list()->members().size() == 2);
}

TEST_CASE("P5: a later list that has forgotten a removal is refused, so nobody comes back by it") {
    Bench bench;
    auto const ada = person(2);
    Registry registry(bench.anchors());
    Revocation revocation{.root_id = ada.root_id(), .time = unix_now};
    revocation.signature = base::to_bytes(
        bench.op
            .sign_root(identity::context::revocation,
                       revocation_body(bench.swarm_id, ada.root_id(), unix_now), secret<32>(9))
            .value());
    auto const removed = bench.list({bench.entry(ada, 3)}, {revocation});
    auto const forgotten = bench.list({bench.entry(ada, 3)});
    auto const kept = bench.list({bench.entry(ada, 3)}, {revocation});
    REQUIRE(registry.offer(removed, unix_now).value());
    CHECK(base::code_of(registry.offer(forgotten, unix_now)) == base::Code::corrupt);
    CHECK(registry.list()->find(ada.node_id()) == nullptr);
    CHECK(base::code_of(registry.offer(kept, unix_now)) == std::nullopt);
}

TEST_CASE("P5: the lease counts from the moment the poll was sent and ends after 29 s") {
    Bench bench;
    auto const ada = person(2);
    Registry registry(bench.anchors());
    REQUIRE(registry.offer(bench.list({bench.entry(ada, 3)}), unix_now).value());
    CHECK(registry.serveable(ada.node_id(), at(0s)) == nullptr);  // a list from disk is no lease
    CHECK(registry.poll_due(at(0s)));
    Nonce const nonce{{1, 2, 3}};
    registry.poll_sent(nonce, at(10s));
    CHECK_FALSE(registry.poll_due(at(17s)));
    CHECK(registry.poll_due(at(18s)));
    REQUIRE(registry.poll_answered(bench.fresh(nonce, *registry.list())).has_value());
    CHECK(registry.serveable(ada.node_id(), at(38s)) != nullptr);
    CHECK(registry.serveable(ada.node_id(), at(39s)) == nullptr);
}

TEST_CASE("P5: answers to other polls, of other coordinators and of other lists give no lease") {
    Bench bench;
    Registry registry(bench.anchors());
    REQUIRE(registry.offer(bench.list({}), unix_now).value());
    Nonce const nonce{{1}};
    Nonce const other{{2}};
    auto const& list = *registry.list();
    CHECK_FALSE(registry.poll_answered(bench.fresh(nonce, list)).has_value());  // nothing was asked
    registry.poll_sent(nonce, at(0s));
    CHECK_FALSE(registry.poll_answered(bench.fresh(other, list)).has_value());
    auto const forged = encode_fresh(nonce, list.version(), list.hash(),
                                     person(6).sign_operational(fresh_statement(
                                         bench.swarm_id, nonce, list.version(), list.hash())));
    CHECK_FALSE(registry.poll_answered(forged).has_value());
    auto const newer = encode_fresh(
        nonce, 99, list.hash(),
        bench.op.sign_operational(fresh_statement(bench.swarm_id, nonce, 99, list.hash())));
    CHECK_FALSE(registry.poll_answered(newer).has_value());
    CHECK_FALSE(registry.has_lease(at(0s)));
    REQUIRE(registry.poll_answered(bench.fresh(nonce, list)).has_value());
    CHECK_FALSE(registry.poll_answered(bench.fresh(nonce, list)).has_value());  // once
    CHECK(registry.has_lease(at(1s)));
}
