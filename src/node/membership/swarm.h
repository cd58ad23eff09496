// node/membership/swarm.h: what a node knows about the swarm it is in, and how that survives a
// restart.
//
// Public facts go to the store (tables "swarm" and "list"), the secret to the secret store
// ("swarm.key"); nothing else of a swarm is kept (P26).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "crypto/secret.h"
#include "ports/secret_store.h"
#include "ports/store.h"
#include "proto/membership/member_list.h"

namespace kith::node {

inline constexpr std::size_t swarm_name_chars_max = 64;

struct Swarm {
    proto::membership::SwarmId id{};
    std::string name;
    identity::RootId operator_root;
    identity::PeerId coordinator;
    std::vector<std::string> coordinator_addresses;  // multiaddrs; for members
    bool is_coordinator = false;                     // this node runs the coordinator
    crypto::Secret<32> secret;                       // the epoch secret all members share
    std::uint64_t epoch = 0;                         // removals so far that changed the secret

    [[nodiscard]] proto::membership::ListChecker::Anchors anchors() const;
};

// 1 to 64 printable characters, no control characters; says what is wrong.
base::Status check_swarm_name(std::string_view name);

base::Status save_swarm(Swarm const& swarm, ports::Store& store, ports::SecretStore& secrets);
// nullopt: this machine is in no swarm. Code::corrupt when the parts do not fit together.
base::Result<std::optional<Swarm>> load_swarm(ports::Store& store, ports::SecretStore& secrets);

// The newest list, so that it never goes back across restarts.
base::Status save_list(ports::Store& store, base::ByteView encoded);
base::Result<std::optional<base::Bytes>> load_list(ports::Store& store);

// What a joiner is told about the swarm it has become a member of.
struct JoinedSwarm {
    proto::membership::SwarmId id{};
    std::string name;
    identity::Address operator_address;
    std::size_t members_count = 0;
};

}  // namespace kith::node
