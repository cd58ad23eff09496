#include "proto/credit/report.h"

#include <doctest/doctest.h>

#include <limits>

#include "base/code_of.h"
#include "proto/credit/credit_test_bench.h"

using namespace kith;
using namespace kith::proto::credit;
using base::Code;
using base::code_of;

namespace {

struct Desk : Bench {
    [[nodiscard]] Report report(std::int64_t offset = 0) const {
        return {.swarm = swarm,
                .node = ada.node_id(),
                .time = base::UnixTime{base::seconds(now) + offset},
                .earned = 10,
                .spent = 4};
    }
    [[nodiscard]] base::Result<VerifiedReport> check(Report const& report) const {
        return ReportChecker::check(sign_report(of(report.node), report), setting());
    }
};

}  // namespace

TEST_CASE("S41: a report counts only with the signature of the node it names") {
    Desk desk;
    auto const record = sign_report(desk.ada, desk.report());
    REQUIRE(ReportChecker::check(record, desk.setting()).has_value());
    CHECK(ReportChecker::check(record, desk.setting())->content().balance() == 6);
    for (std::size_t i = 0; i < record.size(); ++i) {
        auto altered = record;
        altered[i] ^= 0x10;
        CHECK_FALSE(ReportChecker::check(altered, desk.setting()).has_value());
    }
    // Signed, but by somebody else; and not signed at all.
    auto stolen = record;
    auto const foreign = desk.bo.sign_operational(base::ByteView(record).first(89));
    std::ranges::copy(foreign, stolen.end() - signature_bytes);
    CHECK(code_of(ReportChecker::check(stolen, desk.setting())) == Code::unauthorized);
    auto bare = record;
    std::fill(bare.end() - signature_bytes, bare.end(), 0);
    CHECK(code_of(ReportChecker::check(bare, desk.setting())) == Code::unauthorized);
    bare.resize(bare.size() - signature_bytes);
    CHECK(code_of(ReportChecker::check(bare, desk.setting())) == Code::invalid);
}

TEST_CASE("S41: a signature under a transaction is none under a report") {
    Desk desk;
    auto const offer = sign_offer(desk.ada, desk.payment(1, 1));
    auto record = sign_report(desk.ada, desk.report());
    std::copy(offer.end() - signature_bytes, offer.end(), record.end() - signature_bytes);
    CHECK(code_of(ReportChecker::check(record, desk.setting())) == Code::unauthorized);
}

TEST_CASE("S42: a report is at most five minutes old and at most 30 s ahead") {
    Desk desk;
    CHECK(desk.check(desk.report(-300)).has_value());
    CHECK(code_of(desk.check(desk.report(-301))) == Code::timeout);
    CHECK(desk.check(desk.report(30)).has_value());
    CHECK(code_of(desk.check(desk.report(31))) == Code::timeout);
    CHECK(code_of(desk.check(desk.report(300))) == Code::timeout);
    auto report = desk.report();
    for (auto const time :
         {std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()}) {
        report.time = base::UnixTime{time};
        CHECK(code_of(desk.check(report)) == Code::timeout);
    }
}

TEST_CASE("a report of another swarm, or with numbers that no ledger reaches, is refused") {
    Desk desk;
    auto report = desk.report();
    report.earned = report_total_max;
    CHECK(desk.check(report).has_value());
    report.earned = report_total_max + 1;
    CHECK(code_of(desk.check(report)) == Code::invalid);
    report = desk.report();
    report.spent = ~std::uint64_t{0};
    CHECK(code_of(desk.check(report)) == Code::invalid);
    report = desk.report();
    report.swarm.fill(7);
    CHECK(code_of(desk.check(report)) == Code::invalid);
}

TEST_CASE("the newest report of a node counts, and one that was heard before changes nothing") {
    Desk desk;
    ReportBook book;
    auto const first = desk.check(desk.report()).value();
    CHECK(book.take(first).value());
    CHECK_FALSE(book.take(first).value());
    auto newer = desk.report(5);
    newer.spent = 0;
    CHECK(book.take(desk.check(newer).value()).value());
    CHECK_FALSE(book.take(first).value());
    REQUIRE(book.find(desk.ada.node_id()) != nullptr);
    CHECK(book.find(desk.ada.node_id())->balance() == 10);
    book.keep([](auto const&) { return false; });
    CHECK(book.size() == 0);
}
