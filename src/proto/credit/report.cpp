#include "proto/credit/report.h"

#include "base/check.h"
#include "base/sabotage.h"
#include "crypto/ed25519.h"
#include "identity/contexts.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace kith::proto::credit {

using base::Code;
using base::fail;

namespace {

constexpr std::uint8_t record_version = 1;

base::Bytes transcript(base::ByteView body) {
    auto message = base::to_bytes(base::as_bytes(identity::context::credit_report));
    base::append(message, body);
    return message;
}

}  // namespace

base::Bytes sign_report(identity::Identity const& node, Report const& report) {
    KITH_ASSERT(node.node_id() == report.node);
    wire::Writer writer;
    writer.u8(record_version)
        .bytes(report.swarm)
        .bytes(report.node.bytes)
        .u64(static_cast<std::uint64_t>(base::seconds(report.time)))
        .u64(report.earned)
        .u64(report.spent);
    auto const signature = node.sign_operational(transcript(writer.view()));
    return writer.bytes(signature).take();
}

base::Result<VerifiedReport> ReportChecker::check(base::ByteView record, Setting const& setting) {
    if (record.size() != report_bytes)
        return fail(Code::invalid, "a balance report has the wrong size");
    wire::Reader reader(record);
    if (KITH_TRY(reader.u8()) != record_version)
        return fail(Code::invalid, "a balance report is of another version");
    Report report;
    report.swarm = KITH_TRY(reader.array<32>());
    report.node.bytes = KITH_TRY(reader.array<32>());
    report.time = base::UnixTime{static_cast<std::int64_t>(KITH_TRY(reader.u64()))};
    report.earned = KITH_TRY(reader.u64());
    report.spent = KITH_TRY(reader.u64());
    auto const signature = KITH_TRY(reader.array<64>());
    auto const body = record.first(record.size() - signature.size());
    bool const is_signed = crypto::ed25519_verify(report.node.bytes, transcript(body), signature);
    if (!KITH_GUARD("S41.signature", is_signed))
        return fail(Code::unauthorized, "a balance report is not signed by its node");
    if (report.swarm != setting.swarm)
        return fail(Code::invalid, "a balance report is of another swarm");
    if (report.earned > report_total_max || report.spent > report_total_max)
        return fail(Code::invalid, "a balance report has impossible numbers");
    // Compared without subtracting what a peer chose: it may be any 64-bit number.
    auto const time = base::seconds(report.time);
    auto const now = base::seconds(setting.now);
    if (!KITH_GUARD("S42.report_not_old", time >= now - report_age_max))
        return fail(Code::timeout, "a balance report is too old");
    if (!KITH_GUARD("S42.report_not_ahead", time <= now + report_future_max))
        return fail(Code::timeout, "a balance report is dated in the future");
    return VerifiedReport(report);
}

base::Result<bool> ReportBook::take(VerifiedReport const& report) {
    auto const& content = report.content();
    auto const known = newest_.find(content.node);
    if (known == newest_.end()) {
        if (newest_.size() >= reports_max)
            return fail(Code::too_large, "there are too many balance reports");
        newest_.emplace(content.node, content);
        return true;
    }
    if (content.time <= known->second.time) return false;
    known->second = content;
    return true;
}

void ReportBook::keep(std::function<bool(identity::NodeId const&)> const& is_member) {
    std::erase_if(newest_, [&](auto const& entry) { return !is_member(entry.first); });
}

Report const* ReportBook::find(identity::NodeId const& node) const {
    auto const found = newest_.find(node);
    return found == newest_.end() ? nullptr : &found->second;
}

}  // namespace kith::proto::credit
