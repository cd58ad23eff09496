// tests/fuzz/envelope_fuzz.cpp: what a hostile member can say: any bytes inside a genuine session,
// on either lane, up to the dispatch rules; and any bytes in place of a sealed frame.
#include "base/check.h"
#include "node/dispatch/dispatch.h"
#include "proto/session/keyring.h"

using namespace kith;
using proto::session::Lane;

namespace {

crypto::Secret<32> secret(std::uint8_t value) {
    base::ByteArray<32> bytes;
    bytes.fill(value);
    return crypto::Secret<32>(bytes);
}

struct Session {
    Session() {
        KITH_ASSERT(us.install(1, {.send = secret(1), .receive = secret(2), .handshake_hash = {}},
                               proto::session::Side::responder, base::Instant{}));
        KITH_ASSERT(them.install(1, {.send = secret(2), .receive = secret(1), .handshake_hash = {}},
                                 proto::session::Side::initiator, base::Instant{}));
    }
    proto::session::Keyring us, them;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    base::ByteView const bytes(data, size);
    Session session;
    KITH_ASSERT(!session.us.open(bytes, base::Instant{}));  // nobody guesses a tag

    for (Lane const lane : {Lane::control, Lane::tensor}) {
        base::Bytes frame;
        if (!session.them.seal(lane, bytes, frame)) continue;
        auto const opened = session.us.open(frame, base::Instant{});
        KITH_ASSERT(opened.has_value());
        identity::NodeId const sender{};
        [[maybe_unused]] auto const inbound =
            node::Dispatcher::admit(sender, node::Rank::coordinator, *opened);
    }
    return 0;
}
