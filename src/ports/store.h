// ports/store.h: what the node keeps across restarts. io/store implements it on SQLite (WAL, full
// sync), so that what was acknowledged survives power loss. Values are opaque bytes; the folders
// that own them encode and verify them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"

namespace kith::ports {

struct Row {
    base::Bytes key;
    base::Bytes value;
};

// The coordinator's memory of one invite: nothing from which a token could be rebuilt (P10, P27).
struct InviteRow {
    base::Bytes lookup_id;  // 32 bytes, derived from the token's seed
    base::Bytes record;     // signed certificate and the secret wrapped under the token
    std::uint32_t uses = 0;
    std::uint32_t uses_max = 1;  // 1 to 10000
    std::int64_t created = 0;    // Unix seconds
    std::int64_t expires = 0;    // Unix seconds; 0: never
    bool revoked = false;
    std::string note;
};

class Store {
public:
    virtual ~Store() = default;

    virtual base::Result<std::optional<base::Bytes>> get(std::string_view table,
                                                         base::ByteView key) = 0;
    virtual base::Status put(std::string_view table, base::ByteView key, base::ByteView value) = 0;
    virtual base::Status erase(std::string_view table, base::ByteView key) = 0;
    // All rows of a table in key order; Code::too_large past rows_max.
    virtual base::Result<std::vector<Row>> scan(std::string_view table, std::size_t rows_max) = 0;

    virtual base::Status invite_add(InviteRow const& invite) = 0;
    virtual base::Result<std::vector<InviteRow>> invites(std::size_t rows_max) = 0;
    virtual base::Result<std::optional<InviteRow>> invite(base::ByteView lookup_id) = 0;
    virtual base::Status invite_revoke(base::ByteView lookup_id) = 0;
    // Counts one use for `redeemer` in the same transaction that checks it (P16: never more than
    // uses_max), and puts `value` under (table, redeemer). A second call by the same redeemer for
    // the same invite succeeds without counting again, so a lost answer can be asked for again.
    // Otherwise Code::not_found (unknown), Code::conflict (spent or revoked), Code::timeout
    // (expired at `now`).
    virtual base::Result<InviteRow> invite_redeem(base::ByteView lookup_id, base::ByteView redeemer,
                                                  base::UnixTime now, std::string_view table,
                                                  base::ByteView value) = 0;
};

}  // namespace kith::ports
