#include "wire/frame.h"

#include <algorithm>

#include "wire/varint.h"

namespace kith::wire {

using base::Code;
using base::fail;

void append_frame(base::Bytes& out, base::ByteView message) {
    append_varint(out, message.size());
    base::append(out, message);
}

base::Result<std::optional<base::Bytes>> FrameReader::next(base::ByteView& in) {
    if (!length_) KITH_TRY(read_length(in));
    if (!length_) return std::nullopt;
    std::size_t const wanted = std::min(*length_ - body_.size(), in.size());
    base::append(body_, in.first(wanted));
    in = in.subspan(wanted);
    if (body_.size() < *length_) return std::nullopt;
    length_.reset();
    return std::exchange(body_, {});
}

base::Status FrameReader::read_length(base::ByteView& in) {
    while (!in.empty()) {
        header_.push_back(in.front());
        in = in.subspan(1);
        auto const length = KITH_TRY(read_varint(header_));
        if (!length) continue;
        if (length->value > size_max_)
            return fail(Code::too_large, "message is longer than allowed");
        header_.clear();
        length_ = static_cast<std::size_t>(length->value);
        return {};
    }
    return {};
}

}  // namespace kith::wire
