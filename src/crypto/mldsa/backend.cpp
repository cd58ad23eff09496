#include "crypto/mldsa/backend.h"

#include <numeric>

#include "crypto/keccak.h"
#include "crypto/mldsa/core.h"

namespace kith::crypto::mldsa {
namespace {

class InTreeKey final : public BackendKey {
public:
    explicit InTreeKey(MlDsa65Seed const& seed) { generate_key(seed, public_key_, expanded_); }

    [[nodiscard]] MlDsa65PublicKey const& public_key() const override { return public_key_; }

    [[nodiscard]] base::Result<MlDsa65Signature> sign(base::ByteView message,
                                                      base::ByteView context,
                                                      Secret<32> const& random) const override {
        auto const mu = KITH_TRY(represent_pure(public_key_hash(expanded_), context, message));
        return mldsa::sign(expanded_, mu, random.view());
    }

private:
    MlDsa65PublicKey public_key_;
    ExpandedKey expanded_;
};

class InTree final : public Backend {
public:
    [[nodiscard]] bool is_offered() const override { return true; }

    [[nodiscard]] std::unique_ptr<BackendKey> make_key(MlDsa65Seed const& seed) const override {
        return std::make_unique<InTreeKey>(seed);
    }

    [[nodiscard]] bool verify(MlDsa65PublicKey const& public_key, base::ByteView message,
                              base::ByteView context, base::ByteView signature) const override {
        auto const mu = represent_pure(public_key_hash(public_key), context, message);
        return mu && mldsa::verify(public_key, *mu, signature);
    }
};

// SHA3-256 of public key and signature of the self-test, by code that passes all vectors in
// tests/vectors.
constexpr base::ByteArray<32> known_answer = {
    0x7a, 0xff, 0x46, 0x1e, 0xf0, 0x21, 0x75, 0x89, 0xa5, 0xd8, 0xbb, 0x17, 0x66, 0x74, 0xe4, 0x75,
    0x13, 0x07, 0xdc, 0x1c, 0x43, 0xba, 0x4b, 0x34, 0xf3, 0x17, 0x4c, 0x55, 0x3b, 0xc8, 0xde, 0xd3};

}  // namespace

Backend const& in_tree() {
    static InTree const backend;
    return backend;
}

bool passes_self_test(Backend const& backend) {
    MlDsa65Seed seed;
    Secret<32> random;
    std::iota(seed.mutable_view().begin(), seed.mutable_view().end(), std::uint8_t{0});
    std::iota(random.mutable_view().begin(), random.mutable_view().end(), std::uint8_t{32});
    auto const message = base::as_bytes("kith");
    auto const context = base::as_bytes("self-test");
    auto const key = backend.make_key(seed);
    if (!key) return false;
    auto const signature = key->sign(message, context, random);
    if (!signature) return false;
    auto answer = base::to_bytes(key->public_key());
    base::append(answer, *signature);
    if (sha3_256(answer) != known_answer) return false;
    auto altered = *signature;
    altered.back() ^= 1;  // the count of the last row of hints: no other encoding is canonical
    auto const& public_key = key->public_key();
    return backend.verify(public_key, message, context, *signature) &&
           !backend.verify(public_key, message, context, altered) &&
           !backend.verify(public_key, message, {}, *signature) &&
           !backend.verify(public_key, context, context, *signature);
}

}  // namespace kith::crypto::mldsa
