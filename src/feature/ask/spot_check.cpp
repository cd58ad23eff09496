#include "feature/ask/spot_check.h"

#include <algorithm>

#include "base/check.h"
#include "base/encoding.h"
#include "base/sabotage.h"

namespace kith::ask {

using base::Code;
using base::fail;
using Verdict = SpotCheckOutcome::Verdict;

SpotCheck::SpotCheck(node::Node& node, RunRecord record, std::size_t hop,
                     identity::NodeId const& checker, Holders holders, Pay pay)
    : node_(node),
      record_(std::move(record)),
      hop_(hop),
      checker_(checker),
      holders_(std::move(holders)),
      pay_(std::move(pay)) {
    KITH_ASSERT(hop_ < record_.run.hops.size() && !record_.entries.empty());
    for (auto const& entry : record_.entries) inputs_.push_back(entry.step);
}

SpotCheck::~SpotCheck() {
    if (run_) run_->close();
}

identity::NodeId SpotCheck::node_at(std::size_t hop) const {
    return parse_node_id(record_.run.hops[hop].node_id()).value_or(identity::NodeId{});
}

wire::v1::RouteHop SpotCheck::with(std::size_t hop, identity::NodeId const& node) const {
    auto part = record_.run.hops[hop];
    part.set_node_id(base::to_text(node.bytes));
    return part;
}

std::vector<identity::NodeId> SpotCheck::others(std::size_t hop) const {
    auto nodes = holders_(record_.run.hops[hop]);
    std::erase(nodes, node_at(hop));
    return nodes;
}

void SpotCheck::start(base::Instant now) {
    auto hops = record_.run.hops;
    hops[hop_] = with(hop_, checker_);
    run(
        std::move(hops), [this](auto answer, auto at) { on_compared(std::move(answer), at); }, now);
}

void SpotCheck::on_compared(base::Result<Answer> answer, base::Instant now) {
    if (!answer) return undecided(false, answer.error().message);
    bool const same =
        std::ranges::equal(answer->digests, record_.entries, {}, {}, &RunRecord::Entry::output);
    if (KITH_GUARD("S35.compare", same))
        return end({.verdict = Verdict::agreed, .sentence = "computed again, the same"});
    if (record_.run.hops.size() > 1) return isolate(0, now);
    Answer recorded;
    for (auto const& entry : record_.entries) recorded.digests.push_back(entry.output);
    judge(recorded, *answer, checker_, now);
}

// --- longer routes: each hop alone

void SpotCheck::isolate(std::size_t hop, base::Instant now) {
    hop_ = hop;
    is_isolating_ = true;
    run(
        {record_.run.hops[hop]},
        [this](auto answer, auto at) {
            if (!answer) return undecided(true, answer.error().message);
            compare_hop(std::move(*answer), at);
        },
        now);
}

void SpotCheck::compare_hop(Answer own, base::Instant now) {
    auto const candidates = others(hop_);
    if (candidates.empty()) return next_hop(own, now);  // nobody else can say
    run(
        {with(hop_, candidates.front())},
        [this, own = std::move(own), other = candidates.front()](auto answer, auto at) {
            if (!answer) return undecided(true, answer.error().message);
            if (answer->digests == own.digests) return next_hop(own, at);
            judge(own, *answer, other, at);
        },
        now);
}

void SpotCheck::next_hop(Answer const& trusted, base::Instant now) {
    if (hop_ + 1 == record_.run.hops.size())
        return undecided(true,
                         "a machine of the route computed wrongly, and did not do it again; it is "
                         "not known which");
    inputs_ = trusted.next;
    isolate(hop_ + 1, now);
}

// --- two answers of one part that differ

void SpotCheck::judge(Answer const& accused, Answer const& accuser,
                      identity::NodeId const& accuser_node, base::Instant now) {
    auto candidates = others(hop_);
    std::erase(candidates, accuser_node);
    auto const node = node_at(hop_);
    auto const both = node.to_short() + " and " + accuser_node.to_short();
    if (candidates.empty())
        return undecided(true, both +
                                   " computed different results, and no third member holds the "
                                   "same layers to say which is right");
    run(
        {with(hop_, candidates.front())},
        [this, accused, accuser, node, accuser_node, both](auto answer, auto) {
            if (!answer) return undecided(true, answer.error().message);
            auto const guilty = [this](identity::NodeId const& who) {
                end({.verdict = Verdict::guilty,
                     .guilty = who,
                     .differed = true,
                     .sentence = who.to_short() + " computed wrongly; two others agree"});
            };
            if (KITH_GUARD("S70.majority", answer->digests == accuser.digests)) return guilty(node);
            if (answer->digests == accused.digests) return guilty(accuser_node);
            undecided(true, both + " and a third member computed three different results");
        },
        now);
}

// --- one run

void SpotCheck::run(std::vector<wire::v1::RouteHop> hops, Then then, base::Instant now) {
    then_ = std::move(then);
    answer_ = {};
    entry_ = 0;
    auto options = record_.run;
    options.hops = std::move(hops);
    if (auto const random = node_.rng().fill(options.id); !random)
        return finish_run(std::unexpected(random.error()), now);
    auto run = RemoteRun::create(node_, std::move(options));
    if (!run) return finish_run(std::unexpected(run.error()), now);
    run_ = std::move(*run);
    send_next(now);
}

void SpotCheck::send_next(base::Instant now) {
    if (entry_ == inputs_.size()) return finish_run(std::exchange(answer_, {}), now);
    auto step = inputs_[entry_];
    // Every row goes on to the next hop.
    if (is_isolating_ && hop_ + 1 < record_.run.hops.size()) step.last_row_only = false;
    deadline_ = now + spot_check_step_timeout;
    if (auto const sent = run_->send(std::move(step)); !sent)
        finish_run(std::unexpected(sent.error()), now);
}

void SpotCheck::finish_run(base::Result<Answer> answer, base::Instant now) {
    if (run_) {
        run_->close();
        pay_(run_->id(), run_->work_done());
    }
    run_.reset();
    deadline_.reset();
    auto const then = std::exchange(then_, nullptr);
    then(std::move(answer), now);
}

void SpotCheck::on_result(identity::NodeId const& sender, wire::v1::StageResult const& result,
                          base::ByteView sealed, base::Instant now) {
    if (!run_) return;
    auto output = run_->on_result(sender, result, sealed);
    if (!output) return;
    if (!*output) return finish_run(std::unexpected(output->error()), now);
    answer_.digests.push_back(digest_of(**output));
    if (is_isolating_) {
        auto next = record_.entries[entry_].step;
        next.input = std::move((*output)->hidden);
        answer_.next.push_back(std::move(next));
    }
    ++entry_;
    send_next(now);
}

void SpotCheck::on_failed(identity::NodeId const& sender, wire::v1::StageFailed const& failed,
                          base::Instant now) {
    if (auto error = run_ ? run_->failure(sender, failed) : std::nullopt)
        finish_run(std::unexpected(std::move(*error)), now);
}

void SpotCheck::on_peer_down(identity::NodeId const& peer, base::Error const& reason,
                             base::Instant now) {
    if (auto error = run_ ? run_->loss(peer, reason) : std::nullopt)
        finish_run(std::unexpected(std::move(*error)), now);
}

void SpotCheck::on_deadline(base::Instant now) {
    if (deadline_ && now >= *deadline_)
        finish_run(fail(Code::timeout, "a machine did not compute again in time"), now);
}

std::optional<RequestId> SpotCheck::run_id() const {
    return run_ ? std::optional(run_->id()) : std::nullopt;
}

void SpotCheck::undecided(bool differed, std::string sentence) {
    end({.verdict = Verdict::undecided, .differed = differed, .sentence = std::move(sentence)});
}

void SpotCheck::end(SpotCheckOutcome outcome) {
    outcome_ = std::move(outcome);
}

}  // namespace kith::ask
