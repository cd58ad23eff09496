#include "proto/noise/libp2p.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/sabotage.h"
#include "crypto/x25519.h"
#include "schema/libp2p.pb.h"

namespace kith::proto::noise {

using base::Bytes;
using base::ByteView;
using base::Code;
using base::fail;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t length_bytes = 2;

Pattern xx() {
    return *find_pattern("XX");  // a row of the table
}

HandshakeKeys keys_of(Credentials const& credentials, PrivateKey const& ephemeral_key) {
    return {.static_key = &credentials.static_key(),
            .ephemeral_key = &ephemeral_key,
            .remote_static = {},
            .psks = {}};
}

// Appends a u16 length field to be filled by end_message; returns its position.
std::size_t begin_message(Bytes& out) {
    out.resize(out.size() + length_bytes);
    return out.size() - length_bytes;
}

void end_message(Bytes& out, std::size_t position) {
    auto const size = out.size() - position - length_bytes;
    KITH_ASSERT(size <= message_bytes_max);
    base::store_be(base::MutableByteView(out).subspan(position), static_cast<std::uint16_t>(size));
}

// Moves bytes from `in` to `message` until it holds a whole length-prefixed message; false: more
// are needed.
bool collect(Bytes& message, ByteView& in) {
    auto const wanted = [&message] {
        if (message.size() < length_bytes) return length_bytes;
        return length_bytes + base::load_be<std::uint16_t>(message);
    };
    while (message.size() < wanted() && !in.empty()) {
        auto const part = in.first(std::min(wanted() - message.size(), in.size()));
        base::append(message, part);
        in = in.subspan(part.size());
    }
    return message.size() >= length_bytes && message.size() == wanted();
}

// Code::unsupported: not Ed25519; Code::unauthorized: not a signature of that key over the static
// key in use.
Result<identity::PeerId> prove_peer(libp2p::NoiseHandshakePayload const& payload,
                                    PublicKey const& static_key) {
    auto const peer =
        KITH_TRY(identity::PeerId::from_protobuf(base::as_bytes(payload.identity_key())));
    crypto::Ed25519Signature signature{};
    auto const claimed = base::as_bytes(payload.identity_sig());
    bool const complete = claimed.size() == signature.size();
    if (complete) std::ranges::copy(claimed, signature.begin());
    bool const proved =
        complete &&
        crypto::ed25519_verify(peer.public_key(), Credentials::to_sign(static_key), signature);
    // One check holds both claims: the key signed (P7), and it signed the static key of this very
    // channel (S15).
    if (!KITH_GUARD("P7.noise_signature", KITH_GUARD("S15.static_binding", proved)))
        return fail(Code::unauthorized, "the peer did not prove its identity key");
    return peer;
}

std::vector<std::string> muxers_of(libp2p::NoiseHandshakePayload const& payload) {
    auto const& list = payload.extensions().stream_muxers();
    if (list.empty() || static_cast<std::size_t>(list.size()) > muxers_max) return {};
    return {list.begin(), list.end()};
}

}  // namespace

Credentials::Credentials(PrivateKey static_key, identity::PeerId identity,
                         crypto::Ed25519Signature signature)
    : static_key_(std::move(static_key)), identity_(identity), signature_(signature) {}

Bytes Credentials::to_sign(PublicKey const& static_key) {
    auto message = base::to_bytes(base::as_bytes(signature_prefix));
    base::append(message, static_key);
    return message;
}

Bytes Credentials::payload(std::vector<std::string> const& muxers) const {
    libp2p::NoiseHandshakePayload payload;
    payload.set_identity_key(base::to_text(identity_.to_protobuf()));
    payload.set_identity_sig(base::to_text(signature_));
    for (auto const& muxer : muxers) payload.mutable_extensions()->add_stream_muxers(muxer);
    return base::to_bytes(base::as_bytes(payload.SerializeAsString()));
}

Libp2pHandshake::Libp2pHandshake(HandshakeOptions options, Credentials const& credentials,
                                 PrivateKey const& ephemeral_key)
    : options_(std::move(options)),
      credentials_(credentials),
      state_(options_.role, xx(), Cipher::chacha_poly, {}, keys_of(credentials, ephemeral_key)) {
    // The first message has no payload: nothing of it is encrypted yet.
    if (options_.role == Role::initiator) KITH_ASSERT(write_message({}).has_value());
}

