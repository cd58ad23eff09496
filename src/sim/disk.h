// sim/disk.h: the disk of one machine: ports::Store and ports::SecretStore in memory, with power
// cuts.
//
// What a write acknowledged survives (SQLite with WAL and full sync; secret files are replaced by
// rename and fsync). A write that is under way when the power goes is there wholly or not at all:
// crash_in() decides when and which, and the write does not return: it throws Crash, so that not
// one statement of the machine runs after it. Whoever drives the machine catches it and destroys
// the machine; the disk stays.
//
// Two ways to be worse than real disks under SQLite are there as null controls, to see that the
// invariants notice: a cut that tears a value, and a disk that acknowledges without writing.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "ports/secret_store.h"
#include "ports/store.h"

namespace kith::sim {

// The machine lost power in the middle of a write. The only exception that crosses folders, in
// tests only: the machine that it flies through is destroyed.
struct Crash {};

class Disk final : public ports::Store, public ports::SecretStore {
public:
    enum class Cut {
        before,
        after,
        torn
    };                                 // torn: the first half of the value only (null control)
    enum class Sync { honest, lies };  // lies: writes reach the disk at sync() only

    struct Image {
        std::map<std::pair<std::string, base::Bytes>, base::Bytes> rows;
        std::map<base::Bytes, ports::InviteRow> invites;
        std::set<std::pair<base::Bytes, base::Bytes>> redemptions;  // (lookup id, redeemer)
        std::map<std::string, base::Bytes, std::less<>> secrets;
    };

    Disk() = default;
    explicit Disk(Sync sync) : sync_(sync) {}

    // The `writes`-th write from now on (1: the next) does not return.
    void crash_in(std::uint32_t writes, Cut cut) { crash_ = Armed{writes, cut}; }
    void disarm() { crash_.reset(); }
    // What the next start of the machine finds.
    void power_cut();
    void sync() { flushed_ = now_; }
    [[nodiscard]] std::uint64_t writes_count() const { return writes_count_; }
    [[nodiscard]] Image const& image() const { return now_; }
    void restore(Image image);  // somebody brought back a backup

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
    base::Result<base::Bytes> read(std::string_view name) override;
    base::Status replace(std::string_view name, base::ByteView secret) override;

private:
    struct Armed {
        std::uint32_t writes_left;
        Cut cut;
    };
    // Carries out one transaction, or dies in it.
    template <typename Change>
    void write(base::ByteView value, Change const& change);

    Sync sync_ = Sync::honest;
    Image now_;
    Image flushed_;
    std::optional<Armed> crash_;
    std::uint64_t writes_count_ = 0;
};

}  // namespace kith::sim
