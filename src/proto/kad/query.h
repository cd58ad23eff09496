// proto/kad/query.h: one iterative lookup: from the peers we know, step by step, to those nearest
// to a key, over disjoint paths (Baumgart and Mies 2007, "S/Kademlia", 4.3) so that a liar on one
// path cannot steer the others (S88).
//
// It only decides whom to ask next; proto/kad/kad.h sends, waits and looks into the answers. Each
// peer is asked on one path only; what it answers is known to that path only. A peer is asked when
// it is among the nearest of its path that are left, and fewer than group_lookup_max of its network
// have been asked or are being asked: those nearest may all be one attacker's. A peer that fails is
// free again for the other paths, which may know a better address of it.
//
// A path has converged when the nearest peers it could ask have answered, its share of `results`.
// The lookup is finished when all paths have, or when the peer that is looked for has itself
// answered.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "proto/kad/key.h"
#include "proto/kad/message.h"
#include "proto/kad/network_group.h"

namespace kith::proto::kad {

inline constexpr std::size_t paths_max = 8;
inline constexpr std::size_t group_lookup_max = 3;  // peers of one network that one lookup asks
inline constexpr std::size_t path_peers_max = 256;  // known to one path
inline constexpr std::size_t path_group_peers_max = 16;  // of them, of one network
inline constexpr std::size_t path_asks_max = 60;
inline constexpr std::size_t answer_peers_max = 20;  // of one answer, the nearest first; k

struct LookupOptions {
    std::size_t paths = 3;      // d of S/Kademlia; fewer when fewer peers are known
    std::size_t results = 20;   // k: how many of the nearest shall have answered, over all paths
    std::size_t asks_max = 10;  // at once, over all paths: alpha of the specification
};

class Lookup {
public:
    struct Ask {
        PeerInfo peer;
        std::size_t path = 0;
    };
    struct Goal {
        Key target;
        std::optional<identity::PeerId> sought;  // the peer whose answer ends the lookup
    };

    // `seeds` are the nearest we know, dealt to the paths in turn; asserts 1 to paths_max paths.
    Lookup(LookupOptions options, Goal goal, std::vector<PeerInfo> const& seeds,
           GroupExempt const& exempt);

    // The next peer to ask, now; then exactly one on_answer or on_failed follows for it.
    std::optional<Ask> poll_ask();
    // `closer` is already filtered: no unusable addresses, not ourselves.
    void on_answer(identity::PeerId const& peer, std::size_t path, std::vector<PeerInfo> closer);
    void on_failed(identity::PeerId const& peer, std::size_t path);

    [[nodiscard]] bool is_finished() const;
    // The sought peer, at the address where it answered.
    [[nodiscard]] std::optional<PeerInfo> const& found() const { return found_; }
    // Those that answered on any path, the nearest first.
    [[nodiscard]] std::vector<PeerInfo> closest(std::size_t count) const;
    [[nodiscard]] std::size_t asks_count() const { return asks_out_; }  // without an answer yet

private:
    enum class State { waiting, asked, answered, failed };
    struct Candidate {
        PeerInfo peer;
        std::vector<NetworkGroup> groups;
        State state = State::waiting;
    };
    struct Path {
        std::map<Distance, Candidate> candidates;
        GroupCounter groups;
        std::size_t asks_out = 0;
        std::size_t asks_total = 0;
    };

    void learn(Path& path, PeerInfo peer);
    [[nodiscard]] bool is_sought(identity::PeerId const& peer) const;
    [[nodiscard]] bool may_ask(Candidate const& candidate) const;
    // The nearest that may be asked before the path converges; end(): none now.
    std::map<Distance, Candidate>::const_iterator next_of(Path const& path) const;
    Candidate* asked(identity::PeerId const& peer, std::size_t path);

    LookupOptions options_;
    Goal goal_;
    GroupExempt exempt_;
    std::vector<Path> paths_;
    std::size_t width_ = 0;                         // how many answers a path converges with
    std::size_t turn_ = 0;                          // the path whose turn it is
    std::map<identity::PeerId, std::size_t> used_;  // asked and not failed, and by which path
    GroupCounter groups_;                           // of used_
    std::size_t asks_out_ = 0;
    std::optional<PeerInfo> found_;
};

}  // namespace kith::proto::kad
