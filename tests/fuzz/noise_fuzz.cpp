// Fuzzes the libp2p handshake and the transport frames, with keys that are the same in every run.
// First byte: 0 a listener reads the input; 1 a dialer does; 2 a finished channel does; 3 a dialer
// reads a real answer with the input XORed over it; 4 a dialer reads a correctly encrypted answer
// whose payload is the input. No input may produce a proven peer, except an unchanged real answer.
#include <cstdlib>

#include "crypto/x25519.h"
#include "proto/noise/libp2p.h"

namespace noise = kith::proto::noise;
using kith::base::Bytes;
using kith::base::ByteView;

namespace {

noise::PrivateKey key_of(std::uint8_t fill) {
    kith::base::ByteArray<32> bytes;
    bytes.fill(fill);
    return noise::PrivateKey(bytes);
}

noise::Credentials credentials_of(std::uint8_t fill) {
    kith::crypto::Ed25519KeyPair const signer(key_of(fill));
    auto static_key = key_of(static_cast<std::uint8_t>(fill + 100));
    auto const signature =
        signer.sign(noise::Credentials::to_sign(kith::crypto::x25519_public_key(static_key)));
    return {std::move(static_key), kith::identity::PeerId(signer.public_key()), signature};
}

struct Fixture {
    noise::Credentials a = credentials_of(1), b = credentials_of(2);
};

noise::Libp2pHandshake make(noise::Role role, noise::Credentials const& credentials) {
    return {{.role = role, .muxers = {"/yamux/1.0.0"}, .expected_peer = {}},
            credentials,
            key_of(role == noise::Role::initiator ? 11 : 12)};
}

void fuzz_transport(ByteView input) {
    noise::CipherState receive(noise::Cipher::chacha_poly, key_of(9));
    noise::FrameOpener opener;
    Bytes plaintext;
    while (!input.empty()) {
        auto const part = input.first(std::min<std::size_t>(1 + input[0], input.size()));
        input = input.subspan(part.size());
        if (!opener.feed(receive, part, plaintext)) break;
    }
    if (!plaintext.empty() || receive.counter() != 0)
        std::abort();  // nobody without the key gets anything in
}

void fuzz_answer(Fixture const& fixture, ByteView mask) {
    auto dialer = make(noise::Role::initiator, fixture.a);
    auto listener = make(noise::Role::responder, fixture.b);
    Bytes hello, answer;
    dialer.poll_transmit(hello);
    ByteView in = hello;
    if (!listener.feed(in)) std::abort();
    listener.poll_transmit(answer);
    bool changed = false;
    for (std::size_t i = 0; i < std::min(mask.size(), answer.size()); ++i) {
        answer[i] ^= mask[i];
        changed = changed || mask[i] != 0;
    }
    in = answer;
    bool const accepted = dialer.feed(in).has_value() && dialer.is_finished();
    if (accepted == changed) std::abort();
}

void fuzz_payload(Fixture const& fixture, ByteView payload) {
    if (payload.size() > 4000) return;
    auto dialer = make(noise::Role::initiator, fixture.a);
    auto const ephemeral = key_of(12), static_key = key_of(66);
    noise::HandshakeState evil(
        noise::Role::responder, *noise::find_pattern("XX"), noise::Cipher::chacha_poly, {},
        {.static_key = &static_key, .ephemeral_key = &ephemeral, .remote_static = {}, .psks = {}});
    Bytes hello, ignored, answer;
    dialer.poll_transmit(hello);
    if (!evil.read_message(ByteView(hello).subspan(2), ignored)) std::abort();
    if (!evil.write_message(payload, answer)) std::abort();
    Bytes framed{static_cast<std::uint8_t>(answer.size() >> 8),
                 static_cast<std::uint8_t>(answer.size())};
    kith::base::append(framed, answer);
    ByteView in = framed;
    if (dialer.feed(in).has_value())
        std::abort();  // the input holds no signature over this static key
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    static Fixture const fixture;
    if (size == 0) return 0;
    ByteView const input(data + 1, size - 1);
    switch (data[0] % 5) {
        case 2:
            fuzz_transport(input);
            return 0;
        case 3:
            fuzz_answer(fixture, input);
            return 0;
        case 4:
            fuzz_payload(fixture, input);
            return 0;
        default:
            break;
    }
    bool const listens = data[0] % 5 == 0;
    auto machine = make(listens ? noise::Role::responder : noise::Role::initiator,
                        listens ? fixture.b : fixture.a);
    ByteView in = input;
    if (machine.feed(in).has_value() && machine.is_finished()) std::abort();
    Bytes out;
    machine.poll_transmit(out);
    return 0;
}
