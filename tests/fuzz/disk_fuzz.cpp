// tests/fuzz/disk_fuzz.cpp: what a node reads back from its own store after a disk, a copy or
// somebody else had it in between.
//
// First byte: 0 the row of the swarm, 1 swarm.key, 2 the binding marks, 3 the pins of peers, 4 a
// member in the coordinator's log, 5 a revocation there, 6 a record of an invite, 7 a row of
// credit. Then the edits of a true one (fuzz_edits.h); in the credit row they come before its
// checksum when the next byte is odd. Checked: what is taken fits together and is stored and read
// again the same; a key of another swarm and a row that fails its check are refused.
// Elsewhere: trust_fuzz and kad_fuzz have the scores and the routing table, key_file_fuzz the keys.
#include "base/check.h"
#include "crypto/hash.h"
#include "feature/ask/credit_row.h"
#include "fuzz_edits.h"
#include "fuzz_swarm.h"
#include "node/membership/binding_store.h"
#include "node/membership/coordinator.h"
#include "node/peers/pairing.h"
#include "proto/credit/transaction.h"
#include "sim/chance.h"
#include "sim/disk.h"

using namespace kith;

namespace {

constexpr std::string_view key_file = "swarm.key";

struct Scene {
    identity::Identity op = fuzz::identity_of(1), alice = fuzz::identity_of(2);
    node::Swarm swarm;
    sim::Disk::Image image;

    Scene() {
        swarm.id = fuzz::swarm_id;
        swarm.name = "kin";
        swarm.operator_root = op.root_id();
        swarm.coordinator = op.peer_id();
        swarm.coordinator_addresses = {"/ip4/10.0.0.1/tcp/8810"};
        swarm.secret = fuzz::secret_of<32>(6);
        swarm.epoch = 3;
        sim::Disk disk;
        KITH_ASSERT(node::save_swarm(swarm, disk, disk).has_value());
        KITH_ASSERT(
            node::save_marks(disk, {}, {{alice.root_id(), {.counter = 4, .digest = {{1}}}}}));
        KITH_ASSERT(
            disk.put("pins", base::as_bytes("/ip4/10.0.0.1/tcp/8810"), alice.node_id().bytes));
        auto const entry = fuzz::entry_of(alice, fuzz::certificate_of(op, 21, 2), 21);
        KITH_ASSERT(
            disk.put("member", alice.root_id().bytes, proto::membership::encode_entry(entry)));
        sim::SeededRng rng{1};
        auto coordinator = node::Coordinator::create({.identity = op, .rng = rng, .store = disk},
                                                     swarm, fuzz::today)
                               .value();
        KITH_ASSERT(coordinator.create_invite({.note = {}}, swarm, swarm.coordinator_addresses,
                                              fuzz::today));
        KITH_ASSERT(coordinator.remove(fuzz::identity_of(3).root_id(), fuzz::today));
        image = disk.image();
    }
};

Scene const& scene() {
    static Scene const made;
    return made;
}

void edit_rows(fuzz::FuzzInput& input, sim::Disk::Image& image, std::string_view table) {
    for (auto& [place, value] : image.rows)
        if (place.first == table) value = fuzz::edited(input, value);
}

void read_swarm(sim::Disk& disk) {
    auto const swarm = node::load_swarm(disk, disk);
    if (!swarm || !*swarm) return;
    KITH_ASSERT((*swarm)->id == scene().swarm.id);  // the key is bound to it
    sim::Disk other;
    KITH_ASSERT(node::save_swarm(**swarm, other, other).has_value());
    auto const again = node::load_swarm(other, other);
    KITH_ASSERT(again.has_value() && again->has_value());
    KITH_ASSERT((*again)->name == (*swarm)->name && (*again)->epoch == (*swarm)->epoch);
    KITH_ASSERT((*again)->coordinator_addresses == (*swarm)->coordinator_addresses);
    KITH_ASSERT(base::equal((*again)->secret.view(), (*swarm)->secret.view()));
}

void read_marks(sim::Disk& disk) {
    auto const marks = node::load_marks(disk);
    if (!marks) return;
    sim::Disk other;
    KITH_ASSERT(node::save_marks(other, {}, *marks).has_value());
    KITH_ASSERT(node::load_marks(other).value() == *marks);
}

void read_pins(sim::Disk& disk) {
    auto const pairing = node::Pairing::create({.allow_list = {}}, disk);
    if (pairing) KITH_ASSERT(pairing->pins_count() == 1 && pairing->pinned().size() == 1);
}

// Nothing that the disk holds makes somebody a member.
void read_log(sim::Disk& disk) {
    sim::SeededRng rng{1};
    auto coordinator = node::Coordinator::create(
        {.identity = scene().op, .rng = rng, .store = disk}, scene().swarm, fuzz::today);
    if (!coordinator) return;
    KITH_ASSERT(coordinator->list_version() > 0);
    (void)coordinator->invites();
    proto::membership::ListChecker checker(scene().swarm.anchors());
    auto const list = checker.check(coordinator->list(), fuzz::today);
    if (!list) return;
    for (auto const& member : list->members())
        KITH_ASSERT(member.root_id() == scene().op.root_id() ||
                    member.root_id() == scene().alice.root_id());
}

base::Bytes true_row() {
    return ask::encode_row(
        {.account = {.earned = 500,
                     .spent = 20,
                     .sequence_to_it = 3,
                     .sequence_from_it = 4,
                     .last_receipt = base::Bytes(proto::credit::receipt_bytes, 2)},
         .owed = 7,
         .unpaid = 9,
         .request = {{3}},
         .offer = base::Bytes(proto::credit::offer_bytes, 1)});
}

void read_credit(fuzz::FuzzInput& input) {
    auto const row = true_row();
    bool const is_checked = input.byte() % 2 == 1;
    auto bytes = is_checked ? fuzz::edited(input, base::ByteView(row).first(row.size() - 32))
                            : fuzz::edited(input, row);
    if (is_checked) base::append(bytes, crypto::sha256(bytes));
    auto const read = ask::decode_row(bytes);
    if (!is_checked) KITH_ASSERT(read.has_value() == (bytes == row));
    if (read) KITH_ASSERT(ask::encode_row(*read) == bytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    fuzz::FuzzInput input(data, size);
    auto const kind = input.byte() % 8;
    auto image = scene().image;
    if (kind == 0) edit_rows(input, image, "swarm");
    if (kind == 1)
        image.secrets.at(std::string(key_file)) =
            fuzz::edited(input, image.secrets.at(std::string(key_file)));
    if (kind == 2) edit_rows(input, image, "binding_mark");
    if (kind == 3) edit_rows(input, image, "pins");
    if (kind == 4) edit_rows(input, image, "member");
    if (kind == 5) edit_rows(input, image, "revocation");
    if (kind == 6)
        for (auto& [id, invite] : image.invites) invite.record = fuzz::edited(input, invite.record);
    sim::Disk disk;
    disk.restore(std::move(image));
    if (kind <= 1) read_swarm(disk);
    if (kind == 2) read_marks(disk);
    if (kind == 3) read_pins(disk);
    if (kind >= 4 && kind <= 6) read_log(disk);
    if (kind == 7) read_credit(input);
    return 0;
}
