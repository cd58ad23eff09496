#include "proto/membership/epoch.h"

#include <doctest/doctest.h>

#include "base/code_of.h"
#include "crypto/mldsa65.h"
#include "identity/contexts.h"

using namespace kith;
using namespace kith::proto::membership;

namespace {

template <std::size_t N>
crypto::Secret<N> secret(std::uint8_t value) {
    base::ByteArray<N> bytes;
    bytes.fill(value);
    return crypto::Secret<N>(bytes);
}

struct Bench {
    crypto::MlDsa65SigningKey root{secret<32>(1)};
    crypto::X25519PrivateKey member = secret<32>(2);
    EpochRecipient recipient{.swarm_id = {{7}},
                             .epoch = 3,
                             .root_id = {{{9}}},
                             .static_key = crypto::x25519_public_key(secret<32>(2))};

    crypto::MlDsa65Signature signature(crypto::Secret<32> const& of, std::uint64_t epoch) const {
        return root
            .sign(epoch_body(recipient.swarm_id, epoch, of),
                  base::as_bytes(identity::context::epoch), secret<32>(8))
            .value();
    }
    base::Bytes sealed(crypto::Secret<32> const& what) const {
        return seal_epoch(recipient, what, secret<32>(4)).value();
    }
    base::Result<crypto::Secret<32>> open(base::ByteView sealed_bytes,
                                          base::ByteView signature_bytes) const {
        return open_epoch(recipient, member, root.public_key(),
                          {.signature = signature_bytes, .sealed = sealed_bytes});
    }
};

}  // namespace

TEST_CASE("P19: the new secret opens for the member it was sealed to, in that swarm and epoch") {
    Bench bench;
    auto const sealed = bench.sealed(secret<32>(42));
    auto const signature = bench.signature(secret<32>(42), 3);
    CHECK(sealed.size() == sealed_epoch_bytes);
    auto const opened = bench.open(sealed, signature);
    REQUIRE(opened.has_value());
    CHECK(base::equal(opened->view(), secret<32>(42).view()));

    CHECK_FALSE(open_epoch(bench.recipient, secret<32>(3), bench.root.public_key(),
                           {.signature = signature, .sealed = sealed})
                    .has_value());
    auto const right = bench.recipient;
    bench.recipient.swarm_id[0] ^= 1;
    CHECK_FALSE(bench.open(sealed, signature).has_value());
    bench.recipient = right;
    bench.recipient.epoch = 4;
    CHECK_FALSE(bench.open(sealed, signature).has_value());
    bench.recipient = right;
    bench.recipient.root_id.bytes[0] ^= 1;
    CHECK_FALSE(bench.open(sealed, signature).has_value());
    bench.recipient = right;
    for (std::size_t i = 0; i < sealed.size(); ++i) {
        auto forged = sealed;
        forged[i] ^= 1;
        CHECK_FALSE(bench.open(forged, signature).has_value());
    }
    for (std::size_t size = 0; size < sealed.size(); ++size)
        CHECK_FALSE(bench.open(base::ByteView(sealed).first(size), signature).has_value());
}

TEST_CASE("P19: a secret that the operator did not sign for this epoch is not taken") {
    Bench bench;
    auto const sealed = bench.sealed(secret<32>(42));
    CHECK_FALSE(bench.open(sealed, bench.signature(secret<32>(43), 3)).has_value());
    CHECK_FALSE(bench.open(sealed, bench.signature(secret<32>(42), 2)).has_value());
    CHECK_FALSE(bench.open(sealed, {}).has_value());
    crypto::MlDsa65SigningKey const stranger{secret<32>(5)};
    auto const forged = stranger
                            .sign(epoch_body(bench.recipient.swarm_id, 3, secret<32>(42)),
                                  base::as_bytes(identity::context::epoch), secret<32>(8))
                            .value();
    CHECK_FALSE(bench.open(sealed, forged).has_value());
}

TEST_CASE("nothing is sealed to a key of small order") {
    Bench bench;
    bench.recipient.static_key = {};
    CHECK(base::code_of(seal_epoch(bench.recipient, secret<32>(42), secret<32>(4))) ==
          base::Code::unauthorized);
}
