// ML-KEM-768 by libcrypto (OpenSSL 3.5: EVP_PKEY-ML-KEM(7), EVP_KEM-ML-KEM(7)), through calls and
// parameter names only, so that it compiles against 3.0.
#include "crypto/evp.h"
#include "crypto/mlkem/backend.h"

namespace kith::crypto::mlkem {
namespace {

constexpr char const* algorithm = "ML-KEM-768";

auto failed(char const* what) {
    return base::fail(base::Code::internal, what);
}

class LibcryptoKey final : public BackendKey {
public:
    LibcryptoKey(evp::Key key, MlKem768PublicKey const& public_key)
        : key_(std::move(key)), public_key_(public_key) {}

    [[nodiscard]] MlKem768PublicKey const& public_key() const override { return public_key_; }

    [[nodiscard]] base::Result<Secret<32>> decapsulate(
        MlKem768Ciphertext const& ciphertext) const override {
        evp::QuietErrors const quiet;
        evp::KeyContext const context(::EVP_PKEY_CTX_new_from_pkey(nullptr, key_.get(), nullptr));
        Secret<32> out;
        std::size_t size = Secret<32>::size;
        if (!context || ::EVP_PKEY_decapsulate_init(context.get(), nullptr) != 1 ||
            ::EVP_PKEY_decapsulate(context.get(), out.mutable_view().data(), &size,
                                   ciphertext.data(), ciphertext.size()) != 1 ||
            size != Secret<32>::size)
            return failed("libcrypto failed to decapsulate with ML-KEM-768");
        return out;
    }

private:
    evp::Key key_;
    MlKem768PublicKey public_key_;
};

class Libcrypto final : public Backend {
public:
    [[nodiscard]] bool is_offered() const override { return evp::offers(algorithm); }

    [[nodiscard]] std::unique_ptr<BackendKey> make_key(MlKem768Seed const& seed) const override {
        auto key = evp::key_from_seed(algorithm, seed.view());
        MlKem768PublicKey public_key{};
        if (!key || !evp::copy_public_key(key, public_key)) return nullptr;
        return std::make_unique<LibcryptoKey>(std::move(key), public_key);
    }

    [[nodiscard]] base::Result<MlKem768Encapsulation> encapsulate(
        MlKem768PublicKey const& peer, Secret<32> const& random) const override {
        evp::QuietErrors const quiet;
        auto const key = evp::key_from_public(algorithm, peer);
        if (!key) return failed("libcrypto refused an ML-KEM-768 key");
        evp::KeyContext const context(::EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr));
        // "ikme" is m of algorithm 20: ours, from the caller's generator.
        OSSL_PARAM const params[] = {evp::octets("ikme", random.view()), OSSL_PARAM_END};
        MlKem768Encapsulation out{};
        std::size_t ciphertext_size = out.ciphertext.size();
        std::size_t shared_size = Secret<32>::size;
        if (!context || ::EVP_PKEY_encapsulate_init(context.get(), params) != 1 ||
            ::EVP_PKEY_encapsulate(context.get(), out.ciphertext.data(), &ciphertext_size,
                                   out.shared.mutable_view().data(), &shared_size) != 1 ||
            ciphertext_size != out.ciphertext.size() || shared_size != Secret<32>::size)
            return failed("libcrypto failed to encapsulate with ML-KEM-768");
        return out;
    }
};

}  // namespace

Backend const& libcrypto() {
    static Libcrypto const backend;
    return backend;
}

}  // namespace kith::crypto::mlkem
