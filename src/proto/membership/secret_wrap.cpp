#include "proto/membership/secret_wrap.h"

#include "crypto/aead.h"
#include "crypto/constant_time.h"
#include "crypto/kdf.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace kith::proto::membership {

namespace {

struct WrapKeys {
    crypto::Secret<32> key;
    base::ByteArray<12> nonce{};
    base::ByteArray<32> commitment{};
};

WrapKeys derive(crypto::Secret<32> const& wrap_key, SwarmId const& swarm_id, base::ByteView salt) {
    wire::Writer info;
    info.bytes(base::as_bytes("kith/wrap/v1")).bytes(swarm_id);
    auto const material = crypto::hkdf_sha256<32 + 12 + 32>(salt, wrap_key.view(), info.view());
    WrapKeys keys;
    keys.key = crypto::Secret<32>(material.view().first<32>());
    std::ranges::copy(material.view().subspan<32, 12>(), keys.nonce.begin());
    std::ranges::copy(material.view().last<32>(), keys.commitment.begin());
    return keys;
}

}  // namespace

base::Result<base::Bytes> wrap_secret(crypto::Secret<32> const& wrap_key, SwarmId const& swarm_id,
                                      crypto::Secret<32> const& secret,
                                      base::ByteArray<24> const& salt) {
    auto const keys = derive(wrap_key, swarm_id, salt);
    base::Bytes sealed(32 + 16);
    crypto::ChaCha20Poly1305 cipher(keys.key);
    KITH_TRY(cipher.seal(keys.nonce, {}, secret.view(), sealed));
    wire::Writer writer;
    writer.bytes(salt).bytes(keys.commitment).bytes(sealed);
    return writer.take();
}

base::Result<crypto::Secret<32>> unwrap_secret(crypto::Secret<32> const& wrap_key,
                                               SwarmId const& swarm_id, base::ByteView wrapped) {
    wire::Reader reader(wrapped);
    auto const salt = KITH_TRY(reader.array<24>());
    auto const commitment = KITH_TRY(reader.array<32>());
    auto const sealed = KITH_TRY(reader.take(32 + 16));
    KITH_TRY(reader.expect_end());
    auto const keys = derive(wrap_key, swarm_id, salt);
    if (!crypto::constant_time_equal(keys.commitment, commitment))
        return base::fail(base::Code::unauthorized,
                          "the swarm secret is not wrapped for this invite");
    crypto::Secret<32> secret;
    crypto::ChaCha20Poly1305 cipher(keys.key);
    KITH_TRY(cipher.open(keys.nonce, {}, sealed, secret.mutable_view()));
    return secret;
}

}  // namespace kith::proto::membership
