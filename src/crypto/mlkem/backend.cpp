#include "crypto/mlkem/backend.h"

#include <numeric>

#include "crypto/keccak.h"
#include "crypto/mlkem/core.h"

namespace kith::crypto::mlkem {
namespace {

class InTreeKey final : public BackendKey {
public:
    explicit InTreeKey(MlKem768Seed const& seed) { generate_key(seed, public_key_, expanded_); }

    [[nodiscard]] MlKem768PublicKey const& public_key() const override { return public_key_; }

    [[nodiscard]] base::Result<Secret<32>> decapsulate(
        MlKem768Ciphertext const& ciphertext) const override {
        return mlkem::decapsulate(expanded_, ciphertext);
    }

private:
    MlKem768PublicKey public_key_;
    ExpandedKey expanded_;
};

class InTree final : public Backend {
public:
    [[nodiscard]] bool is_offered() const override { return true; }

    [[nodiscard]] std::unique_ptr<BackendKey> make_key(MlKem768Seed const& seed) const override {
        return std::make_unique<InTreeKey>(seed);
    }

    [[nodiscard]] base::Result<MlKem768Encapsulation> encapsulate(
        MlKem768PublicKey const& peer, Secret<32> const& random) const override {
        return mlkem::encapsulate(peer, random.view());
    }
};

// SHA3-256 of public key, ciphertext, its secret and the secret of the altered ciphertext, by code
// that passes all vectors in tests/vectors.
constexpr base::ByteArray<32> known_answer = {
    0x8f, 0xbf, 0x53, 0x29, 0xdc, 0xa8, 0xc7, 0x5f, 0x5e, 0xb7, 0x2b, 0xcc, 0xe9, 0xe8, 0xc2, 0xba,
    0xb8, 0x14, 0xd6, 0xbf, 0xb8, 0x7f, 0x29, 0x67, 0x0b, 0x0f, 0x65, 0xee, 0xf9, 0xb4, 0x61, 0xc0};

}  // namespace

Backend const& in_tree() {
    static InTree const backend;
    return backend;
}

bool passes_self_test(Backend const& backend) {
    MlKem768Seed seed;
    Secret<32> random;
    std::iota(seed.mutable_view().begin(), seed.mutable_view().end(), std::uint8_t{0});
    std::iota(random.mutable_view().begin(), random.mutable_view().end(), std::uint8_t{64});
    auto const key = backend.make_key(seed);
    if (!key) return false;
    auto const sent = backend.encapsulate(key->public_key(), random);
    if (!sent) return false;
    auto altered = sent->ciphertext;
    altered.back() ^= 1;
    auto const received = key->decapsulate(sent->ciphertext);
    auto const rejected = key->decapsulate(altered);
    if (!received || !rejected || !constant_time_equal(received->view(), sent->shared.view()))
        return false;
    auto answer = base::to_bytes(key->public_key());
    base::append(answer, sent->ciphertext);
    base::append(answer, received->view());
    base::append(answer, rejected->view());
    return sha3_256(answer) == known_answer;
}

}  // namespace kith::crypto::mlkem
