// feature/ask/credit_row.h: what is kept on disk about the credit between this node and one member.
//
// One row holds all of it, so one write moves a payment: after a crash the row says either that it
// was applied or that it was not.
#pragma once

#include "proto/credit/ledger.h"

namespace kith::ask {

struct CreditRow {
    proto::credit::Account account;
    std::uint64_t owed = 0;  // work that the member did for this node and that no offer covers yet
    std::uint64_t unpaid = 0;  // work that this node did for the member, not paid for yet
    proto::credit::RequestReference request{};  // of the last work that is owed
    base::Bytes offer;                          // sent and not yet answered; empty: none

    bool operator==(CreditRow const&) const = default;
};

// Layout (big endian): version u8 = 1, earned u64, spent u64, sequence to it u64, sequence from it
// u64, owed u64, unpaid u64, request 16, offer and last receipt u16-prefixed, then SHA-256 of
// everything before.
base::Bytes encode_row(CreditRow const& row);
// Code::corrupt: not what encode_row makes.
base::Result<CreditRow> decode_row(base::ByteView bytes);

}  // namespace kith::ask