Status Libp2pHandshake::feed(ByteView& in) {
    while (!state_.is_finished() && !in.empty()) {
        bool const complete = collect(in_, in);
        if (in_.size() >= length_bytes && base::load_be<std::uint16_t>(in_) > handshake_message_max)
            return fail(Code::too_large, "Noise handshake message is too long");
        if (!complete) return {};
        KITH_TRY(on_message(ByteView(in_).subspan(length_bytes)));
        in_.clear();
    }
    return {};
}

Status Libp2pHandshake::on_message(ByteView message) {
    bool const is_hello =
        !greeted_ && options_.role == Role::responder;  // its payload is empty and unproven
    Bytes payload;
    KITH_TRY(state_.read_message(message, payload));
    if (is_hello) {
        greeted_ = true;
        return write_message(credentials_.payload(options_.muxers));
    }
    KITH_TRY(on_payload(payload));
    // The dialer names itself only now, to a peer that is proved to be the one it wanted.
    if (options_.role == Role::initiator)
        return write_message(credentials_.payload(options_.muxers));
    return {};
}

Status Libp2pHandshake::on_payload(ByteView bytes) {
    libp2p::NoiseHandshakePayload payload;
    if (!payload.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
        return fail(Code::invalid, "Noise handshake payload is malformed");
    auto const peer = KITH_TRY(prove_peer(payload, *state_.remote_static()));
    bool const is_expected = !options_.expected_peer || *options_.expected_peer == peer;
    if (!KITH_GUARD("P7.expected_peer", is_expected))
        return fail(Code::unauthorized, "another peer than the expected one answered");
    KITH_TRY(choose_muxer(muxers_of(payload)));
    peer_ = peer;
    return {};
}

// The first of the dialer's list that the listener has; only when both sides sent one.
Status Libp2pHandshake::choose_muxer(std::vector<std::string> const& theirs) {
    if (theirs.empty() || options_.muxers.empty()) return {};
    bool const is_dialer = options_.role == Role::initiator;
    auto const& wanted = is_dialer ? options_.muxers : theirs;
    auto const& offered = is_dialer ? theirs : options_.muxers;
    auto const found = std::ranges::find_first_of(wanted, offered);
    if (found == wanted.end()) return fail(Code::unsupported, "no stream muxer in common");
    muxer_ = *found;
    return {};
}

Status Libp2pHandshake::write_message(ByteView payload) {
    auto const position = begin_message(out_);
    auto written = state_.write_message(payload, out_);
    if (!written) {
        out_.resize(position);
        return written;
    }
    end_message(out_, position);
    return {};
}

bool Libp2pHandshake::poll_transmit(Bytes& out) {
    if (out_.empty()) return false;
    base::append(out, out_);
    out_.clear();
    return true;
}

bool Libp2pHandshake::is_finished() const {
    return state_.is_finished() && peer_.has_value();
}

HandshakeOutcome Libp2pHandshake::take_outcome() {
    KITH_ASSERT(is_finished() && out_.empty());
    auto const peer_static = *state_.remote_static();
    return {.channel = state_.split(), .peer = *peer_, .peer_static = peer_static, .muxer = muxer_};
}

Status seal_frames(CipherState& send, ByteView plaintext, Bytes& out) {
    while (!plaintext.empty()) {
        auto const part = plaintext.first(std::min(plaintext.size(), transport_plaintext_max));
        auto const position = begin_message(out);
        KITH_TRY(send.seal({}, part, out));
        end_message(out, position);
        plaintext = plaintext.subspan(part.size());
    }
    return {};
}

Status FrameOpener::feed(CipherState& receive, ByteView in, Bytes& plaintext) {
    while (!in.empty()) {
        // A frame that lies whole in `in` is opened from there, without a copy.
        if (partial_.empty() && in.size() >= length_bytes) {
            std::size_t const size = length_bytes + base::load_be<std::uint16_t>(in);
            if (in.size() >= size) {
                KITH_TRY(
                    receive.open({}, in.subspan(length_bytes, size - length_bytes), plaintext));
                in = in.subspan(size);
                continue;
            }
        }
        if (!collect(partial_, in)) return {};
        auto const whole = std::exchange(partial_, {});
        KITH_TRY(receive.open({}, ByteView(whole).subspan(length_bytes), plaintext));
    }
    return {};
}

}  // namespace kith::proto::noise
