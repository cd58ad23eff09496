#include "proto/seal/request_seal.h"

#include <algorithm>

#include "base/sabotage.h"
#include "crypto/kdf.h"
#include "wire/writer.h"

namespace kith::proto::seal {

using base::Code;
using base::fail;

namespace {

base::ByteArray<crypto::aead_nonce_bytes> nonce_of(std::uint32_t step) {
    base::ByteArray<crypto::aead_nonce_bytes> nonce{};
    base::store_be<std::uint32_t>(base::MutableByteView(nonce).last(4), step);
    return nonce;
}

base::Bytes associated_data(std::uint32_t step, base::ByteView bound) {
    wire::Writer data;
    data.u8(tag_encrypted).u32(step).bytes(bound);
    return data.take();
}

}  // namespace

base::Result<Channel> Channel::derive(crypto::X25519PrivateKey const& own,
                                      crypto::X25519PublicKey const& theirs,
                                      crypto::X25519PublicKey const& request_key,
                                      Subject const& subject, Direction direction) {
    auto const shared = KITH_TRY(crypto::x25519(own, theirs));
    wire::Writer info;
    info.bytes(base::as_bytes(direction == Direction::prompt ? "kith/tier2/prompt/v1"
                                                             : "kith/tier2/answer/v1"))
        .bytes(subject.asker.bytes)
        .bytes(subject.stage.bytes)
        .bytes(request_key);
    return Channel(crypto::hkdf_sha256<32>(subject.request, shared.view(), info.view()));
}

base::Result<Channel> Channel::at_asker(crypto::X25519PrivateKey const& request_key,
                                        crypto::X25519PublicKey const& stage_static,
                                        Subject const& subject, Direction direction) {
    return derive(request_key, stage_static, crypto::x25519_public_key(request_key), subject,
                  direction);
}

base::Result<Channel> Channel::at_stage(crypto::X25519PrivateKey const& stage_static,
                                        crypto::X25519PublicKey const& request_key,
                                        Subject const& subject, Direction direction) {
    return derive(stage_static, request_key, request_key, subject, direction);
}

base::Result<base::Bytes> Channel::seal(std::uint32_t step, base::ByteView bound,
                                        base::ByteView content) {
    if (last_step_ && step <= *last_step_)
        return fail(Code::conflict, "a step of a request was to be sealed twice");
    last_step_ = step;
    base::Bytes out(content.size() + overhead_bytes);
    out[0] = tag_encrypted;
    auto const body = base::MutableByteView(out).subspan(1);
    KITH_TRY(cipher_->seal(nonce_of(step), associated_data(step, bound), content, body));
    bool const weakened = KITH_GUARD("S9.sealed", false);  // never, but in a twin of the test
    if (weakened) std::ranges::copy(content, body.begin());
    return out;
}

base::Result<OpenedContent> Channel::open(std::uint32_t step, base::ByteView bound,
                                          base::ByteView sealed) {
    if (sealed.size() < overhead_bytes)
        return fail(Code::invalid, "the sealed part of a request is too short");
    if (!KITH_GUARD("S8.tensor_tag", sealed[0] == tag_encrypted))
        return fail(Code::invalid, "the content of a request is not encrypted; it is refused");
    bool const is_new = !last_step_ || step > *last_step_;
    if (!KITH_GUARD("S7.step", is_new))
        return fail(Code::conflict, "a step of a request was sent twice");
    base::Bytes content(sealed.size() - overhead_bytes);
    auto const opened =
        cipher_->open(nonce_of(step), associated_data(step, bound), sealed.subspan(1), content);
    if (!KITH_GUARD("S7.sealed_for", opened.has_value()))
        return fail(Code::unauthorized,
                    "the content of a request was not sealed for this request and this machine");
    last_step_ = step;
    return OpenedContent(std::move(content));
}

}  // namespace kith::proto::seal
