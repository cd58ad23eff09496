#include "feature/ask/credit_row.h"

#include <doctest/doctest.h>

#include "base/code_of.h"
#include "crypto/hash.h"

using namespace kith;
using namespace kith::ask;
using base::Code;
using base::code_of;
namespace credit = proto::credit;

namespace {

CreditRow full_row() {
    return {.account = {.earned = 1,
                        .spent = 2,
                        .sequence_to_it = 3,
                        .sequence_from_it = 4,
                        .last_receipt = base::Bytes(credit::receipt_bytes, 5)},
            .owed = 6,
            .unpaid = 7,
            .request = {8},
            .offer = base::Bytes(credit::offer_bytes, 9)};
}

}  // namespace

TEST_CASE("a row comes back as it was written") {
    CHECK(decode_row(encode_row(full_row())).value() == full_row());
    CHECK(decode_row(encode_row({})).value() == CreditRow{});
}

TEST_CASE("a row with any byte changed, cut or added is corrupt") {
    auto const good = encode_row(full_row());
    for (std::size_t i = 0; i < good.size(); ++i) {
        auto altered = good;
        altered[i] ^= 0x01;
        CHECK(code_of(decode_row(altered)) == Code::corrupt);
        CHECK(code_of(decode_row(base::ByteView(good).first(i))) == Code::corrupt);
    }
    auto longer = good;
    longer.push_back(0);
    CHECK(code_of(decode_row(longer)) == Code::corrupt);
}

TEST_CASE("a row whose check fits and whose numbers do not is corrupt") {
    auto row = full_row();
    row.owed = credit::total_max;
    CHECK(decode_row(encode_row(row)).has_value());
    row.owed = credit::total_max + 1;
    CHECK(code_of(decode_row(encode_row(row))) == Code::corrupt);
    row = full_row();
    row.unpaid = ~std::uint64_t{0};
    CHECK(code_of(decode_row(encode_row(row))) == Code::corrupt);
    row = full_row();
    row.offer.push_back(0);
    CHECK(code_of(decode_row(encode_row(row))) == Code::corrupt);
}
