#include "proto/kad/query.h"

#include <algorithm>

#include "base/check.h"
#include "base/sabotage.h"

namespace kith::proto::kad {

using identity::PeerId;

Lookup::Lookup(LookupOptions options, Goal goal, std::vector<PeerInfo> const& seeds,
               GroupExempt const& exempt)
    : options_(options), goal_(std::move(goal)), exempt_(exempt) {
    KITH_ASSERT(options_.paths >= 1 && options_.paths <= paths_max);
    options_.paths = std::clamp<std::size_t>(seeds.size(), 1, options_.paths);
    // Switched off, everybody's answers go into one list, as in plain Kademlia.
    if (KITH_GUARD("S88.disjoint_paths", options_.paths == 1)) options_.paths = 1;
    paths_.resize(options_.paths);
    width_ = (options_.results + options_.paths - 1) / options_.paths;
    for (std::size_t i = 0; i < seeds.size(); ++i) learn(paths_[i % options_.paths], seeds[i]);
}

bool Lookup::is_sought(PeerId const& peer) const {
    return goal_.sought && *goal_.sought == peer;
}

void Lookup::learn(Path& path, PeerInfo peer) {
    auto const far = distance(Key::of(peer.id), goal_.target);
    auto const known = path.candidates.find(far);
    if (known != path.candidates.end()) {
        // The sought peer may be named with a false address first: keep all claims, within reason.
        auto& addresses = known->second.peer.addresses;
        for (auto& address : peer.addresses) {
            if (known->second.state == State::asked || addresses.size() >= addresses_kept_max)
                break;
            if (std::ranges::find(addresses, address) == addresses.end())
                addresses.push_back(std::move(address));
        }
        return;
    }
    auto groups = groups_of(peer.addresses, exempt_);
    if (!is_sought(peer.id) && !path.groups.has_room(groups, path_group_peers_max)) return;
    if (path.candidates.size() >= path_peers_max) {
        auto const last = std::prev(path.candidates.end());
        if (last->second.state != State::waiting || last->first < far) return;
        path.groups.remove(last->second.groups);
        path.candidates.erase(last);
    }
    path.groups.add(groups);
    path.candidates.emplace(far, Candidate{.peer = std::move(peer), .groups = std::move(groups)});
}

bool Lookup::may_ask(Candidate const& candidate) const {
    if (candidate.state != State::waiting) return false;
    if (is_sought(candidate.peer.id)) return true;
    if (used_.contains(candidate.peer.id)) return false;
    return KITH_GUARD("S88.lookup_groups", groups_.has_room(candidate.groups, group_lookup_max));
}

std::map<Distance, Lookup::Candidate>::const_iterator Lookup::next_of(Path const& path) const {
    std::size_t settled = 0;  // answered, or about to: nobody farther is asked for them
    if (path.asks_total >= path_asks_max) return path.candidates.end();
    for (auto at = path.candidates.begin(); at != path.candidates.end(); ++at) {
        if (settled >= width_) return path.candidates.end();
        if (may_ask(at->second)) return at;
        if (at->second.state == State::asked || at->second.state == State::answered) ++settled;
    }
    return path.candidates.end();
}

std::optional<Lookup::Ask> Lookup::poll_ask() {
    if (found_ || asks_out_ >= options_.asks_max) return std::nullopt;
    auto const share = (options_.asks_max + options_.paths - 1) / options_.paths;
    for (std::size_t tried = 0; tried < paths_.size(); ++tried) {
        auto const index = turn_++ % paths_.size();
        auto& path = paths_[index];
        if (path.asks_out >= share) continue;
        auto const next = next_of(path);
        if (next == path.candidates.end()) continue;
        auto& candidate = path.candidates.at(next->first);
        candidate.state = State::asked;
        if (!is_sought(candidate.peer.id)) {
            used_.emplace(candidate.peer.id, index);
            groups_.add(candidate.groups);
        }
        ++path.asks_out;
        ++path.asks_total;
        ++asks_out_;
        return Ask{.peer = candidate.peer, .path = index};
    }
    return std::nullopt;
}

Lookup::Candidate* Lookup::asked(PeerId const& peer, std::size_t path) {
    KITH_ASSERT(path < paths_.size());
    auto const found = paths_[path].candidates.find(distance(Key::of(peer), goal_.target));
    KITH_ASSERT(found != paths_[path].candidates.end() && found->second.state == State::asked);
    --paths_[path].asks_out;
    --asks_out_;
    return &found->second;
}

void Lookup::on_answer(PeerId const& peer, std::size_t path, std::vector<PeerInfo> closer) {
    auto* const candidate = asked(peer, path);
    candidate->state = State::answered;
    if (is_sought(peer)) found_ = candidate->peer;
    if (closer.size() > answer_peers_max) {
        std::ranges::sort(closer, {}, [this](PeerInfo const& one) {
            return distance(Key::of(one.id), goal_.target);
        });
        closer.resize(answer_peers_max);
    }
    for (auto& one : closer) learn(paths_[path], std::move(one));
}

void Lookup::on_failed(PeerId const& peer, std::size_t path) {
    auto* const candidate = asked(peer, path);
    candidate->state = State::failed;
    if (is_sought(peer)) return;
    groups_.remove(candidate->groups);
    used_.erase(peer);
}

bool Lookup::is_finished() const {
    if (found_) return true;
    if (asks_out_ > 0) return false;
    return std::ranges::all_of(
        paths_, [this](Path const& path) { return next_of(path) == path.candidates.end(); });
}

std::vector<PeerInfo> Lookup::closest(std::size_t count) const {
    std::map<Distance, PeerInfo const*> answered;
    for (auto const& path : paths_)
        for (auto const& [far, candidate] : path.candidates)
            if (candidate.state == State::answered) answered.emplace(far, &candidate.peer);
    std::vector<PeerInfo> out;
    for (auto const& [far, peer] : answered) {
        if (out.size() == count) break;
        out.push_back(*peer);
    }
    return out;
}

}  // namespace kith::proto::kad
