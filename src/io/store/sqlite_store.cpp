#include "io/store/sqlite_store.h"

#include <sqlite3.h>
#include <sys/stat.h>

#include <chrono>
#include "base/sabotage.h"

namespace kith::io {

using base::ByteView;
using base::Code;
using base::fail;

namespace {

constexpr int schema_version = 1;

constexpr char const* pragmas =
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA "
    "trusted_schema=OFF;"
    "PRAGMA cell_size_check=ON; PRAGMA secure_delete=ON; PRAGMA locking_mode=EXCLUSIVE;";

constexpr char const* schema =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE kv (tab TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY (tab, "
    "key)) STRICT;"
    "CREATE TABLE invite (lookup_id BLOB PRIMARY KEY, record BLOB NOT NULL, uses INTEGER NOT NULL "
    "DEFAULT 0,"
    " uses_max INTEGER NOT NULL, created INTEGER NOT NULL, expires INTEGER NOT NULL,"
    " revoked INTEGER NOT NULL DEFAULT 0, note TEXT NOT NULL) STRICT;"
    "CREATE TABLE redemption (lookup_id BLOB NOT NULL, redeemer BLOB NOT NULL, at INTEGER NOT NULL,"
    " PRIMARY KEY (lookup_id, redeemer)) STRICT;"
    "PRAGMA user_version=1;"
    "COMMIT;";

}  // namespace

// Owns the connection; a Statement is prepared, bound and stepped inside one call.
class SqliteStore::Database {
public:
    explicit Database(sqlite3* handle) : handle_(handle) {}
    Database(Database const&) = delete;
    Database& operator=(Database const&) = delete;
    ~Database() { sqlite3_close(handle_); }

    base::Error error() const {
        auto const code = sqlite3_errcode(handle_) & 0xff;
        auto const kind = code == SQLITE_BUSY || code == SQLITE_LOCKED      ? Code::conflict
                          : code == SQLITE_CORRUPT || code == SQLITE_NOTADB ? Code::corrupt
                                                                            : Code::io;
        return {kind, std::string("the state database refuses: ") + sqlite3_errmsg(handle_)};
    }
    base::Status run(char const* sql) {
        if (sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr) != SQLITE_OK)
            return std::unexpected(error());
        return {};
    }
    sqlite3* handle() { return handle_; }

private:
    sqlite3* handle_;
};

namespace {

class Statement {
public:
    Statement(sqlite3* database, char const* sql) {
        if (sqlite3_prepare_v2(database, sql, -1, &statement_, nullptr) != SQLITE_OK)
            statement_ = nullptr;
    }
    Statement(Statement const&) = delete;
    Statement& operator=(Statement const&) = delete;
    ~Statement() { sqlite3_finalize(statement_); }

    Statement& bind(ByteView bytes) {
        // A null pointer would bind NULL, not an empty blob.
        static constexpr std::uint8_t nothing = 0;
        sqlite3_bind_blob64(statement_, ++bound_, bytes.empty() ? &nothing : bytes.data(),
                            bytes.size(), SQLITE_TRANSIENT);
        return *this;
    }
    Statement& bind(std::string_view text) {
        sqlite3_bind_text64(statement_, ++bound_, text.data(), text.size(), SQLITE_TRANSIENT,
                            SQLITE_UTF8);
        return *this;
    }
    Statement& bind(std::int64_t number) {
        sqlite3_bind_int64(statement_, ++bound_, number);
        return *this;
    }
    int step() { return statement_ == nullptr ? SQLITE_ERROR : sqlite3_step(statement_); }

