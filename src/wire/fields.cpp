#include "wire/fields.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <limits>

namespace kith::wire {

using base::Code;
using base::fail;
using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

namespace {

std::unexpected<base::Error> malformed() {
    return fail(Code::invalid, "a protobuf message is malformed");
}

}  // namespace

base::Result<std::optional<Field>> FieldReader::next() {
    if (rest_.size() > static_cast<std::size_t>(std::numeric_limits<int>::max()))
        return fail(Code::too_large, "a protobuf message is too large");
    CodedInputStream in(rest_.data(), static_cast<int>(rest_.size()));
    while (in.CurrentPosition() < static_cast<int>(rest_.size())) {
        auto const tag = in.ReadTag();
        auto const type = WireFormatLite::GetTagWireType(tag);
        if (WireFormatLite::GetTagFieldNumber(tag) == 0 ||
            type == WireFormatLite::WIRETYPE_START_GROUP ||
            type == WireFormatLite::WIRETYPE_END_GROUP)
            return malformed();
        if (type != WireFormatLite::WIRETYPE_LENGTH_DELIMITED) {
            if (!WireFormatLite::SkipField(&in, tag)) return malformed();
            continue;
        }
        std::uint32_t size = 0;
        if (!in.ReadVarint32(&size)) return malformed();
        auto const begin = static_cast<std::size_t>(in.CurrentPosition());
        if (size > rest_.size() - begin) return malformed();
        Field const field{.number = WireFormatLite::GetTagFieldNumber(tag),
                          .bytes = rest_.subspan(begin, size)};
        rest_ = rest_.subspan(begin + size);
        return field;
    }
    rest_ = {};
    return std::optional<Field>();
}

}  // namespace kith::wire
