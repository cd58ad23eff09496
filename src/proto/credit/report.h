// proto/credit/report.h: what a node says of its own balance, signed by it (S41), and the newest
// report of each member.
//
// A report is for people: it decides nothing, since whoever signs it can write any number into it.
// What a member counts for is what this node itself has seen (proto/credit/ledger.h).
//
// Layout (big endian): version u8 = 1, swarm 32, node 32, unix time i64, earned u64, spent u64,
// Ed25519 signature 64 of the node over "kith/credit-report/v1" || all before.
#pragma once

#include <functional>
#include <map>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "identity/identity.h"
#include "identity/node_id.h"
#include "proto/credit/transaction.h"

namespace kith::proto::credit {

inline constexpr std::size_t report_bytes = 1 + 32 + 32 + 8 + 8 + 8 + 64;
inline constexpr std::int64_t report_age_max = 300;                           // s, S42
inline constexpr std::int64_t report_future_max = 30;                         // s, C23
inline constexpr std::uint64_t report_total_max = 1'000'000'000'000'000'000;  // fits an i64 balance
inline constexpr std::size_t reports_max = 1024;                              // one of each member

struct Report {
    SwarmId swarm{};
    identity::NodeId node;
    base::UnixTime time{};
    std::uint64_t earned = 0;  // at most report_total_max, both
    std::uint64_t spent = 0;

    [[nodiscard]] std::int64_t balance() const {
        return static_cast<std::int64_t>(earned) - static_cast<std::int64_t>(spent);
    }
};

// Asserts that the identity is the node.
base::Bytes sign_report(identity::Identity const& node, Report const& report);

// Signed by the node it names, fresh, within its limits.
class VerifiedReport {
public:
    [[nodiscard]] Report const& content() const { return content_; }

private:
    friend class ReportChecker;
    explicit VerifiedReport(Report const& content) : content_(content) {}
    Report content_;
};

class ReportChecker {
public:
    // Code::invalid: not a report, of another swarm, or impossible numbers. Code::unauthorized: the
    // signature fails. Code::timeout: older than report_age_max, or further ahead than
    // report_future_max.
    static base::Result<VerifiedReport> check(base::ByteView record, Setting const& setting);
};

class ReportBook {
public:
    // True: it is the node's newest. False: one as new is known. Code::too_large: reports_max
    // others are known.
    base::Result<bool> take(VerifiedReport const& report);
    // Drops those of nodes that are no members any more.
    void keep(std::function<bool(identity::NodeId const&)> const& is_member);
    [[nodiscard]] Report const* find(identity::NodeId const& node) const;
    [[nodiscard]] std::size_t size() const { return newest_.size(); }

private:
    std::map<identity::NodeId, Report> newest_;
};

}  // namespace kith::proto::credit