    base::Bytes blob(int column) const {
        auto const* data =
            static_cast<std::uint8_t const*>(sqlite3_column_blob(statement_, column));
        auto const size = static_cast<std::size_t>(sqlite3_column_bytes(statement_, column));
        return data == nullptr ? base::Bytes{} : base::Bytes(data, data + size);
    }
    std::string text(int column) const { return base::to_text(blob(column)); }
    std::int64_t number(int column) const { return sqlite3_column_int64(statement_, column); }

private:
    sqlite3_stmt* statement_ = nullptr;
    int bound_ = 0;
};

constexpr char const* invite_columns =
    "lookup_id, record, uses, uses_max, created, expires, revoked, note";

ports::InviteRow read_invite(Statement const& row) {
    return {.lookup_id = row.blob(0),
            .record = row.blob(1),
            .uses = static_cast<std::uint32_t>(row.number(2)),
            .uses_max = static_cast<std::uint32_t>(row.number(3)),
            .created = row.number(4),
            .expires = row.number(5),
            .revoked = row.number(6) != 0,
            .note = row.text(7)};
}

}  // namespace

SqliteStore::SqliteStore(std::unique_ptr<Database> database) : database_(std::move(database)) {}
SqliteStore::~SqliteStore() = default;

base::Result<std::unique_ptr<SqliteStore>> SqliteStore::open(std::filesystem::path const& file,
                                                             base::Duration patience) {
    // SQLite's own busy handler does not cover the change into exclusive WAL mode.
    constexpr auto pause = std::chrono::milliseconds(50);
    for (base::Duration waited{};; waited += pause) {
        auto store = open_once(file);
        if (store || store.error().code != Code::conflict) return store;
        if (waited >= patience)
            return fail(Code::conflict, "another kith process uses " + file.string() +
                                            "; stop it or use its socket");
        sqlite3_sleep(static_cast<int>(pause.count()));
    }
}

base::Result<std::unique_ptr<SqliteStore>> SqliteStore::open_once(
    std::filesystem::path const& file) {
    auto const old_mask = umask(0077);
    sqlite3* handle = nullptr;
    // NOFOLLOW refuses links anywhere in the path, and folders above ours may well be links (a
    // moved home): only the file itself must not be one.
    std::error_code unresolved;
    auto const folder = std::filesystem::canonical(file.parent_path(), unresolved);
    auto const resolved = unresolved ? file : folder / file.filename();
    int const opened = sqlite3_open_v2(
        resolved.c_str(), &handle,
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE,
        nullptr);
    auto database = std::make_unique<Database>(handle);
    auto const ready = opened == SQLITE_OK ? database->run(pragmas)
                                           : base::Status(std::unexpected(database->error()));
    umask(old_mask);
    KITH_TRY(ready);
    std::int64_t version = 0;
    {
        Statement check(handle, "PRAGMA quick_check(1)");
        if (check.step() != SQLITE_ROW) return std::unexpected(database->error());
        if (check.text(0) != "ok")
            return fail(Code::corrupt, file.string() + " is damaged; restore it from a backup");
        Statement select(handle, "PRAGMA user_version");
        if (select.step() != SQLITE_ROW) return std::unexpected(database->error());
        version = select.number(0);
    }
    if (version > schema_version)
        return fail(Code::unsupported,
                    "the state database was written by a newer kith; run that version");
    if (version == 0) KITH_TRY(database->run(schema));
    return std::unique_ptr<SqliteStore>(new SqliteStore(std::move(database)));
}

base::Result<std::optional<base::Bytes>> SqliteStore::get(std::string_view table, ByteView key) {
    Statement select(database_->handle(), "SELECT value FROM kv WHERE tab=? AND key=?");
    int const status = select.bind(table).bind(key).step();
    if (status == SQLITE_DONE) return std::optional<base::Bytes>{};
    if (status != SQLITE_ROW) return std::unexpected(database_->error());
    return std::optional<base::Bytes>(select.blob(0));
}

base::Status SqliteStore::put(std::string_view table, ByteView key, ByteView value) {
    Statement upsert(database_->handle(),
                     "INSERT OR REPLACE INTO kv (tab, key, value) VALUES (?, ?, ?)");
    if (upsert.bind(table).bind(key).bind(value).step() != SQLITE_DONE)
        return std::unexpected(database_->error());
    return {};
}

base::Status SqliteStore::erase(std::string_view table, ByteView key) {
    Statement remove(database_->handle(), "DELETE FROM kv WHERE tab=? AND key=?");
    if (remove.bind(table).bind(key).step() != SQLITE_DONE)
        return std::unexpected(database_->error());
    return {};
}

base::Result<std::vector<ports::Row>> SqliteStore::scan(std::string_view table,
                                                        std::size_t rows_max) {
    Statement select(database_->handle(), "SELECT key, value FROM kv WHERE tab=? ORDER BY key");
    select.bind(table);
    std::vector<ports::Row> rows;
    for (;;) {
        int const status = select.step();
        if (status == SQLITE_DONE) return rows;
        if (status != SQLITE_ROW) return std::unexpected(database_->error());
        if (rows.size() == rows_max)
            return fail(Code::too_large, "the state database has more rows than allowed");
        rows.push_back({select.blob(0), select.blob(1)});
    }
}

base::Status SqliteStore::invite_add(ports::InviteRow const& invite) {
    Statement insert(database_->handle(),
                     "INSERT INTO invite (lookup_id, record, uses_max, created, expires, note) "
                     "VALUES (?,?,?,?,?,?)");
    insert.bind(invite.lookup_id)
        .bind(invite.record)
        .bind(static_cast<std::int64_t>(invite.uses_max))
        .bind(invite.created)
        .bind(invite.expires)
        .bind(std::string_view(invite.note));
    if (insert.step() != SQLITE_DONE) return std::unexpected(database_->error());
    return {};
}

base::Result<std::vector<ports::InviteRow>> SqliteStore::invites(std::size_t rows_max) {
    auto const sql =
        std::string("SELECT ") + invite_columns + " FROM invite ORDER BY created, lookup_id";
    Statement select(database_->handle(), sql.c_str());
    std::vector<ports::InviteRow> rows;
    for (;;) {
        int const status = select.step();
        if (status == SQLITE_DONE) return rows;
        if (status != SQLITE_ROW) return std::unexpected(database_->error());
        if (rows.size() == rows_max)
            return fail(Code::too_large, "there are more invites than can be listed");
        rows.push_back(read_invite(select));
    }
}

base::Result<std::optional<ports::InviteRow>> SqliteStore::invite(ByteView lookup_id) {
    auto const sql = std::string("SELECT ") + invite_columns + " FROM invite WHERE lookup_id=?";
    Statement select(database_->handle(), sql.c_str());
    int const status = select.bind(lookup_id).step();
    if (status == SQLITE_DONE) return std::optional<ports::InviteRow>();
    if (status != SQLITE_ROW) return std::unexpected(database_->error());
    return std::optional(read_invite(select));
}

base::Status SqliteStore::invite_revoke(ByteView lookup_id) {
    Statement update(database_->handle(), "UPDATE invite SET revoked=1 WHERE lookup_id=?");
    if (update.bind(lookup_id).step() != SQLITE_DONE) return std::unexpected(database_->error());
    if (sqlite3_changes(database_->handle()) == 0)
        return fail(Code::not_found, "there is no such invite");
    return {};
}

namespace {

constexpr std::string_view expired_table = "expired_invite";

// The whole check is in one statement inside one write transaction: no time between check and use.
base::Status count_use(sqlite3* database, ByteView lookup_id, ByteView redeemer, base::UnixTime now,
                       ports::InviteRow const& invite) {
    Statement again(database, "SELECT 1 FROM redemption WHERE lookup_id=? AND redeemer=?");
    bool const redeemed_before = again.bind(lookup_id).bind(redeemer).step() == SQLITE_ROW;
    if (!KITH_GUARD("P2.revoked", !invite.revoked))
        return fail(Code::conflict, "this invite was revoked");
    if (redeemed_before) return {};
    // Once seen as expired it stays so, also when the clock is set back.
    Statement ended(database, "SELECT 1 FROM kv WHERE tab=? AND key=?");
    bool const was_alive = ended.bind(expired_table).bind(lookup_id).step() == SQLITE_DONE;
    if (!KITH_GUARD("P16.clock_back", was_alive))
        return fail(Code::timeout, "this invite has expired");
    bool const alive = invite.expires == 0 || base::seconds(now) < invite.expires;
    if (!KITH_GUARD("P16.expiry", alive)) return fail(Code::timeout, "this invite has expired");
    if (!KITH_GUARD("P16.uses", invite.uses < invite.uses_max))
        return fail(Code::conflict, "this invite is used up");
    Statement update(database, "UPDATE invite SET uses=uses+1 WHERE lookup_id=?");
    Statement insert(database, "INSERT INTO redemption (lookup_id, redeemer, at) VALUES (?,?,?)");
    if (update.bind(lookup_id).step() != SQLITE_DONE ||
        insert.bind(lookup_id).bind(redeemer).bind(base::seconds(now)).step() != SQLITE_DONE)
        return fail(Code::io, "the state database refuses to count the use of an invite");
    return {};
}

}  // namespace

base::Result<ports::InviteRow> SqliteStore::invite_redeem(ByteView lookup_id, ByteView redeemer,
                                                          base::UnixTime now,
                                                          std::string_view table, ByteView value) {
    KITH_TRY(database_->run("BEGIN IMMEDIATE"));
    auto redeem = [&]() -> base::Result<ports::InviteRow> {
        auto const found = KITH_TRY(invite(lookup_id));
        if (!found) return fail(Code::not_found, "this invite is not known here");
        KITH_TRY(count_use(database_->handle(), lookup_id, redeemer, now, *found));
        KITH_TRY(put(table, redeemer, value));
        return *found;
    }();
    auto const committed = redeem ? database_->run("COMMIT") : base::Status{};
    if (redeem && committed) return redeem;
    // Its result says nothing: after a full disk SQLite has rolled back by itself.
    (void)database_->run("ROLLBACK");
    if (redeem) return std::unexpected(committed.error());
    if (redeem.error().code == Code::timeout) (void)put(expired_table, lookup_id, {});
    return redeem;
}

}  // namespace kith::io
