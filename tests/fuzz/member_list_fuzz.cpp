// tests/fuzz/member_list_fuzz.cpp: member lists, invite certificates and epoch secrets from a
// hostile coordinator. In test builds the guards of the list's own signature and swarm are off, so
// that mutations reach the parser and the chains behind them.
#include "base/check.h"
#include "base/sabotage.h"
#include "proto/membership/epoch.h"
#include "proto/membership/member_list.h"

using namespace kith;

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
#ifdef KITH_SABOTAGE
    [[maybe_unused]] static bool const armed = [] {
        base::sabotage_arm("P4.list_signature,P4.list_swarm");
        return true;
    }();
#endif
    base::ByteView const bytes(data, size);
    proto::membership::ListChecker checker({});
    // Nobody's root has signed anything, so whatever parses is still refused.
    KITH_ASSERT(!checker.check(base::Bytes(bytes.begin(), bytes.end()), base::UnixTime{1}));
    KITH_ASSERT(!proto::membership::check_certificate(bytes, {}, {}));
    crypto::X25519PrivateKey const static_key;
    auto const half = size / 2;
    KITH_ASSERT(!proto::membership::open_epoch(
        {}, static_key, {}, {.signature = bytes.first(half), .sealed = bytes.subspan(half)}));
    return 0;
}
