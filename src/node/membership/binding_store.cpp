#include "node/membership/binding_store.h"

#include "crypto/hash.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace kith::node {

namespace membership = proto::membership;

namespace {
constexpr std::string_view mark_table = "binding_mark";
constexpr std::string_view evidence_table = "binding_evidence";
}  // namespace

base::Result<membership::BindingMarks> load_marks(ports::Store& store) {
    membership::BindingMarks marks;
    for (auto const& row : KITH_TRY(store.scan(mark_table, membership::binding_marks_max))) {
        wire::Reader key(row.key);
        wire::Reader value(row.value);
        identity::RootId const root{KITH_TRY(key.array<32>())};
        membership::BindingMark mark;
        mark.counter = KITH_TRY(value.u64());
        mark.digest = KITH_TRY(value.array<32>());
        marks.emplace(root, mark);
    }
    return marks;
}

base::Status save_marks(ports::Store& store, membership::BindingMarks const& before,
                        membership::BindingMarks const& after) {
    for (auto const& [root, mark] : before)
        if (!after.contains(root)) KITH_TRY(store.erase(mark_table, root.bytes));
    for (auto const& [root, mark] : after) {
        auto const known = before.find(root);
        if (known != before.end() && known->second == mark) continue;
        wire::Writer value;
        value.u64(mark.counter).bytes(mark.digest);
        KITH_TRY(store.put(mark_table, root.bytes, value.view()));
    }
    return {};
}

base::Status keep_evidence(ports::Store& store, identity::RootId const& root,
                           base::ByteView binding) {
    wire::Writer key;
    key.bytes(root.bytes).bytes(crypto::sha256(binding));
    if (KITH_TRY(store.get(evidence_table, key.view()))) return {};
    if (KITH_TRY(store.scan(evidence_table, evidence_max)).size() >= evidence_max) return {};
    return store.put(evidence_table, key.view(), binding);
}

}  // namespace kith::node
