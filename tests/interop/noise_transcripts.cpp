// tests/interop/noise_transcripts.cpp: prints the transcripts of our hybrid Noise handshakes as
// JSON lines, with everything that went in, so that an implementation we did not write can compute
// them again (hybrid_noise.mjs).
#include <iostream>
#include <string>

#include "base/encoding.h"
#include "crypto/hash.h"
#include "crypto/x25519.h"
#include "proto/noise/handshake.h"

using namespace kith;
using namespace kith::proto::noise;

namespace {

// Reproducible and different for each name.
base::ByteArray<32> drawn(std::string const& name) {
    return crypto::sha256(base::as_bytes("kith hybrid noise transcript " + name));
}

std::string quoted(base::ByteView bytes) {
    return '"' + base::to_hex(bytes) + '"';
}

struct Inputs {
    explicit Inputs(std::string const& name)
        : initiator_static(drawn(name + " is")),
          initiator_ephemeral(drawn(name + " ie")),
          responder_static(drawn(name + " rs")),
          responder_ephemeral(drawn(name + " re")),
          kem_random(drawn(name + " m")),
          psk(drawn(name + " psk")) {
        std::ranges::copy(drawn(name + " d"), kem_seed.mutable_view().begin());
        std::ranges::copy(drawn(name + " z"), kem_seed.mutable_view().begin() + 32);
    }
    PrivateKey initiator_static, initiator_ephemeral, responder_static, responder_ephemeral;
    crypto::MlKem768Seed kem_seed;
    crypto::Secret<32> kem_random, psk;
};

std::string inputs_json(Inputs const& in, std::string const& name, Cipher cipher) {
    return "\"pattern\":\"" + name + "\",\"cipher\":\"" +
           (cipher == Cipher::aes_gcm ? "AESGCM" : "ChaChaPoly") +
           "\",\"init_static\":" + quoted(in.initiator_static.view()) +
           ",\"init_ephemeral\":" + quoted(in.initiator_ephemeral.view()) +
           ",\"resp_static\":" + quoted(in.responder_static.view()) +
           ",\"resp_ephemeral\":" + quoted(in.responder_ephemeral.view()) +
           ",\"kem_seed\":" + quoted(in.kem_seed.view()) +
           ",\"kem_random\":" + quoted(in.kem_random.view()) + ",\"psk\":" + quoted(in.psk.view());
}

// Prints one transcript; false when our own two sides disagree.
bool print_transcript(std::string const& name, Cipher cipher) {
    auto const pattern = find_pattern(name).value();
    Inputs const in(name);
    auto const prologue_bytes = base::to_bytes(base::as_bytes("prologue of " + name));
    HandshakeKeys ours, theirs;
    ours.static_key = &in.initiator_static;
    ours.ephemeral_key = &in.initiator_ephemeral;
    ours.kem_seed = &in.kem_seed;
    theirs.static_key = &in.responder_static;
    theirs.ephemeral_key = &in.responder_ephemeral;
    theirs.kem_random = &in.kem_random;
    if (pattern.responder_static_known)
        ours.remote_static = crypto::x25519_public_key(in.responder_static);
    if (pattern.initiator_static_known)
        theirs.remote_static = crypto::x25519_public_key(in.initiator_static);
    if (pattern.uses(Token::psk)) ours.psks[0] = theirs.psks[0] = &in.psk;
    HandshakeState initiator(Role::initiator, pattern, cipher, prologue_bytes, ours);
    HandshakeState responder(Role::responder, pattern, cipher, prologue_bytes, theirs);
    std::string messages;
    for (std::size_t i = 0; i < pattern.messages_count; ++i) {
        auto& writer = i % 2 == 0 ? initiator : responder;
        auto& reader = i % 2 == 0 ? responder : initiator;
        base::Bytes message, payload;
        auto const text = base::to_bytes(base::as_bytes("payload " + std::to_string(i)));
        if (!writer.write_message(text, message) || !reader.read_message(message, payload) ||
            payload != text)
            return false;
        messages += std::string(i == 0 ? "" : ",") + "{\"payload\":" + quoted(text) +
                    ",\"ciphertext\":" + quoted(message) + "}";
    }
    auto const keys = initiator.split_keys();
    std::cout << '{' << inputs_json(in, name, cipher) << ",\"prologue\":" << quoted(prologue_bytes)
              << ",\"messages\":[" << messages
              << "],\"handshake_hash\":" << quoted(keys.handshake_hash)
              << ",\"to_responder\":" << quoted(keys.send.view())
              << ",\"to_initiator\":" << quoted(keys.receive.view()) << "}\n";
    return base::equal(responder.split_keys().send.view(), keys.receive.view());
}

}  // namespace

int main() {
    for (auto const* name : {"IKhfs+psk2", "XXhfs", "XXhfs+psk3", "NNhfs", "KKhfs", "NKhfs+psk0",
                             "IXhfs", "IKhfs", "XKhfs+psk3"})
        for (auto const cipher : {Cipher::chacha_poly, Cipher::aes_gcm})
            if (!print_transcript(name, cipher)) return 1;
    return 0;
}
