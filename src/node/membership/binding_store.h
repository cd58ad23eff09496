// node/membership/binding_store.h: what a node remembers of the members' bindings across restarts:
// per root the newest one seen (tables "binding_mark"), and evidence when a root has signed two
// bindings with one number (table "binding_evidence").
#pragma once

#include "ports/store.h"
#include "proto/membership/registry.h"

namespace kith::node {

inline constexpr std::size_t evidence_max = 32;  // bindings kept; the first ones stay

base::Result<proto::membership::BindingMarks> load_marks(ports::Store& store);
// Writes what differs from `before`.
base::Status save_marks(ports::Store& store, proto::membership::BindingMarks const& before,
                        proto::membership::BindingMarks const& after);

// Keeps one of two contradicting bindings; does nothing when it is there already, or at the limit.
base::Status keep_evidence(ports::Store& store, identity::RootId const& root,
                           base::ByteView binding);

}  // namespace kith::node
