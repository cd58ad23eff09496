// feature/ask/spot_check.h: has a machine computed what it should? One check of one question, after
// its answer (S35, S70): the recorded inputs are computed again with one hop of the route replaced
// by another holder of the same layers, and the outputs are compared bit by bit.
//
//   compare --(same)--------------------------------------------------> agreed
//      |--(differs, route of one hop)--> a third holder computes it --> its answer decides
//      |--(differs, longer route)--> each hop alone, against another holder of its layers,
//                                    a third one deciding where they differ
//
// Only a machine that is alone against two others is found guilty; everything else is `undecided`
// and held against nobody: on a longer route a wrong result alone does not say whose it is, and
// whoever lies once and not again cannot be told from his neighbours. Two colluding holders can
// outvote an honest one.
//
// The machines that compute again see what the hop saw (RouteView::checker; docs/threat-model.md).
// Runs on the loop thread; drives one RemoteRun at a time.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "feature/ask/run_record.h"
#include "ports/rng.h"

namespace kith::ask {

inline constexpr base::Duration spot_check_step_timeout = std::chrono::seconds(60);

struct SpotCheckOutcome {
    enum class Verdict { agreed, guilty, undecided };
    Verdict verdict = Verdict::undecided;
    identity::NodeId guilty{};  // with Verdict::guilty
    bool differed = false;      // undecided, though something was computed wrongly by somebody
    std::string sentence;       // for the log: what happened, without content
};

class SpotCheck {
public:
    // Who could compute this part now, in the order to be tried; this machine is never among them.
    using Holders = std::function<std::vector<identity::NodeId>(wire::v1::RouteHop const& part)>;
    // Told after each run, however it ended: what was computed is paid for like any question.
    using Pay = std::function<void(RequestId const&, std::vector<RemoteRun::HopWork> const&)>;
    // `record` has entries. `hop` of its route is computed by `checker` instead.
    SpotCheck(node::Node& node, RunRecord record, std::size_t hop, identity::NodeId const& checker,
              Holders holders, Pay pay);
    ~SpotCheck();
    void start(base::Instant now);

    void on_result(identity::NodeId const& sender, wire::v1::StageResult const& result,
                   base::ByteView sealed, base::Instant now);
    void on_failed(identity::NodeId const& sender, wire::v1::StageFailed const& failed,
                   base::Instant now);
    void on_peer_down(identity::NodeId const& peer, base::Error const& reason, base::Instant now);
    [[nodiscard]] std::optional<base::Instant> deadline() const { return deadline_; }
    void on_deadline(base::Instant now);
    [[nodiscard]] std::optional<RequestId> run_id() const;  // of the run under way
    // Set once it is over; may be after any call above.
    [[nodiscard]] std::optional<SpotCheckOutcome> const& outcome() const { return outcome_; }

private:
    struct Answer {  // of one machine, or of one route
        std::vector<crypto::Sha256Digest> digests;
        std::vector<RemoteRun::Step> next;  // its outputs as inputs of the next hop
    };
    using Then = std::function<void(base::Result<Answer>, base::Instant)>;

    void run(std::vector<wire::v1::RouteHop> hops, Then then, base::Instant now);
    void send_next(base::Instant now);
    void finish_run(base::Result<Answer> answer, base::Instant now);
    void on_compared(base::Result<Answer> answer, base::Instant now);
    void isolate(std::size_t hop, base::Instant now);
    void compare_hop(Answer own, base::Instant now);
    void judge(Answer const& accused, Answer const& accuser, identity::NodeId const& accuser_node,
               base::Instant now);
    void next_hop(Answer const& trusted, base::Instant now);
    void end(SpotCheckOutcome outcome);
    void undecided(bool differed, std::string sentence);
    [[nodiscard]] wire::v1::RouteHop with(std::size_t hop, identity::NodeId const& node) const;
    [[nodiscard]] std::vector<identity::NodeId> others(std::size_t hop) const;
    [[nodiscard]] identity::NodeId node_at(std::size_t hop) const;

    node::Node& node_;
    RunRecord record_;
    std::size_t hop_;
    identity::NodeId checker_;
    Holders holders_;
    Pay pay_;
    std::optional<SpotCheckOutcome> outcome_;

    std::vector<RemoteRun::Step> inputs_;  // of the run under way, and of those that repeat it
    std::optional<RemoteRun> run_;
    std::size_t entry_ = 0;
    bool is_isolating_ = false;  // one hop alone; its outputs go to the next one
    Answer answer_;
    Then then_;
    std::optional<base::Instant> deadline_;
};

}  // namespace kith::ask
