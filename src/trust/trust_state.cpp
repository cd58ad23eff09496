// trust/trust_state.cpp: the scores as bytes, for the time between two runs of the program.
#include <algorithm>

#include "crypto/hash.h"
#include "trust/trust_manager.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace kith::trust {

using base::Code;
using base::fail;

namespace {

constexpr std::uint8_t state_version = 1;
constexpr std::int64_t cycle_s =
    std::chrono::duration_cast<std::chrono::seconds>(health_cycle).count();

struct StoredPeer {
    PeerKey key;
    std::int64_t deviation;
    std::int64_t gained;
    std::int64_t window_began;
};

base::Result<StoredPeer> read_peer(wire::Reader& reader) {
    StoredPeer peer{};
    peer.key = KITH_TRY(reader.array<32>());
    peer.deviation = static_cast<std::int64_t>(KITH_TRY(reader.u64()));
    peer.gained = static_cast<std::int64_t>(KITH_TRY(reader.u64()));
    peer.window_began = static_cast<std::int64_t>(KITH_TRY(reader.u64()));
    bool const in_range = peer.deviation >= -deviation_max && peer.deviation <= deviation_max &&
                          peer.gained >= 0 && peer.gained <= transactions_gain_max &&
                          peer.window_began >= 0;
    if (!in_range) return fail(Code::corrupt, "a stored trust score is out of range");
    return peer;
}

}  // namespace

base::Bytes TrustManager::export_state(Moment now) const {
    wire::Writer writer;
    writer.u8(state_version)
        .u64(static_cast<std::uint64_t>(base::seconds(now.unix_time)))
        .u32(static_cast<std::uint32_t>((now.instant - cycle_began_) % health_cycle /
                                        std::chrono::microseconds(1)))
        .u16(static_cast<std::uint16_t>(peers_.size()));
    for (auto const& [key, record] : peers_)
        writer.bytes(key)
            .u64(static_cast<std::uint64_t>(record.score.deviation()))
            .u64(static_cast<std::uint64_t>(record.gained))
            .u64(static_cast<std::uint64_t>(record.window_began));
    auto const check = crypto::sha256(writer.view());
    return writer.bytes(check).take();
}

base::Result<TrustManager> TrustManager::import_state(base::ByteView bytes, Moment now) {
    if (bytes.size() < crypto::sha256_bytes)
        return fail(Code::corrupt, "the stored trust scores end too early");
    auto const body = bytes.first(bytes.size() - crypto::sha256_bytes);
    if (!base::equal(crypto::sha256(body), bytes.subspan(body.size())))
        return fail(Code::corrupt, "the stored trust scores fail their check");
    wire::Reader reader(body);
    if (KITH_TRY(reader.u8()) != state_version)
        return fail(Code::corrupt, "the trust scores were stored by another version");
    auto const stored_at = static_cast<std::int64_t>(KITH_TRY(reader.u64()));
    auto const into_cycle = std::chrono::microseconds(KITH_TRY(reader.u32()));
    auto const count = KITH_TRY(reader.u16());
    if (count > peers_max || into_cycle >= health_cycle || stored_at < 0)
        return fail(Code::corrupt, "the stored trust scores are out of range");

    TrustManager manager(now);
    std::optional<PeerKey> last;
    for (std::size_t i = 0; i < count; ++i) {
        auto const peer = KITH_TRY(read_peer(reader));
        if (last && !(*last < peer.key))
            return fail(Code::corrupt, "the stored trust scores are out of order");
        last = peer.key;
        manager.peers_[peer.key] = {.score = Score::from_deviation(peer.deviation),
                                    .gained = peer.gained,
                                    .window_began = peer.window_began,
                                    .connected = false,
                                    .seen = {},
                                    .counterparties = {}};
    }
    KITH_TRY(reader.expect_end());
    // The clock may have been wrong on either side: never decay for time that did not pass, and
    // beyond decay_cycles_max nothing is left to decay.
    auto const passed =
        std::clamp<std::int64_t>(base::seconds(now.unix_time) - stored_at, 0,
                                 static_cast<std::int64_t>(decay_cycles_max) * cycle_s);
    manager.cycle_began_ = now.instant - std::chrono::seconds(passed) - into_cycle;
    manager.advance(now);
    return manager;
}

}  // namespace kith::trust
