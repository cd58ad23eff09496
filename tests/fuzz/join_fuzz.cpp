// tests/fuzz/join_fuzz.cpp: /kith/join/1.0.0, both ends: a joiner whose coordinator lies, and a
// coordinator whom strangers ask.
//
// First byte: 0 the joiner reads the input; 1 a true grant, with edits (fuzz_edits.h) of each of
// its parts in turn (before the list a byte: bit 0, the list is signed again by the coordinator's
// key, which may be in hostile hands; bit 1, the certificate is that of another invite); 2 the
// streams of a JoinDesk (class DeskBench); 3 a coordinator (class CoordinatorBench). Checked: what
// the joiner takes is what the operator's root and the token say, with no member that the root did
// not let in; a link's requests and answers are bounded; each list a coordinator makes is one that
// its members accept; an invite is not used more often than it says.
#include <google/protobuf/stubs/logging.h>

#include <map>
#include <optional>

#include "base/check.h"
#include "fuzz_edits.h"
#include "fuzz_swarm.h"
#include "node/link/proved_peer_test_support.h"
#include "node/membership/coordinator.h"
#include "node/membership/join_desk.h"
#include "node/membership/joiner.h"
#include "sim/chance.h"
#include "sim/disk.h"

using namespace kith;
using namespace kith::node;
namespace membership = proto::membership;

namespace {

constexpr std::uint8_t invite_fill = 21;  // of another invite of this operator: one more
constexpr std::uint32_t invite_uses = 1;

AuthenticatedPeer proved_alone(identity::Identity const& who) {
    sim::SeededRng rng{5};
    return proved(who, rng);
}

struct Scene {
    sim::SeededRng rng{31};
    identity::Identity op = fuzz::identity_of(1), alice = fuzz::identity_of(2),
                       bob = fuzz::identity_of(3);
    identity::Identity alice_renewed = fuzz::renewed(alice, tomorrow());
    AuthenticatedPeer alice_link = proved_alone(alice), bob_link = proved_alone(bob);
    Swarm swarm;
    sim::Disk::Image founded;  // the coordinator's disk, with one invite
    std::string token;
    wire::v1::JoinRequest request;
    wire::v1::Grant grant;
    crypto::Secret<32> epoch_secret = fuzz::secret_of<32>(9);

