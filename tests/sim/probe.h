// tests/sim/probe.h: the feature of every simulated machine: says something numbered to each member
// with a session now and then, as a control message or a tensor, and tells the invariants what it
// hears.
#pragma once

#include "invariants.h"
#include "node/node.h"
#include "ports/clock.h"

namespace kith::simtest {

// Never used twice, not even by another life of the same machine.
struct Numbers {
    std::uint64_t machine;
    std::uint64_t count = 0;
    std::uint64_t next() { return machine << 40 | ++count; }
};

wire::v1::Control numbered_control(identity::NodeId const& sender, std::uint64_t number);

class Probe final : public node::Feature {
public:
    struct Edges {  // all outlive the probe
        std::size_t machine;
        Numbers& numbers;
        Invariants& invariants;
        ports::Clock const& truth;
        base::Duration interval;
    };
    explicit Probe(Edges edges) : edges_(edges) {}
    void set_node(node::Node& node) { node_ = &node; }

    void on_control(node::AuthenticatedControl const& message, base::Instant now) override;
    void on_activation(node::AuthenticatedActivation message, base::Instant now) override;
    void on_peer_up(identity::NodeId const& peer, base::Instant now) override;
    void on_peer_down(identity::NodeId const&, base::Error const&, base::Instant) override {}
    [[nodiscard]] std::optional<base::Instant> deadline() const override { return due_; }
    void on_deadline(base::Instant now) override;

private:
    Edges edges_;
    node::Node* node_ = nullptr;
    base::Instant due_{};
};

}  // namespace kith::simtest
