// no_heap: ML-DSA-65 and ML-KEM-768, compiled as they are shipped, ask for no memory while they do
// what they are asked: keys, secrets and all in between live in fixed arrays, where the code wipes
// them. (The text of an error is on the heap: it says what was wrong with the arguments.)
#include <cstdio>
#include <cstdlib>
#include <new>
#include <string>

#include "crypto/mldsa/core.h"
#include "crypto/mlkem/core.h"

namespace {
std::size_t allocations = 0;
}

[[gnu::noinline]] void* operator new(std::size_t size) {
    ++allocations;
    if (void* const memory = std::malloc(size)) return memory;
    std::abort();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
    std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}

namespace {

using namespace kith;

template <std::size_t N>
crypto::Secret<N> secret(std::uint8_t first) {
    crypto::Secret<N> out;
    for (auto& byte : out.mutable_view()) byte = first++;
    return out;
}

bool sign_and_verify() {
    crypto::MlDsa65PublicKey public_key;
    crypto::mldsa::ExpandedKey expanded;
    crypto::mldsa::generate_key(secret<32>(1), public_key, expanded);
    for (std::uint8_t i = 0; i < 6; ++i) {
        auto const mu = crypto::mldsa::represent_pure(crypto::mldsa::public_key_hash(expanded), {},
                                                      base::ByteView(&i, 1));
        auto const random = secret<32>(i);
        if (!mu) return false;
        auto const signature = crypto::mldsa::sign(expanded, *mu, random.view());
        if (!signature || !crypto::mldsa::verify(public_key, *mu, *signature)) return false;
    }
    return true;
}

bool agree() {
    crypto::MlKem768PublicKey public_key;
    crypto::mlkem::ExpandedKey expanded;
    crypto::mlkem::generate_key(secret<64>(1), public_key, expanded);
    auto const random = secret<32>(2);
    auto sent = crypto::mlkem::encapsulate(public_key, random.view());
    auto const received = crypto::mlkem::decapsulate(expanded, sent.ciphertext);
    sent.ciphertext[7] ^= 1;
    auto const rejected = crypto::mlkem::decapsulate(expanded, sent.ciphertext);
    return base::equal(received.view(), sent.shared.view()) &&
           !base::equal(rejected.view(), sent.shared.view());
}

}  // namespace

int main() {
    delete new int(3);
    bool const counts = allocations > 0;
    allocations = 0;
    bool const works = sign_and_verify() && agree();
    std::printf("%s - an allocation is counted\n%s - ML-DSA and ML-KEM work: %zu allocations\n",
                counts ? "ok" : "not ok", works && allocations == 0 ? "ok" : "not ok", allocations);
    return counts && works && allocations == 0 ? 0 : 1;
}