    static base::UnixTime tomorrow() { return base::UnixTime{base::seconds(fuzz::today) + 86400}; }
    Scene() {
        google::protobuf::SetLogHandler(nullptr);  // as the daemon does
        swarm.id = fuzz::swarm_id;
        swarm.name = "kin";
        swarm.operator_root = op.root_id();
        swarm.coordinator = op.peer_id();
        swarm.secret = fuzz::secret_of<32>(6);
        sim::Disk disk;
        auto coordinator = on(disk);
        token = coordinator
                    .create_invite({.uses_max = invite_uses, .note = {}}, swarm,
                                   {"/ip4/10.0.0.1/tcp/8810"}, fuzz::today)
                    .value()
                    .token;
        founded = disk.image();
        request = asked(joiner().request(alice, {"/ip4/10.0.0.2/tcp/8810"}));
        grant = coordinator.redeem(request, alice_link, swarm, fuzz::today).value();
        add_epoch();
    }
    [[nodiscard]] Coordinator on(sim::Disk& disk) {
        return Coordinator::create({.identity = op, .rng = rng, .store = disk}, swarm, fuzz::today)
            .value();
    }
    [[nodiscard]] Joiner joiner() const {
        return Joiner(membership::parse_token(token).value(), {});
    }
    static wire::v1::JoinRequest asked(base::ByteView framed) {
        wire::FrameReader reader(join_message_bytes_max);
        auto const frame = reader.next(framed).value().value();
        wire::v1::JoinRequest request;
        KITH_ASSERT(request.ParseFromArray(frame.data(), static_cast<int>(frame.size())));
        return request;
    }
    void add_epoch() {
        constexpr std::uint64_t epoch = 1;
        auto const body = membership::epoch_body(swarm.id, epoch, epoch_secret);
        auto const signature =
            op.sign_root(identity::context::epoch, body, fuzz::secret_of<32>(8)).value();
        auto const sealed = membership::seal_epoch({.swarm_id = swarm.id,
                                                    .epoch = epoch,
                                                    .root_id = alice.root_id(),
                                                    .static_key = alice.static_public_key()},
                                                   epoch_secret, fuzz::secret_of<32>(10))
                                .value();
        grant.mutable_epoch_secret()->set_epoch(epoch);
        grant.mutable_epoch_secret()->set_signature(base::to_text(signature));
        grant.mutable_epoch_secret()->set_sealed(base::to_text(sealed));
    }
    [[nodiscard]] bool has_only_known_members(base::Bytes const& list, base::UnixTime now) const {
        membership::ListChecker checker(swarm.anchors());
        auto const checked = checker.check(list, now);
        KITH_ASSERT(checked.has_value());
        return std::ranges::all_of(checked->members(), [this](auto const& member) {
            return member.root_id() == op.root_id() || member.root_id() == alice.root_id() ||
                   member.root_id() == bob.root_id();
        });
    }
};

Scene& scene() {
    static Scene made;
    return made;
}

base::Result<std::optional<JoinOutcome>> feed(Joiner& joiner, base::ByteView bytes) {
    std::size_t const piece = bytes.empty() ? 1 : 1 + bytes[0];
    while (!bytes.empty()) {
        auto const part = bytes.first(std::min(piece, bytes.size()));
        bytes = bytes.subspan(part.size());
        auto outcome = joiner.feed(part, scene().alice, fuzz::today);
        if (!outcome || *outcome) return outcome;
    }
    return std::optional<JoinOutcome>{};
}

void join_with(base::ByteView reply) {
    auto joiner = scene().joiner();
    auto const outcome = feed(joiner, reply);
    // Nobody has signed the input.
    KITH_ASSERT(!outcome || !*outcome);
}

bool edit(fuzz::FuzzInput& input, std::string* part) {
    auto const before = *part;
    *part = base::to_text(fuzz::edited(input, base::as_bytes(before)));
    return *part != before;
}

void join_with_edited(fuzz::FuzzInput& input) {
    auto grant = scene().grant;
    bool changed = edit(input, grant.mutable_certificate());
    changed = edit(input, grant.mutable_wrapped_secret()) || changed;
    changed = edit(input, grant.mutable_epoch_secret()->mutable_signature()) || changed;
    changed = edit(input, grant.mutable_epoch_secret()->mutable_sealed()) || changed;
    edit(input, grant.mutable_swarm_name());
    auto const choice = input.byte();
    if ((choice & 2) != 0) {
        static auto const other = fuzz::certificate_of(scene().op, invite_fill + 1, 5);
        grant.set_certificate(base::to_text(other));
        changed = true;
    }
    if ((choice & 1) != 0) {
        auto list = base::to_bytes(base::as_bytes(grant.member_list()));
        list.resize(list.size() - 64);
        list = fuzz::signed_list(fuzz::edited(input, list), scene().op);
        grant.set_member_list(base::to_text(list));
    } else {
        changed = edit(input, grant.mutable_member_list()) || changed;
    }
    wire::v1::JoinReply reply;
    *reply.mutable_grant() = grant;
    base::Bytes framed;
    wire::append_frame(framed, base::as_bytes(reply.SerializeAsString()));
    auto joiner = scene().joiner();
    auto const outcome = feed(joiner, framed);
    if (!outcome || !*outcome) {
        bool const is_true = grant.SerializeAsString() == scene().grant.SerializeAsString();
        KITH_ASSERT(!is_true);
        return;
    }
    KITH_ASSERT(!changed);
    auto const& joined = (*outcome)->swarm;
    KITH_ASSERT(joined.id == fuzz::swarm_id && joined.epoch == 1);
    KITH_ASSERT(check_swarm_name(joined.name).has_value());
    KITH_ASSERT(base::equal(joined.secret.view(), scene().epoch_secret.view()));
    KITH_ASSERT(scene().has_only_known_members((*outcome)->list, fuzz::today));
}

// Steps: what u8, which stream u8 (links 0 to 3, streams 0 to 7), then: 0 opened; 1 bytes (count
// u8); 2 a whole request; 3 gone; 4 the link is down; 5 all links take count u8 bytes.
class DeskBench {
public:
    void step(std::uint8_t verb, std::uint8_t which, fuzz::FuzzInput& input) {
        Carrier const at{.connection = ports::ConnectionId{1U + which / 8 % 4},
                         .stream = StreamId{which % 8U}};
        if (verb == 0 && !desk_.expects(at) && !answering(at)) {
            bool const opened = desk_.open(at);
            KITH_ASSERT(opened == (asked_[at.connection] < join_requests_max));
            if (opened) ++asked_[at.connection];
        }
        if (verb == 1) feed(at, base::as_bytes(input.text(input.byte())));
        base::Bytes framed;
        wire::append_frame(framed, base::Bytes(20, which));
        if (verb == 2) feed(at, framed);
        if (verb == 3) desk_.on_stream_gone(at);
        if (verb == 3 && answering(at)) answering_.erase(at.connection);
        if (verb == 4) down(at.connection);
        if (verb == 5) flush(input.byte());
        for (auto const& [id, stream] : answering_) KITH_ASSERT(desk_.has_unread_answer(id));
    }

private:
    [[nodiscard]] bool answering(Carrier const& at) const {
        auto const found = answering_.find(at.connection);
        return found != answering_.end() && found->second == at.stream;
    }
    void down(ports::ConnectionId id) {
        desk_.on_link_down(id);
        asked_.erase(id);
        answering_.erase(id);
        KITH_ASSERT(!desk_.is_asking(id) && !desk_.has_unread_answer(id));
    }
    void feed(Carrier const& at, base::ByteView bytes) {
        if (!desk_.expects(at)) return;
        auto const asked = desk_.feed(at, bytes);
        KITH_ASSERT(desk_.expects(at) == std::holds_alternative<JoinDesk::More>(asked));
        auto const* request = std::get_if<base::Bytes>(&asked);
        if (request == nullptr) return;
        KITH_ASSERT(request->size() <= join_message_bytes_max);
        KITH_ASSERT(!answering_.contains(at.connection));
        desk_.answer(at, base::Bytes(100, 1));
        answering_.emplace(at.connection, at.stream);
    }
    void flush(std::size_t room) {
        desk_.flush(
            [&](Carrier const& at, base::ByteView bytes) {
                KITH_ASSERT(answering(at));
                return std::min(room, bytes.size());
            },
            [&](Carrier const& at) { KITH_ASSERT(answering_.erase(at.connection) == 1); });
    }

