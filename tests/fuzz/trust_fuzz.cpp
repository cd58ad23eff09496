// tests/fuzz/trust_fuzz.cpp: what a member sends as its nickname, and trust scores from a damaged
// store. In test builds the nickname's signature guard is off, so that mutations reach the rules
// behind it; the checksum of the scores is made right here.
#include "base/check.h"
#include "base/sabotage.h"
#include "crypto/hash.h"
#include "identity/nickname.h"
#include "trust/subnet.h"
#include "trust/trust_manager.h"

using namespace kith;

namespace {

constexpr base::UnixTime now{1'800'000'000};

void try_nickname(base::ByteView bytes) {
    auto record = identity::NicknameChecker::check(bytes);
    if (!record) return;
    identity::NicknameRegistry registry;
    auto const node = record->content().node;
    auto const kept = registry.offer(
        std::move(*record), [](auto const&) { return true; }, now);
    if (!kept) return;
    auto const& content = registry.find(node)->content();
    KITH_ASSERT(identity::check_nickname(content.name).has_value());
    KITH_ASSERT(base::seconds(content.time) <= base::seconds(now) + identity::nickname_future_max);
}

void try_scores(base::ByteView bytes) {
    auto body = base::to_bytes(bytes);
    base::append(body, crypto::sha256(bytes));
    trust::Moment const moment{base::Instant{std::chrono::seconds(1000)}, now};
    auto const manager = trust::TrustManager::import_state(body, moment);
    if (!manager) return;
    KITH_ASSERT(manager->peers_count() <= trust::peers_max);
    // What was taken can be written and read again, and no time has passed in between.
    auto const exported = manager->export_state(moment);
    auto const again = trust::TrustManager::import_state(exported, moment);
    KITH_ASSERT(again.has_value());
    KITH_ASSERT(again->export_state(moment) == exported);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
#ifdef KITH_SABOTAGE
    [[maybe_unused]] static bool const armed = [] {
        base::sabotage_arm("S30.signature");
        return true;
    }();
#endif
    base::ByteView const bytes(data, size);
    try_nickname(bytes);
    try_scores(bytes);
    (void)trust::Subnet::of(base::as_text(bytes));
    (void)identity::check_nickname(base::as_text(bytes));
    return 0;
}
