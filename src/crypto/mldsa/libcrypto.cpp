// ML-DSA-65 by libcrypto (OpenSSL 3.5: EVP_PKEY-ML-DSA(7), EVP_SIGNATURE-ML-DSA(7)), through calls
// and parameter names only, so that it compiles against 3.0.
#include "crypto/evp.h"
#include "crypto/mldsa/backend.h"

namespace kith::crypto::mldsa {
namespace {

constexpr char const* algorithm = "ML-DSA-65";

// An empty view may have no address, and libcrypto takes a null pointer for "not given".
base::ByteView with_address(base::ByteView bytes) {
    static constexpr std::uint8_t nothing = 0;
    return bytes.empty() ? base::ByteView(&nothing, std::size_t{0}) : bytes;
}

class LibcryptoKey final : public BackendKey {
public:
    LibcryptoKey(evp::Key key, MlDsa65PublicKey const& public_key)
        : key_(std::move(key)), public_key_(public_key) {}

    [[nodiscard]] MlDsa65PublicKey const& public_key() const override { return public_key_; }

    [[nodiscard]] base::Result<MlDsa65Signature> sign(base::ByteView message,
                                                      base::ByteView context,
                                                      Secret<32> const& random) const override {
        evp::QuietErrors const quiet;
        evp::DigestContext const digest(::EVP_MD_CTX_new());
        // "test-entropy" is the 32 bytes of algorithm 2 line 5: ours, from the caller's generator.
        OSSL_PARAM const params[] = {evp::octets("context-string", with_address(context)),
                                     evp::octets("test-entropy", random.view()), OSSL_PARAM_END};
        MlDsa65Signature out{};
        std::size_t size = out.size();
        auto const input = with_address(message);
        if (!digest ||
            ::EVP_DigestSignInit_ex(digest.get(), nullptr, nullptr, nullptr, nullptr, key_.get(),
                                    params) != 1 ||
            ::EVP_DigestSign(digest.get(), out.data(), &size, input.data(), input.size()) != 1 ||
            size != out.size())
            return base::fail(base::Code::internal, "libcrypto failed to sign with ML-DSA-65");
        return out;
    }

private:
    evp::Key key_;
    MlDsa65PublicKey public_key_;
};

class Libcrypto final : public Backend {
public:
    [[nodiscard]] bool is_offered() const override { return evp::offers(algorithm); }

    [[nodiscard]] std::unique_ptr<BackendKey> make_key(MlDsa65Seed const& seed) const override {
        auto key = evp::key_from_seed(algorithm, seed.view());
        MlDsa65PublicKey public_key{};
        if (!key || !evp::copy_public_key(key, public_key)) return nullptr;
        return std::make_unique<LibcryptoKey>(std::move(key), public_key);
    }

    [[nodiscard]] bool verify(MlDsa65PublicKey const& public_key, base::ByteView message,
                              base::ByteView context, base::ByteView signature) const override {
        evp::QuietErrors const quiet;
        auto const key = evp::key_from_public(algorithm, public_key);
        evp::DigestContext const digest(::EVP_MD_CTX_new());
        OSSL_PARAM const params[] = {evp::octets("context-string", with_address(context)),
                                     OSSL_PARAM_END};
        auto const input = with_address(message);
        auto const given = with_address(signature);
        return key && digest &&
               ::EVP_DigestVerifyInit_ex(digest.get(), nullptr, nullptr, nullptr, nullptr,
                                         key.get(), params) == 1 &&
               ::EVP_DigestVerify(digest.get(), given.data(), given.size(), input.data(),
                                  input.size()) == 1;
    }
};

}  // namespace

Backend const& libcrypto() {
    static Libcrypto const backend;
    return backend;
}

}  // namespace kith::crypto::mldsa
