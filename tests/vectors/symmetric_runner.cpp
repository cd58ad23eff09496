// AEADs, hashes and key derivation: Wycheproof, ACVP, BLAKE3's own file, RIPEMD-160's test set.
#include <sodium.h>

#include <functional>

#include "base/encoding.h"
#include "crypto/aead.h"
#include "crypto/blake3.h"
#include "crypto/hash.h"
#include "crypto/kdf.h"
#include "crypto/keccak.h"
#include "runner.h"

namespace kith::vectors {
namespace {

// ---- AEAD
// -----------------------------------------------------------------------------------------

template <class Cipher>
Verdict seal_and_open(Cipher aead, crypto::AeadNonce const& nonce, Value const& test) {
    auto const data = hex(test, "aad");
    auto const message = hex(test, "msg");
    auto sealed = hex(test, "ct");
    base::append(sealed, hex(test, "tag"));
    base::Bytes opened(
        sealed.size() < crypto::aead_tag_bytes ? 0 : sealed.size() - crypto::aead_tag_bytes);
    auto const status = aead.open(nonce, data, sealed, opened);
    if (status.has_value() != is_valid(test)) return failed("wrong verdict on opening");
    if (status && opened != message) return failed("another plaintext");
    base::Bytes ours(message.size() + crypto::aead_tag_bytes);
    if (!aead.seal(nonce, data, message, ours)) return failed("does not seal");
    return expect((ours == sealed) == is_valid(test), "seals otherwise");
}

// The key and nonce that XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha) hands to ChaCha20-Poly1305.
Verdict run_xchacha(base::ByteArray<32> const& key, base::ByteArray<24> const& nonce,
                    Value const& test) {
    crypto::AeadKey derived;
    if (::crypto_core_hchacha20(derived.mutable_view().data(), nonce.data(), key.data(), nullptr) !=
        0)
        return failed("HChaCha20 failed");
    crypto::AeadNonce short_nonce{};
    std::copy(nonce.begin() + 16, nonce.end(), short_nonce.begin() + 4);
    return seal_and_open(crypto::ChaCha20Poly1305(derived), short_nonce, test);
}

Verdict run_aes_gcm(Value const& group, Value const& test) {
    if (group.at("keySize").as_int64() != 256)
        return skipped("AES key of 128 or 192 bits: kith has AES-256 only");
    if (group.at("ivSize").as_int64() != 96 || group.at("tagSize").as_int64() != 128)
        return skipped("AES-GCM nonce other than 96 bits or tag other than 128");
    return seal_and_open(crypto::Aes256Gcm(crypto::AeadKey(array<32>(test, "key"))),
                         array<12>(test, "iv"), test);
}

// The ChaCha ciphers have one size of everything: another one must be refused, and our types
// cannot even hold it.
template <std::size_t NonceBytes>
Verdict run_chacha(Value const& test) {
    auto const key = fixed<32>(test, "key");
    auto const nonce = fixed<NonceBytes>(test, "iv");
    if (!key || !nonce) return expect(!is_valid(test), "a size that should be accepted");
    if constexpr (NonceBytes == 24)
        return run_xchacha(*key, *nonce, test);
    else
        return seal_and_open(crypto::ChaCha20Poly1305(crypto::AeadKey(*key)), *nonce, test);
}

// One ciphertext, two keys: AES-GCM does not commit to its key, so callers must never try several.
Verdict run_salamander(Value const& test) {
    auto sealed = hex(test, "ct");
    base::append(sealed, hex(test, "tag"));
    for (auto const& [key, plaintext] : {std::pair{"key1", "pt1"}, std::pair{"key2", "pt2"}}) {
        crypto::Aes256Gcm aead(crypto::AeadKey(array<32>(test, key)));
        base::Bytes out(sealed.size() - crypto::aead_tag_bytes);
        if (!aead.open(array<12>(test, "nonce"), hex(test, "aad"), sealed, out))
            return failed("does not open");
        if (out != hex(test, plaintext)) return failed("another plaintext");
    }
    return passed();
}

// ---- key derivation
// -------------------------------------------------------------------------------

Verdict run_hkdf(Value const& test) {
    auto const size = test.at("size").to_number<std::size_t>();
    if ((size <= crypto::hkdf_output_bytes_max) != is_valid(test))
        return failed("wrong verdict on the length");
    if (!is_valid(test)) return passed();
    base::Bytes out(size);
    crypto::hkdf_sha256(hex(test, "salt"), hex(test, "ikm"), hex(test, "info"), out);
    return expect(out == hex(test, "okm"), "another key");
}

Verdict run_hmac(Value const& group, Value const& test) {
    auto const size = group.at("tagSize").to_number<std::size_t>() / 8;
    auto const tag = crypto::hmac_sha256(hex(test, "key"), hex(test, "msg"));
    if (size > tag.size()) return failed("a tag longer than the hash");
    bool const equal = base::equal(base::ByteView(tag).first(size), hex(test, "tag"));
    return expect(equal == is_valid(test), "wrong verdict");
}

// ---- hashes
// ---------------------------------------------------------------------------------------

using Hash = std::function<base::Bytes(base::ByteView message, std::size_t size)>;

// The hash that ACVP means by `name`; empty when kith has no such hash.
Hash hash_named(std::string const& name) {
    auto const plain = [](auto function) -> Hash {
        return [function](base::ByteView message, std::size_t) {
            return base::to_bytes(function(message));
        };
    };
    auto const extendable = [](auto make) -> Hash {
        return [make](base::ByteView message, std::size_t size) {
            base::Bytes out(size);
            make().absorb(message).squeeze(out);
            return out;
        };
    };
    if (name == "sha3256") return plain(crypto::sha3_256);
    if (name == "sha3512")
        return plain([](base::ByteView bytes) {
            base::ByteArray<64> out;
            crypto::sha3_512(bytes, out);
            return out;
        });
    if (name == "shake128") return extendable(crypto::shake128);
    if (name == "shake256") return extendable(crypto::shake256);
    if (name == "sha256" || name == "sha2256") return plain(crypto::sha256);
    if (name == "sha512" || name == "sha2512") return plain(crypto::sha512);
    if (name == "ripemd160") return plain(crypto::ripemd160);
    return {};
}

Verdict run_hash(Hash const& hash, Value const& test) {
    if (!has(test, "md") || has(test, "largeMsg"))
        return skipped("Monte Carlo and large-data tests");
    if (has(test, "outLen") && test.at("outLen").to_number<std::size_t>() % 8 != 0)
        return skipped("digests that are not whole bytes");
    if (!has(test, "msg")) return failed("the test has no msg");
    auto message = hex(test, "msg");
    if (has(test, "len")) {
        auto const bits = test.at("len").to_number<std::size_t>();
        if (bits % 8 != 0) return skipped("messages that are not whole bytes");
        message.resize(bits / 8);  // ACVP writes "00" for the empty message
    }
    auto const expected = hex(test, "md");
    return expect(hash(message, expected.size()) == expected, "another digest");
}

Verdict run_ripemd160(Value const& test) {
    std::string message;
    auto const repeat = has(test, "repeat") ? test.at("repeat").to_number<std::size_t>() : 1;
    for (std::size_t i = 0; i < repeat; ++i) message += text(test, "ascii");
    return expect(base::equal(crypto::ripemd160(base::as_bytes(message)), hex(test, "digest")),
                  "another digest");
}

// All three modes with every kernel, at the length given and at 32 bytes.
Verdict run_blake3(crypto::Secret<32> const& key, std::string const& context, Value const& test) {
    base::Bytes input(test.at("input_len").to_number<std::size_t>());
    for (std::size_t i = 0; i < input.size(); ++i) input[i] = static_cast<std::uint8_t>(i % 251);
    for (auto const kernel : crypto::blake3_kernels) {
        for (std::string const mode : {"hash", "keyed_hash", "derive_key"}) {
            auto const expected = hex(test, mode.c_str());
            auto hasher = mode == "hash"         ? crypto::Blake3(kernel)
                          : mode == "keyed_hash" ? crypto::Blake3::keyed(key, kernel)
                                                 : crypto::Blake3::derive_key(context, kernel);
            base::Bytes out(expected.size());
            hasher.update(input).finish(out);
            if (out != expected) return failed("another digest (" + mode + ")");
            if (!base::equal(hasher.finish(), base::ByteView(expected).first(32)))
                return failed("another 32-byte digest (" + mode + ")");
        }
    }
    return passed();
}

// ---- files
// ----------------------------------------------------------------------------------------

bool run_aead_file(Value const& file, std::string const& algorithm, Report& report) {
    if (algorithm == "aesgcm") {
        report.kind = "AES-256-GCM";
        run_groups(file, report, run_aes_gcm);
    } else if (algorithm == "chacha20poly1305") {
        report.kind = "ChaCha20-Poly1305";
        run_groups(file, report,
                   [](Value const&, Value const& test) { return run_chacha<12>(test); });
    } else if (algorithm == "xchacha20poly1305") {
        report.kind = "XChaCha20-Poly1305";
        run_groups(file, report,
                   [](Value const&, Value const& test) { return run_chacha<24>(test); });
    } else {
        return false;
    }
    return true;
}

bool run_kdf_file(Value const& file, std::string const& algorithm, Report& report) {
    bool const is_hkdf = algorithm.starts_with("hkdf");
    if (!is_hkdf && !algorithm.starts_with("hmac")) return false;
    report.kind = is_hkdf ? "HKDF-SHA256" : "HMAC-SHA256";
    bool const is_ours = algorithm.ends_with("sha256") && !algorithm.ends_with("sha3256") &&
                         !algorithm.ends_with("512256");
    run_groups(file, report, [&](Value const& group, Value const& test) {
        if (!is_ours) return skipped("a hash other than SHA-256");
        return is_hkdf ? run_hkdf(test) : run_hmac(group, test);
    });
    return true;
}

bool run_hash_file(Value const& file, std::string const& algorithm, Report& report) {
    auto const hash = hash_named(algorithm);
    if (!hash) return false;
    report.kind = text(file, "algorithm");
    if (has(file, "testGroups"))
        run_groups(file, report,
                   [&hash](Value const&, Value const& test) { return run_hash(hash, test); });
    else
        run_list(file.at("tests").as_array(), report,
                 [&hash](Value const& test) { return run_hash(hash, test); });
    return true;
}

bool run_blake3_file(Value const& file, Report& report) {
    if (!has(file, "cases") || !has(file, "context_string")) return false;
    report.kind = "BLAKE3";
    auto const key = crypto::Secret<32>::from(base::as_bytes(text(file, "key")));
    auto const context = text(file, "context_string");
    run_list(file.at("cases").as_array(), report, [&](Value const& test) {
        return key ? run_blake3(*key, context, test) : failed("the key has another length");
    });
    return true;
}

}  // namespace

bool run_symmetric(Value const& file, Report& report) {
    if (!file.is_object()) return false;
    auto const algorithm = plain_name(text(file, "algorithm"));
    if (has(file, "testGroups") &&
        (run_aead_file(file, algorithm, report) || run_kdf_file(file, algorithm, report)))
        return true;
    if ((has(file, "tests") || has(file, "testGroups")) && run_hash_file(file, algorithm, report))
        return true;
    if (run_blake3_file(file, report)) return true;
    if (!has(file, "tests") || !file.at("tests").is_array() || file.at("tests").as_array().empty())
        return false;
    auto const& tests = file.at("tests").as_array();
    if (has(tests.front(), "key1") && has(tests.front(), "key2")) {
        report.kind = "AES-256-GCM key commitment";
        run_list(tests, report, run_salamander);
        return true;
    }
    if (has(tests.front(), "ascii") && has(tests.front(), "digest")) {
        report.kind = "RIPEMD-160";
        run_list(tests, report, run_ripemd160);
        return true;
    }
    return false;
}

}  // namespace kith::vectors
