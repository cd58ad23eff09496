// io/store/sqlite_store.h: ports::Store on one SQLite file.
//
// WAL with synchronous=FULL: an acknowledged write survives power loss (measured in research:
// NORMAL loses rows). One connection, used on the loop thread only. A second process on the same
// file is refused at open.
#pragma once

#include <filesystem>
#include <memory>

#include "ports/store.h"

namespace kith::io {

class SqliteStore final : public ports::Store {
public:
    // Opens or creates `file` (mode 0600); ":memory:" for tests. Code::conflict when another
    // process still holds it after `patience` (a one-shot command lets go within a moment),
    // Code::corrupt when SQLite's quick_check fails, Code::unsupported when a newer kith wrote it.
    static base::Result<std::unique_ptr<SqliteStore>> open(std::filesystem::path const& file,
                                                           base::Duration patience = {});
    ~SqliteStore() override;

    base::Result<std::optional<base::Bytes>> get(std::string_view table,
                                                 base::ByteView key) override;
    base::Status put(std::string_view table, base::ByteView key, base::ByteView value) override;
    base::Status erase(std::string_view table, base::ByteView key) override;
    base::Result<std::vector<ports::Row>> scan(std::string_view table,
                                               std::size_t rows_max) override;
    base::Status invite_add(ports::InviteRow const& invite) override;
    base::Result<std::vector<ports::InviteRow>> invites(std::size_t rows_max) override;
    base::Result<std::optional<ports::InviteRow>> invite(base::ByteView lookup_id) override;
    base::Status invite_revoke(base::ByteView lookup_id) override;
    base::Result<ports::InviteRow> invite_redeem(base::ByteView lookup_id, base::ByteView redeemer,
                                                 base::UnixTime now, std::string_view table,
                                                 base::ByteView value) override;

private:
    class Database;
    static base::Result<std::unique_ptr<SqliteStore>> open_once(std::filesystem::path const& file);
    explicit SqliteStore(std::unique_ptr<Database> database);
    std::unique_ptr<Database> database_;
};

}  // namespace kith::io
