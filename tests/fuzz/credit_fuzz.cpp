// Fuzzes what members pay each other. The input is a list of payments, each signed properly by both
// parties and shown to one ledger; and a second time it is a record as it came. Checked: the
// balances always add up to nothing, a refusal changes nothing, nothing is applied twice.
#include "base/check.h"
#include "proto/credit/ledger.h"
#include "proto/credit/report.h"
#include "wire/reader.h"

using namespace kith;
using namespace kith::proto::credit;

namespace {

constexpr Setting setting{.swarm = {1}, .now = base::UnixTime{1'800'000'000}};
constexpr std::size_t payments_max = 12;

identity::Identity member(std::uint8_t seed) {
    base::ByteArray<identity::identity_random_bytes> random;
    random.fill(seed);
    return identity::Identity::create(crypto::Secret<identity::identity_random_bytes>(random),
                                      setting.now)
        .value();
}

struct Members {
    identity::Identity one[3] = {member(1), member(2), member(3)};
};

base::Result<Transaction> next_payment(wire::Reader& reader, Members const& members,
                                       std::uint8_t selector) {
    Transaction payment{.swarm = setting.swarm,
                        .from = members.one[selector % 3].node_id(),
                        .to = members.one[selector / 3 % 3].node_id(),
                        .amount = KITH_TRY(reader.u64()),
                        .sequence = KITH_TRY(reader.u64()),
                        .time = {},
                        .request = {}};
    payment.time = base::UnixTime{static_cast<std::int64_t>(KITH_TRY(reader.u64()))};
    if (selector & 0x40) payment.swarm[31] = selector;
    return payment;
}

void pay(Ledger& ledger, Members const& members, Transaction const& payment,
         std::uint8_t selector) {
    auto const& payer = members.one[selector % 3];
    auto const& payee = members.one[selector / 3 % 3];
    auto const offer = TransactionChecker::check_offer(sign_offer(payer, payment), setting);
    if (!offer) return;
    auto const taken = TransactionChecker::check(offer->countersign(payee), setting);
    KITH_ASSERT(taken.has_value());
    Parties const parties{payer.root_id(), payee.root_id()};
    auto const before = ledger.accounts();
    auto const own_before = ledger.balance(ledger.owner());
    auto entry = ledger.prepare(*taken, parties);
    KITH_ASSERT(ledger.accounts() == before);
    if (!entry) return;
    ledger.commit(std::move(*entry));
    KITH_ASSERT(ledger.sum() == 0);
    KITH_ASSERT(ledger.balance(ledger.owner()) != own_before);
    KITH_ASSERT(!ledger.prepare(*taken, parties).has_value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    static Members const members;
    base::ByteView const input(data, size);
    (void)TransactionChecker::check_offer(input, setting);
    (void)TransactionChecker::check(input, setting);
    (void)ReportChecker::check(input, setting);
    Ledger ledger(members.one[0].root_id());
    wire::Reader reader(input);
    for (std::size_t i = 0; i < payments_max; ++i) {
        auto const selector = reader.u8();
        if (!selector) break;
        auto const payment = next_payment(reader, members, *selector);
        if (!payment) break;
        pay(ledger, members, *payment, *selector);
    }
    return 0;
}
