// tests/fuzz/framing_fuzz.cpp: what every protocol reads its bytes with: varints, delimited frames,
// the walk over protobuf fields, big-endian fields.
//
// The whole input goes to all of them. Checked: a varint has one spelling; the frames of a stream
// do not depend on how it was cut, and written again they are the stream; a walk over fields that
// ends well saw what protobuf sees; a reader never hands out more than there is.
#include <vector>

#include "base/check.h"
#include "schema/libp2p.pb.h"
#include "wire/fields.h"
#include "wire/frame.h"
#include "wire/reader.h"
#include "wire/varint.h"

using namespace kith;
using base::Bytes;
using base::ByteView;

namespace {

constexpr std::size_t frame_bytes_max = 300;

void read_varint(ByteView input) {
    auto const varint = wire::read_varint(input);
    if (!varint || !*varint) return;
    KITH_ASSERT((*varint)->value <= wire::varint_value_max);
    KITH_ASSERT((*varint)->size == wire::varint_size((*varint)->value));
    Bytes again;
    wire::append_varint(again, (*varint)->value);
    KITH_ASSERT(base::equal(again, input.first((*varint)->size)));
}

struct Frames {
    std::vector<Bytes> whole;
    bool refused = false;
    bool at_boundary = true;
    bool operator==(Frames const&) const = default;
};

Frames read_frames(ByteView input, std::size_t piece) {
    Frames out;
    wire::FrameReader reader(frame_bytes_max);
    while (!input.empty() && !out.refused) {
        auto part = input.first(std::min(piece, input.size()));
        input = input.subspan(part.size());
        while (!part.empty() && !out.refused) {
            auto frame = reader.next(part);
            out.refused = !frame;
            if (frame && *frame) out.whole.push_back(std::move(**frame));
            if (frame && !*frame) KITH_ASSERT(part.empty());
        }
    }
    if (!out.refused) out.at_boundary = reader.at_boundary();
    return out;
}

void cut_frames(ByteView input) {
    auto const frames = read_frames(input, input.size());
    for (std::size_t const piece : {1U, 2U, 7U}) KITH_ASSERT(read_frames(input, piece) == frames);
    Bytes again;
    for (auto const& frame : frames.whole) {
        KITH_ASSERT(frame.size() <= frame_bytes_max);
        wire::append_frame(again, frame);
    }
    KITH_ASSERT(again.size() <= input.size() && base::equal(again, input.first(again.size())));
    bool const is_all = !frames.refused && frames.at_boundary;
    if (is_all) KITH_ASSERT(again.size() == input.size());
}

// proto/gossip and proto/kad count with the one before they parse with the other: what the walk
// passes over must not come to life in the message.
void walk_fields(ByteView input) {
    std::vector<ByteView> addresses;
    std::size_t fields_bytes = 0;
    wire::FieldReader reader(input);
    for (;;) {
        auto const field = reader.next();
        if (!field) return;
        if (!*field) break;
        fields_bytes += (*field)->bytes.size();
        if ((*field)->number == 2) addresses.push_back((*field)->bytes);
    }
    KITH_ASSERT(fields_bytes <= input.size());
    libp2p::Identify message;
    // protobuf may refuse what the walk passed (a tag beyond 32 bits): then nothing comes to life.
    if (!message.ParseFromArray(input.data(), static_cast<int>(input.size()))) return;
    KITH_ASSERT(message.listen_addrs_size() == static_cast<int>(addresses.size()));
    for (int i = 0; i < message.listen_addrs_size(); ++i)
        KITH_ASSERT(base::equal(base::as_bytes(message.listen_addrs(i)),
                                addresses[static_cast<std::size_t>(i)]));
}

void read_integers(ByteView input) {
    if (input.empty()) return;
    wire::Reader reader(input.subspan(1));
    std::size_t left = reader.rest().size();
    for (unsigned i = 0; i < 8; ++i) {
        auto const shown = (input[0] >> i & 1) != 0 ? reader.prefixed_u16(100) : reader.take(3);
        if (!shown) return;
        KITH_ASSERT(shown->size() <= 100 && shown->size() <= left);
        KITH_ASSERT(reader.rest().size() < left);
        left = reader.rest().size();
    }
    KITH_ASSERT(reader.expect_end().has_value() == (left == 0));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    ByteView const input(data, size);
    read_varint(input);
    cut_frames(input);
    walk_fields(input);
    read_integers(input);
    return 0;
}
