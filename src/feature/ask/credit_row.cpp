#include "feature/ask/credit_row.h"

#include "crypto/hash.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace kith::ask {

using base::Code;
using base::fail;
namespace credit = proto::credit;

namespace {

constexpr std::uint8_t row_version = 1;

base::Result<CreditRow> read_body(base::ByteView body) {
    wire::Reader reader(body);
    if (KITH_TRY(reader.u8()) != row_version)
        return fail(Code::corrupt, "it was stored by another version");
    CreditRow row;
    row.account.earned = KITH_TRY(reader.u64());
    row.account.spent = KITH_TRY(reader.u64());
    row.account.sequence_to_it = KITH_TRY(reader.u64());
    row.account.sequence_from_it = KITH_TRY(reader.u64());
    row.owed = KITH_TRY(reader.u64());
    row.unpaid = KITH_TRY(reader.u64());
    row.request = KITH_TRY(reader.array<16>());
    row.offer = base::to_bytes(KITH_TRY(reader.prefixed_u16(credit::offer_bytes)));
    row.account.last_receipt = base::to_bytes(KITH_TRY(reader.prefixed_u16(credit::receipt_bytes)));
    KITH_TRY(reader.expect_end());
    if (row.owed > credit::total_max || row.unpaid > credit::total_max)
        return fail(Code::corrupt, "its numbers are impossible");
    return row;
}

}  // namespace

base::Bytes encode_row(CreditRow const& row) {
    wire::Writer writer;
    writer.u8(row_version)
        .u64(row.account.earned)
        .u64(row.account.spent)
        .u64(row.account.sequence_to_it)
        .u64(row.account.sequence_from_it)
        .u64(row.owed)
        .u64(row.unpaid)
        .bytes(row.request)
        .prefixed_u16(row.offer)
        .prefixed_u16(row.account.last_receipt);
    auto const check = crypto::sha256(writer.view());
    return writer.bytes(check).take();
}

base::Result<CreditRow> decode_row(base::ByteView bytes) {
    if (bytes.size() < crypto::sha256_bytes) return fail(Code::corrupt, "it ends too early");
    auto const body = bytes.first(bytes.size() - crypto::sha256_bytes);
    if (!base::equal(crypto::sha256(body), bytes.subspan(body.size())))
        return fail(Code::corrupt, "it fails its check");
    auto row = read_body(body);
    if (!row) return fail(Code::corrupt, row.error().message);
    return row;
}

}  // namespace kith::ask
