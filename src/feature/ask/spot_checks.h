// feature/ask/spot_checks.h: which questions are checked, by whom, and what follows: 5 % of those
// with remote stages, 25 % when a stage sits in a crowded network (S40, S70). Decided before the
// question is sent, so that who checks it can be shown with who computes it.
//
// At most one check runs; while it does, no other question is drawn. A question whose stages nobody
// else holds is not checked.
#pragma once

#include <memory>

#include "feature/ask/spot_check.h"

namespace kith::ask {

class SpotChecks {
public:
    using Holders = std::function<std::vector<Holder>(LoadedModel const&)>;  // of now
    SpotChecks(node::Node& node, Holders holders, SpotCheck::Pay pay)
        : node_(node), holders_(std::move(holders)), pay_(std::move(pay)) {}

    struct Drawn {
        std::size_t hop = 0;  // of remote_hops()
        identity::NodeId checker;
    };
    [[nodiscard]] std::optional<Drawn> draw(LoadedModelPtr const& model,
                                            std::vector<Stage> const& stages) const;
    void begin(RunRecord record, Drawn const& drawn, base::Instant now);

    void on_result(identity::NodeId const& sender, wire::v1::StageResult const& result,
                   base::ByteView sealed, base::Instant now);
    void on_failed(identity::NodeId const& sender, wire::v1::StageFailed const& failed,
                   base::Instant now);
    void on_peer_down(identity::NodeId const& peer, base::Error const& reason, base::Instant now);
    [[nodiscard]] std::optional<base::Instant> deadline() const;
    void on_deadline(base::Instant now);

    struct Counts {
        std::uint64_t begun = 0, agreed = 0, guilty = 0;
        std::uint64_t undecided = 0;  // results differed, and it is not known whose was wrong
        std::uint64_t unfinished = 0;
    };
    [[nodiscard]] Counts const& counts() const { return counts_; }

private:
    [[nodiscard]] unsigned rate(std::vector<wire::v1::RouteHop> const& hops) const;
    [[nodiscard]] std::vector<identity::NodeId> others(LoadedModelPtr const& model,
                                                       wire::v1::RouteHop const& part) const;
    void settle(base::Instant now);

    node::Node& node_;
    Holders holders_;
    SpotCheck::Pay pay_;
    std::unique_ptr<SpotCheck> check_;
    RequestId question_{};  // that is being checked
    Counts counts_;
};

}  // namespace kith::ask
