#include "proto/yamux/frame.h"

namespace kith::proto::yamux {

void append_header(base::Bytes& out, Header const& header) {
    base::ByteArray<header_bytes> bytes;
    base::MutableByteView const view(bytes);
    bytes[0] = version;
    bytes[1] = static_cast<std::uint8_t>(header.type);
    base::store_be(view.subspan(2), header.flags);
    base::store_be(view.subspan(4), header.stream);
    base::store_be(view.subspan(8), header.length);
    base::append(out, bytes);
}

base::Result<Header> parse_header(base::ByteArray<header_bytes> const& bytes) {
    base::ByteView const view(bytes);
    if (bytes[0] != version)
        return base::fail(base::Code::invalid, "yamux frame of another version");
    if (bytes[1] > static_cast<std::uint8_t>(Type::go_away))
        return base::fail(base::Code::invalid, "yamux frame of unknown type");
    return Header{.type = static_cast<Type>(bytes[1]),
                  .flags = base::load_be<std::uint16_t>(view.subspan(2)),
                  .stream = base::load_be<std::uint32_t>(view.subspan(4)),
                  .length = base::load_be<std::uint32_t>(view.subspan(8))};
}

}  // namespace kith::proto::yamux
