#include "sim/disk.h"

namespace kith::sim {

using base::Code;
using base::fail;

template <typename Change>
void Disk::write(base::ByteView value, Change const& change) {
    ++writes_count_;
    bool const dies = crash_ && --crash_->writes_left == 0;
    if (!dies) return change(value);
    auto const cut = crash_->cut;
    crash_.reset();
    if (cut == Cut::after) change(value);
    if (cut == Cut::torn) change(value.first(value.size() / 2));
    throw Crash{};
}

void Disk::power_cut() {
    crash_.reset();
    if (sync_ == Sync::lies) now_ = flushed_;
}

void Disk::restore(Image image) {
    now_ = std::move(image);
    flushed_ = now_;
}

base::Result<std::optional<base::Bytes>> Disk::get(std::string_view table, base::ByteView key) {
    auto const found = now_.rows.find({std::string(table), base::to_bytes(key)});
    if (found == now_.rows.end()) return std::optional<base::Bytes>{};
    return std::optional(found->second);
}

base::Status Disk::put(std::string_view table, base::ByteView key, base::ByteView value) {
    write(value, [&](base::ByteView written) {
        now_.rows.insert_or_assign({std::string(table), base::to_bytes(key)},
                                   base::to_bytes(written));
    });
    return {};
}

base::Status Disk::erase(std::string_view table, base::ByteView key) {
    write({}, [&](base::ByteView) { now_.rows.erase({std::string(table), base::to_bytes(key)}); });
    return {};
}

base::Result<std::vector<ports::Row>> Disk::scan(std::string_view table, std::size_t rows_max) {
    std::vector<ports::Row> found;
    for (auto const& [where, value] : now_.rows) {
        if (where.first != table) continue;
        if (found.size() == rows_max) return fail(Code::too_large, "too many rows");
        found.push_back({where.second, value});
    }
    return found;
}

base::Status Disk::invite_add(ports::InviteRow const& invite) {
    if (now_.invites.contains(invite.lookup_id)) return fail(Code::conflict, "the invite is there");
    write({}, [&](base::ByteView) { now_.invites.emplace(invite.lookup_id, invite); });
    return {};
}

base::Result<std::vector<ports::InviteRow>> Disk::invites(std::size_t rows_max) {
    if (now_.invites.size() > rows_max) return fail(Code::too_large, "too many invites");
    std::vector<ports::InviteRow> found;
    for (auto const& [id, invite] : now_.invites) found.push_back(invite);
    return found;
}

base::Result<std::optional<ports::InviteRow>> Disk::invite(base::ByteView lookup_id) {
    auto const found = now_.invites.find(base::to_bytes(lookup_id));
    if (found == now_.invites.end()) return std::optional<ports::InviteRow>();
    return std::optional(found->second);
}

base::Status Disk::invite_revoke(base::ByteView lookup_id) {
    auto const found = now_.invites.find(base::to_bytes(lookup_id));
    if (found == now_.invites.end()) return fail(Code::not_found, "no such invite");
    write({}, [&](base::ByteView) { found->second.revoked = true; });
    return {};
}

base::Result<ports::InviteRow> Disk::invite_redeem(base::ByteView lookup_id,
                                                   base::ByteView redeemer, base::UnixTime now,
                                                   std::string_view table, base::ByteView value) {
    auto const found = now_.invites.find(base::to_bytes(lookup_id));
    if (found == now_.invites.end()) return fail(Code::not_found, "this invite is not known here");
    auto& invite = found->second;
    std::pair const redemption(base::to_bytes(lookup_id), base::to_bytes(redeemer));
    bool const again = now_.redemptions.contains(redemption);
    if (invite.revoked) return fail(Code::conflict, "this invite was revoked");
    if (!again && invite.expires != 0 && base::seconds(now) >= invite.expires)
        return fail(Code::timeout, "this invite has expired");
    if (!again && invite.uses >= invite.uses_max)
        return fail(Code::conflict, "this invite is used up");
    write(value, [&](base::ByteView written) {
        if (!again) ++invite.uses;
        now_.redemptions.insert(redemption);
        now_.rows.insert_or_assign({std::string(table), base::to_bytes(redeemer)},
                                   base::to_bytes(written));
    });
    return invite;
}

base::Result<base::Bytes> Disk::read(std::string_view name) {
    auto const found = now_.secrets.find(name);
    if (found == now_.secrets.end()) return fail(Code::not_found, "no such secret");
    return found->second;
}

base::Status Disk::replace(std::string_view name, base::ByteView secret) {
    write(secret, [&](base::ByteView written) {
        now_.secrets.insert_or_assign(std::string(name), base::to_bytes(written));
    });
    return {};
}

}  // namespace kith::sim
