#include "proto/gossip/peer_score.h"

#include <algorithm>
#include <cmath>

#include "proto/gossip/limits.h"

namespace kith::proto::gossip {

using base::Duration;
using base::Instant;
using identity::PeerId;

namespace {

double seconds_of(Duration duration) {
    return std::chrono::duration<double>(duration).count();
}

void fade(double& counter, double factor) {
    counter *= factor;
    if (counter < decay_to_zero) counter = 0;
}

bool is_loopback(std::string const& ip) {
    return ip == "::1" || ip.starts_with("127.") || ip.starts_with("::ffff:127.");
}

}  // namespace

PeerScore::PeerScore(ScoreParams params, Instant now)
    : params_(std::move(params)), decay_next_(now + decay_interval) {}

void PeerScore::add(PeerId const& peer, std::string ip, Instant) {
    auto& kept = peers_[peer];
    kept.gone_since.reset();
    kept.ip = std::move(ip);
    kept.shares_ip_freely = is_spared(kept.ip);
    auto& count = connected_per_ip_[kept.ip];
    ++count;
    kept.at_ip_count = &count;
}

void PeerScore::remove(PeerId const& peer, Instant now) {
    auto const found = peers_.find(peer);
    if (found == peers_.end() || found->second.gone_since) return;
    for (auto& [name, topic] : found->second.topics) left_mesh(peer, name, now);
    auto const at_ip = connected_per_ip_.find(found->second.ip);
    if (--at_ip->second == 0) connected_per_ip_.erase(at_ip);
    found->second.at_ip_count = nullptr;
    found->second.gone_since = now;  // its address counts no more
    // Good deeds end with the connection, bad ones do not: leaving and coming back is no pardon.
    if (score(peer, now) >= 0) {
        peers_.erase(found);
        return;
    }
    for (auto& [name, topic] : found->second.topics) topic.first = topic.mesh = 0;
    drop_retained();
}

std::size_t PeerScore::retained_count() const {
    return static_cast<std::size_t>(std::ranges::count_if(
        peers_, [](auto const& entry) { return entry.second.gone_since.has_value(); }));
}

void PeerScore::drop_retained() {
    if (retained_count() <= retained_max) return;
    auto oldest = peers_.end();
    for (auto entry = peers_.begin(); entry != peers_.end(); ++entry)
        if (entry->second.gone_since &&
            (oldest == peers_.end() || *entry->second.gone_since < *oldest->second.gone_since))
            oldest = entry;
    peers_.erase(oldest);
}

PeerScore::Topic* PeerScore::topic_of(PeerId const& peer, std::string const& topic) {
    auto const found = peers_.find(peer);
    if (found == peers_.end()) return nullptr;
    auto const known = found->second.topics.find(topic);
    if (known != found->second.topics.end()) return &known->second;
    if (found->second.topics.size() >= topics_max) return nullptr;
    return &found->second.topics[topic];
}

void PeerScore::joined_mesh(PeerId const& peer, std::string const& topic, Instant now) {
    auto* const known = topic_of(peer, topic);
    if (!known) return;
    known->in_mesh_since = now;
    known->mesh = 0;
}

void PeerScore::left_mesh(PeerId const& peer, std::string const& topic, Instant now) {
    auto* const known = topic_of(peer, topic);
    if (!known || !known->in_mesh_since) return;
    auto const missing = deficit(*known, now);
    known->mesh_failure = std::min(counter_max, known->mesh_failure + missing * missing);
    known->in_mesh_since.reset();
}

void PeerScore::delivered_first(PeerId const& peer, std::string const& topic) {
    auto* const known = topic_of(peer, topic);
    if (!known) return;
    known->first = std::min(params_.p2_max, known->first + 1);
    if (known->in_mesh_since) known->mesh = std::min(params_.p3_max, known->mesh + 1);
}

void PeerScore::delivered_again(PeerId const& peer, std::string const& topic, Duration late) {
    auto* const known = topic_of(peer, topic);
    if (!known || !known->in_mesh_since || late > params_.p3_window) return;
    known->mesh = std::min(params_.p3_max, known->mesh + 1);
}

void PeerScore::delivered_invalid(PeerId const& peer, std::string const& topic) {
    if (auto* const known = topic_of(peer, topic))
        known->invalid = std::min(counter_max, known->invalid + 1);
}

void PeerScore::misbehaved(PeerId const& peer, double times) {
    auto const found = peers_.find(peer);
    if (found == peers_.end()) return;
    found->second.behaviour = std::min(counter_max, found->second.behaviour + times);
}

void PeerScore::set_owner_score(PeerId const& peer, double value) {
    auto const found = peers_.find(peer);
    if (found == peers_.end()) return;
    found->second.owner =
        std::isnan(value) ? 0 : std::clamp(value, -params_.p5_limit, params_.p5_limit);
}

void PeerScore::decay(Instant now) {
    if (now < decay_next_) return;
    decay_next_ = now + decay_interval;
    std::erase_if(peers_, [now](auto const& entry) {
        return entry.second.gone_since && now - *entry.second.gone_since >= retained_for;
    });
    for (auto& [id, peer] : peers_) {
        if (peer.gone_since) continue;  // punishment does not run out while away
        fade(peer.behaviour, params_.p7_decay);
        for (auto& [name, topic] : peer.topics) {
            fade(topic.first, params_.p2_decay);
            fade(topic.mesh, params_.p3_decay);
            fade(topic.mesh_failure, params_.p3b_decay);
            fade(topic.invalid, params_.p4_decay);
        }
        // Topics we left make room for new ones.
        std::erase_if(peer.topics, [](auto const& entry) {
            auto const& topic = entry.second;
            return !topic.in_mesh_since &&
                   topic.first + topic.mesh + topic.mesh_failure + topic.invalid == 0;
        });
    }
}

double PeerScore::score(PeerId const& peer, Instant now) const {
    auto const found = peers_.find(peer);
    if (found == peers_.end()) return 0;
    auto const& known = found->second;
    double positive = 0;
    double sum = 0;
    for (auto const& [name, topic] : known.topics) sum += of_topic(topic, now, positive);
    sum += std::min(positive, params_.positive_max);
    sum += params_.p5_weight * known.owner;
    sum += of_address(known);
    sum += params_.p7_weight * known.behaviour * known.behaviour;
    return std::isnan(sum) ? -score_limit : std::clamp(sum, -score_limit, score_limit);
}

double PeerScore::of_topic(Topic const& topic, Instant now, double& positive) const {
    if (topic.in_mesh_since)
        positive += params_.p1_weight *
                    std::min(seconds_of(now - *topic.in_mesh_since), params_.p1_max_seconds);
    positive += params_.p2_weight * topic.first;
    auto const missing = deficit(topic, now);
    return params_.p3_weight * missing * missing + params_.p3b_weight * topic.mesh_failure +
           params_.p4_weight * topic.invalid * topic.invalid;
}

double PeerScore::deficit(Topic const& topic, Instant now) const {
    if (!topic.in_mesh_since || now - *topic.in_mesh_since < params_.p3_activation) return 0;
    return std::max(0.0, params_.p3_threshold - topic.mesh);
}

bool PeerScore::is_spared(std::string const& ip) const {
    return (params_.p6_mode == Colocation::spare_loopback && is_loopback(ip)) ||
           std::ranges::find(params_.p6_spared, ip) != params_.p6_spared.end();
}

double PeerScore::of_address(Peer const& peer) const {
    if (peer.gone_since || peer.shares_ip_freely) return 0;
    auto const count = *peer.at_ip_count;
    if (count <= params_.p6_threshold) return 0;
    auto const surplus = static_cast<double>(count - params_.p6_threshold);
    return params_.p6_weight * surplus * surplus;
}

}  // namespace kith::proto::gossip