    JoinDesk desk_;
    std::map<ports::ConnectionId, std::size_t> asked_;
    std::map<ports::ConnectionId, StreamId> answering_;
};

// Steps: what u8, then: 0 an invited one asks; 1 a member asks again (refresh); 2 a member shows a
// binding. Who asks u8 (bit 0), whose binding it shows (bits 1-2: alice's, bob's, alice's next),
// for whom its statement is (bit 3); then edits of lookup id, binding, statement and an address. 3
// a day passes.
class CoordinatorBench {
public:
    CoordinatorBench() { disk_.restore(scene().founded); }

    void step(std::uint8_t verb, fuzz::FuzzInput& input) {
        if (verb == 3) {
            now_ = base::UnixTime{base::seconds(now_) + 86400};
            return;
        }
        auto const choice = input.byte();
        bool const is_bob = (choice & 1) != 0;
        auto const& link = is_bob ? scene().bob_link : scene().alice_link;
        auto const request = made(choice, input);
        auto const version = coordinator_.list_version();
        if (verb == 0) {
            auto const grant = coordinator_.redeem(request, link, scene().swarm, now_);
            if (grant) joined_.insert(is_bob);
        }
        if (verb == 1) (void)coordinator_.refresh(request, link, scene().swarm, now_);
        if (verb == 2) (void)coordinator_.update_binding(base::as_bytes(request.binding()), now_);
        KITH_ASSERT(joined_.size() <= invite_uses);
        KITH_ASSERT(coordinator_.list_version() >= version);
        if (coordinator_.list_version() != version)
            KITH_ASSERT(scene().has_only_known_members(coordinator_.list(), now_));
        check_addresses(link.peer().node_id());
    }
    // What it stored it reads again.
    void restart() {
        auto const version = coordinator_.list_version();
        auto const again = scene().on(disk_);
        KITH_ASSERT(again.list_version() == version + 1);
        KITH_ASSERT(scene().has_only_known_members(again.list(), now_));
    }

private:
    static wire::v1::JoinRequest made(std::uint8_t choice, fuzz::FuzzInput& input) {
        identity::Identity const* const shown[] = {&scene().alice, &scene().bob,
                                                   &scene().alice_renewed};
        auto request = scene().request;
        auto const binding = identity::encode(shown[(choice >> 1) % 3]->binding());
        request.set_binding(base::to_text(binding));
        if ((choice & 8) != 0) {
            auto const framed = scene().joiner().request(scene().bob, {});
            request.set_statement_signature(Scene::asked(framed).statement_signature());
        }
        edit(input, request.mutable_lookup_id());
        edit(input, request.mutable_binding());
        edit(input, request.mutable_statement_signature());
        edit(input, request.mutable_addresses(0));
        for (int i = 0; i < choice >> 4; ++i)
            request.add_addresses("/ip4/10.0.0.3/tcp/" + std::to_string(i));
        return request;
    }
    void check_addresses(identity::NodeId const& node) const {
        auto const addresses = coordinator_.addresses_of(node);
        KITH_ASSERT(addresses.size() <= membership::token_addresses_max);
        for (auto const& address : addresses) KITH_ASSERT(address.size() <= 128);
    }

    sim::Disk disk_;
    Coordinator coordinator_ = scene().on(disk_);
    base::UnixTime now_ = fuzz::today;
    std::set<bool> joined_;  // is it bob?
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    fuzz::FuzzInput input(data, size);
    auto const kind = input.byte() % 4;
    if (kind == 0) join_with(base::as_bytes(input.text(size)));
    if (kind == 1) join_with_edited(input);
    if (kind == 2) {
        DeskBench bench;
        while (!input.is_empty()) {
            auto const verb = input.byte();
            bench.step(verb % 6, input.byte(), input);
        }
    }
    if (kind == 3) {
        CoordinatorBench bench;
        for (int steps = 0; !input.is_empty() && steps < 12; ++steps)
            bench.step(input.byte() % 4, input);
        bench.restart();
    }
    return 0;
}
