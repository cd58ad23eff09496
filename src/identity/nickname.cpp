#include "identity/nickname.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/check.h"
#include "base/sabotage.h"
#include "identity/contexts.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace kith::identity {

using base::Code;
using base::fail;

namespace {

constexpr std::uint8_t record_version = 1;

struct Range {
    char32_t first;
    char32_t last;
};
// Unicode 15: control characters, line and paragraph separators, marks of direction (UAX #9), what
// has no width or shape, variation selectors and tags, and what is no character.
constexpr std::array refused_ranges{
    Range{0x0000, 0x001f},    Range{0x007f, 0x009f}, Range{0x00ad, 0x00ad}, Range{0x034f, 0x034f},
    Range{0x061c, 0x061c},    Range{0x115f, 0x1160}, Range{0x17b4, 0x17b5}, Range{0x180b, 0x180f},
    Range{0x200b, 0x200f},    Range{0x2028, 0x202e}, Range{0x2060, 0x206f}, Range{0x3164, 0x3164},
    Range{0xd800, 0xdfff},    Range{0xe000, 0xf8ff}, Range{0xfdd0, 0xfdef}, Range{0xfe00, 0xfe0f},
    Range{0xfeff, 0xfeff},    Range{0xffa0, 0xffa0}, Range{0xfff0, 0xfffb}, Range{0xfffe, 0xffff},
    Range{0xe0000, 0x10ffff},
};
// Spaces of other widths look like none at an end or like the usual one inside.
constexpr std::array other_spaces{
    Range{0x00a0, 0x00a0}, Range{0x1680, 0x1680}, Range{0x2000, 0x200a},
    Range{0x202f, 0x202f}, Range{0x205f, 0x205f}, Range{0x3000, 0x3000},
};

bool is_in(auto const& ranges, char32_t point) {
    return std::ranges::any_of(ranges, [point](Range const& range) {
        return point >= range.first && point <= range.last;
    });
}

// The character at the front, which is removed; nullopt: no valid UTF-8 (RFC 3629).
std::optional<char32_t> take_character(std::string_view& text) {
    auto const lead = static_cast<unsigned char>(text.front());
    std::size_t const length = lead < 0x80                    ? 1
                               : lead >= 0xc2 && lead <= 0xdf ? 2
                               : lead >= 0xe0 && lead <= 0xef ? 3
                               : lead >= 0xf0 && lead <= 0xf4 ? 4
                                                              : 0;
    if (length == 0 || text.size() < length) return std::nullopt;
    char32_t point = length == 1 ? lead : lead & (0x7fU >> length);
    for (std::size_t i = 1; i < length; ++i) {
        auto const next = static_cast<unsigned char>(text[i]);
        if ((next & 0xc0U) != 0x80U) return std::nullopt;
        point = (point << 6) | (next & 0x3fU);
    }
    constexpr std::array<char32_t, 5> smallest{0, 0, 0x80, 0x800, 0x10000};
    if (point < smallest[length] || point > 0x10ffff) return std::nullopt;
    text.remove_prefix(length);
    return point;
}

base::Bytes to_sign(base::ByteView body) {
    auto message = base::to_bytes(base::as_bytes(context::nickname));
    base::append(message, body);
    return message;
}

}  // namespace

base::Status check_nickname(std::string_view name) {
    if (name.empty()) return fail(Code::invalid, "a nickname has 1 to 32 characters");
    if (name.front() == ' ' || name.back() == ' ')
        return fail(Code::invalid, "a nickname has no space at its beginning or end");
    std::size_t count = 0;
    while (!name.empty()) {
        auto const point = take_character(name);
        if (!point) return fail(Code::invalid, "a nickname is text in UTF-8");
        bool const is_plain = !is_in(refused_ranges, *point) && !is_in(other_spaces, *point);
        if (!KITH_GUARD("S30.characters", is_plain))
            return fail(Code::invalid,
                        "a nickname has no control characters and nothing invisible in it");
        if (++count > nickname_chars_max)
            return fail(Code::invalid, "a nickname has at most 32 characters");
    }
    return {};
}

base::Bytes sign_nickname(Identity const& identity, std::string const& name, base::UnixTime time,
                          std::uint64_t sequence) {
    KITH_ASSERT(check_nickname(name).has_value());
    wire::Writer writer;
    writer.u8(record_version)
        .bytes(identity.node_id().bytes)
        .u64(static_cast<std::uint64_t>(base::seconds(time)))
        .u64(sequence)
        .prefixed_u16(base::as_bytes(name));
    auto const signature = identity.sign_operational(to_sign(writer.view()));
    return writer.bytes(signature).take();
}

VerifiedNickname::VerifiedNickname(Nickname content, base::Bytes encoded)
    : content_(std::move(content)), encoded_(std::move(encoded)), hash_(crypto::sha256(encoded_)) {}

base::Result<VerifiedNickname> NicknameChecker::check(base::ByteView record) {
    if (record.size() > nickname_record_bytes_max)
        return fail(Code::too_large, "a nickname record is too large");
    wire::Reader reader(record);
    if (KITH_TRY(reader.u8()) != record_version)
        return fail(Code::invalid, "a nickname record is of another version");
    Nickname content;
    content.node.bytes = KITH_TRY(reader.array<32>());
    content.time = base::UnixTime{static_cast<std::int64_t>(KITH_TRY(reader.u64()))};
    content.sequence = KITH_TRY(reader.u64());
    content.name = base::to_text(KITH_TRY(reader.prefixed_u16(nickname_bytes_max)));
    auto const signature = KITH_TRY(reader.array<64>());
    KITH_TRY(reader.expect_end());
    auto const body = record.first(record.size() - signature.size());
    bool const is_signed = crypto::ed25519_verify(content.node.bytes, to_sign(body), signature);
    if (!KITH_GUARD("S30.signature", is_signed))
        return fail(Code::unauthorized, "a nickname is not signed by its node");
    return VerifiedNickname(std::move(content), base::to_bytes(record));
}

base::Result<bool> NicknameRegistry::offer(VerifiedNickname record, IsMember const& is_member,
                                           base::UnixTime now) {
    auto const& content = record.content();
    if (!KITH_GUARD("S31.member", is_member(content.node)))
        return fail(Code::forbidden, "only members have nicknames here");
    KITH_TRY(check_nickname(content.name));
    bool const is_now = base::seconds(content.time) <= base::seconds(now) + nickname_future_max;
    if (!KITH_GUARD("S30.future", is_now))
        return fail(Code::invalid, "a nickname is dated in the future");
    auto const found = names_.find(content.node);
    if (found == names_.end()) {
        if (names_.size() >= nicknames_max) keep(is_member);
        if (!KITH_GUARD("S31.cap", names_.size() < nicknames_max))
            return fail(Code::too_large, "there are too many nicknames");
        names_.emplace(content.node, std::move(record));
        return true;
    }
    auto const& known = found->second.content();
    bool const is_newer = content.time > known.time ||
                          (content.time == known.time && record.hash() < found->second.hash());
    if (!KITH_GUARD("S30.newest", is_newer)) return false;
    if (content.time > known.time && content.sequence <= known.sequence)
        return fail(Code::conflict,
                    "a nickname is later than the one before, but not its successor");
    found->second = std::move(record);
    return true;
}

void NicknameRegistry::keep(IsMember const& is_member) {
    std::erase_if(names_, [&](auto const& entry) { return !is_member(entry.first); });
}

VerifiedNickname const* NicknameRegistry::find(NodeId const& node) const {
    auto const found = names_.find(node);
    return found == names_.end() ? nullptr : &found->second;
}

}  // namespace kith::identity
