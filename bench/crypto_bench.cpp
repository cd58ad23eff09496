// bench/crypto_bench.cpp: the primitives, one core. Signing is a geometric loop: its figure is a
// mean over messages.
#include <benchmark/benchmark.h>

#include "crypto/aead.h"
#include "crypto/blake3.h"
#include "crypto/ed25519.h"
#include "crypto/hash.h"
#include "crypto/kdf.h"
#include "crypto/keccak.h"
#include "crypto/mldsa/backend.h"
#include "crypto/mlkem/backend.h"
#include "crypto/x25519.h"

using namespace kith;
using namespace kith::crypto;

namespace {

Secret<32> secret_of(std::uint8_t byte) {
    Secret<32> out;
    std::ranges::fill(out.mutable_view(), byte);
    return out;
}

void set_bytes(benchmark::State& state, std::size_t size) {
    state.SetBytesProcessed(static_cast<std::int64_t>(size) * state.iterations());
}

std::size_t size_of(benchmark::State const& state) {
    return static_cast<std::size_t>(state.range(0));
}

// ML-DSA and ML-KEM are measured for each provider by name; a libcrypto before 3.5 offers neither.
template <class Backend>
bool is_measurable(benchmark::State& state, Backend const& backend) {
    if (!backend.is_offered()) state.SkipWithError("the loaded libcrypto does not offer it");
    return backend.is_offered();
}

void mldsa65_keygen(benchmark::State& state, mldsa::Backend const& backend) {
    if (!is_measurable(state, backend)) return;
    auto const seed = secret_of(1);
    for (auto _ : state) benchmark::DoNotOptimize(backend.make_key(seed)->public_key()[0]);
}

void mldsa65_sign(benchmark::State& state, mldsa::Backend const& backend) {
    if (!is_measurable(state, backend)) return;
    auto const key = backend.make_key(secret_of(1));
    Secret<32> const random;
    std::uint64_t number = 0;
    base::ByteArray<8> message{};
    for (auto _ : state) {
        base::store_le(base::MutableByteView(message), ++number % 1024);  // the same for everybody
        benchmark::DoNotOptimize(key->sign(message, {}, random));
    }
}

void mldsa65_verification(benchmark::State& state, mldsa::Backend const& backend) {
    if (!is_measurable(state, backend)) return;
    auto const key = backend.make_key(secret_of(1));
    auto const signature = key->sign({}, {}, Secret<32>());
    for (auto _ : state)
        benchmark::DoNotOptimize(backend.verify(key->public_key(), {}, {}, *signature));
}

Secret<64> kem_seed() {
    Secret<64> out;
    std::ranges::fill(out.mutable_view(), std::uint8_t{1});
    return out;
}

void mlkem768_keygen(benchmark::State& state, mlkem::Backend const& backend) {
    if (!is_measurable(state, backend)) return;
    auto const seed = kem_seed();
    for (auto _ : state) benchmark::DoNotOptimize(backend.make_key(seed)->public_key()[0]);
}

void mlkem768_encapsulation(benchmark::State& state, mlkem::Backend const& backend) {
    if (!is_measurable(state, backend)) return;
    auto const key = backend.make_key(kem_seed());
    auto const random = secret_of(1);
    for (auto _ : state) benchmark::DoNotOptimize(backend.encapsulate(key->public_key(), random));
}

void mlkem768_decapsulation(benchmark::State& state, mlkem::Backend const& backend) {
    if (!is_measurable(state, backend)) return;
    auto const key = backend.make_key(kem_seed());
    auto const sent = backend.encapsulate(key->public_key(), secret_of(1));
    for (auto _ : state) benchmark::DoNotOptimize(key->decapsulate(sent->ciphertext));
}

void ed25519_sign(benchmark::State& state) {
    Ed25519KeyPair const key(secret_of(1));
    for (auto _ : state) benchmark::DoNotOptimize(key.sign(base::as_bytes("message")));
}

void ed25519_verification(benchmark::State& state) {
    Ed25519KeyPair const key(secret_of(1));
    auto const signature = key.sign(base::as_bytes("message"));
    for (auto _ : state)
        benchmark::DoNotOptimize(
            ed25519_verify(key.public_key(), base::as_bytes("message"), signature));
}

void x25519_shared(benchmark::State& state) {
    auto const mine = secret_of(1);
    auto const theirs = x25519_public_key(secret_of(2));
    for (auto _ : state) benchmark::DoNotOptimize(x25519(mine, theirs));
}

template <class T>
void aead_seal(benchmark::State& state) {
    T aead(secret_of(1));
    base::Bytes const message(size_of(state));
    base::Bytes out(message.size() + aead_tag_bytes);
    std::uint64_t number = 0;
    AeadNonce nonce{};
    for (auto _ : state) {
        base::store_le(base::MutableByteView(nonce), ++number);
        benchmark::DoNotOptimize(aead.seal(nonce, {}, message, out));
    }
    set_bytes(state, message.size());
}

template <class T>
void aead_open(benchmark::State& state) {
    T aead(secret_of(1));
    base::Bytes const message(size_of(state));
    base::Bytes sealed(message.size() + aead_tag_bytes);
    base::Bytes out(message.size());
    if (!aead.seal({}, {}, message, sealed)) return state.SkipWithError("seal failed");
    for (auto _ : state) benchmark::DoNotOptimize(aead.open({}, {}, sealed, out));
    set_bytes(state, message.size());
}

template <class T>
void aead_new_key(benchmark::State& state) {
    auto const key = secret_of(1);
    base::Bytes const message(64);
    base::Bytes out(message.size() + aead_tag_bytes);
    for (auto _ : state) {
        T aead(key);
        benchmark::DoNotOptimize(aead.seal({}, {}, message, out));
    }
}

template <Blake3Kernel Kernel>
void blake3_hash(benchmark::State& state) {
    base::Bytes const message(size_of(state));
    for (auto _ : state) benchmark::DoNotOptimize(Blake3(Kernel).update(message).finish());
    set_bytes(state, message.size());
}

void sha256_hash(benchmark::State& state) {
    base::Bytes const message(size_of(state));
    for (auto _ : state) benchmark::DoNotOptimize(sha256(message));
    set_bytes(state, message.size());
}

void shake128_absorb(benchmark::State& state) {
    base::Bytes const message(size_of(state));
    base::ByteArray<32> out;
    for (auto _ : state) {
        shake128().absorb(message).squeeze(out);
        benchmark::DoNotOptimize(out);
    }
    set_bytes(state, message.size());
}

void hkdf_32_bytes(benchmark::State& state) {
    auto const key = secret_of(1);
    for (auto _ : state)
        benchmark::DoNotOptimize(hkdf_sha256<32>({}, key.view(), base::as_bytes("info")));
}

BENCHMARK_CAPTURE(mldsa65_keygen, in_tree, mldsa::in_tree())->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(mldsa65_keygen, libcrypto, mldsa::libcrypto())->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(mldsa65_sign, in_tree, mldsa::in_tree())->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(mldsa65_sign, libcrypto, mldsa::libcrypto())->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(mldsa65_verification, in_tree, mldsa::in_tree())->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(mldsa65_verification, libcrypto, mldsa::libcrypto())
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(mlkem768_keygen, in_tree, mlkem::in_tree())->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(mlkem768_keygen, libcrypto, mlkem::libcrypto())->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(mlkem768_encapsulation, in_tree, mlkem::in_tree())->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(mlkem768_encapsulation, libcrypto, mlkem::libcrypto())
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(mlkem768_decapsulation, in_tree, mlkem::in_tree())->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(mlkem768_decapsulation, libcrypto, mlkem::libcrypto())
    ->Unit(benchmark::kMicrosecond);
BENCHMARK(ed25519_sign)->Unit(benchmark::kMicrosecond);
BENCHMARK(ed25519_verification)->Unit(benchmark::kMicrosecond);
BENCHMARK(x25519_shared)->Unit(benchmark::kMicrosecond);
BENCHMARK_TEMPLATE(aead_seal, ChaCha20Poly1305)->Arg(64)->Arg(1420)->Arg(16384)->Arg(1 << 20);
BENCHMARK_TEMPLATE(aead_seal, Aes256Gcm)->Arg(64)->Arg(1420)->Arg(16384)->Arg(1 << 20);
BENCHMARK_TEMPLATE(aead_open, ChaCha20Poly1305)->Arg(1420)->Arg(1 << 20);
BENCHMARK_TEMPLATE(aead_open, Aes256Gcm)->Arg(1420)->Arg(1 << 20);
BENCHMARK_TEMPLATE(aead_new_key, ChaCha20Poly1305);
BENCHMARK_TEMPLATE(aead_new_key, Aes256Gcm);
BENCHMARK_TEMPLATE(blake3_hash, Blake3Kernel::portable)->Arg(64)->Arg(16384)->Arg(1 << 20);
BENCHMARK_TEMPLATE(blake3_hash, Blake3Kernel::avx2)->Arg(64)->Arg(16384)->Arg(1 << 20);
BENCHMARK_TEMPLATE(blake3_hash, Blake3Kernel::avx512)->Arg(64)->Arg(16384)->Arg(1 << 20);
BENCHMARK(sha256_hash)->Arg(64)->Arg(1420)->Arg(1 << 20);
BENCHMARK(shake128_absorb)->Arg(1 << 20);
BENCHMARK(hkdf_32_bytes);

}  // namespace

BENCHMARK_MAIN();
