// CCTV's accumulated vectors: everything that N rounds produce goes into one hash.
#include <charconv>

#include "base/encoding.h"
#include "crypto/keccak.h"
#include "crypto/mldsa65.h"
#include "crypto/mlkem/core.h"
#include "crypto/mlkem768.h"
#include "runner.h"

namespace kith::vectors {

using namespace crypto;

namespace {

constexpr std::size_t rounds_max = 100'000;  // a minute or two in a release build

std::string mldsa65_hash(std::size_t rounds) {
    auto seeds = shake128();
    auto all = shake128();
    Secret<32> const no_random;
    for (std::size_t i = 0; i < rounds; ++i) {
        MlDsa65Seed seed;
        seeds.squeeze(seed.mutable_view());
        MlDsa65SigningKey const key(seed);
        auto const signature = key.sign({}, {}, no_random);
        if (!signature) return "no signature";
        if (!mldsa65_verify(key.public_key(), {}, {}, *signature)) return "own signature refused";
        all.absorb(key.public_key()).absorb(*signature);
    }
    base::ByteArray<32> out;
    all.squeeze(out);
    return base::to_hex(out);
}

// One genuine and one random ciphertext per round.
std::string mlkem768_hash(std::size_t rounds) {
    auto source = shake128();
    auto all = shake128();
    for (std::size_t i = 0; i < rounds; ++i) {
        MlKem768Seed seed;
        Secret<32> random;
        MlKem768Ciphertext noise;
        source.squeeze(seed.mutable_view());
        source.squeeze(random.mutable_view());
        source.squeeze(noise);
        MlKem768PublicKey public_key;
        mlkem::ExpandedKey expanded;
        mlkem::generate_key(seed, public_key, expanded);
        MlKem768PrivateKey const key(seed);
        auto const sent = mlkem768_encapsulate(key.public_key(), random);
        if (!sent) return "own key refused";
        if (!base::equal(key.decapsulate(sent->ciphertext).view(), sent->shared.view()))
            return "the two sides disagree";
        all.absorb(key.public_key()).absorb(expanded.view());
        all.absorb(sent->ciphertext).absorb(sent->shared.view());
        all.absorb(key.decapsulate(noise).view());
    }
    base::ByteArray<32> out;
    all.squeeze(out);
    return base::to_hex(out);
}

std::size_t rounds_of(std::string_view text) {
    std::size_t out = 0;
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    return error == std::errc() && end == text.data() + text.size() ? out : 0;
}

bool names_an_algorithm(std::string_view key) {
    return key.starts_with("ML-DSA-") || key.starts_with("ML-KEM-");
}

}  // namespace

bool run_accumulated(Value const& file, Report& report) {
    if (!file.is_object()) return false;
    bool found = false;
    for (auto const& [name, hashes] : file.as_object()) {
        if (!names_an_algorithm(name) || !hashes.is_object()) continue;
        found = true;
        report.kind = "accumulated hashes";
        for (auto const& [count, expected] : hashes.as_object()) {
            report.add(std::string(name) + " " + std::string(count), guarded([&] {
                           if (name != "ML-DSA-65" && name != "ML-KEM-768")
                               return skipped("parameter set other than ML-DSA-65, ML-KEM-768");
                           auto const rounds = rounds_of(count);
                           if (rounds == 0) return failed("not a number of rounds");
                           if (rounds > rounds_max) return skipped("above 100000 rounds");
                           auto const ours =
                               name == "ML-DSA-65" ? mldsa65_hash(rounds) : mlkem768_hash(rounds);
                           return expect(ours == expected.as_string(), "another hash");
                       }));
        }
    }
    return found;
}

}  // namespace kith::vectors
