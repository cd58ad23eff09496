#include "proto/relay/circuit.h"

#include "base/check.h"

namespace kith::proto::relay {

base::Status Circuit::feed(End from, base::ByteView bytes) {
    auto& half = way(from);
    if (limit_.data_bytes != 0 && bytes.size() > limit_.data_bytes - half.total)
        return base::fail(base::Code::too_large, "a relayed connection has used up its data");
    half.total += bytes.size();
    base::append(half.bytes, bytes);
    return {};
}

base::ByteView Circuit::pending(End to) const {
    auto const& half = way(other(to));
    return base::ByteView(half.bytes).subspan(half.taken);
}

void Circuit::sent(End to, std::size_t size) {
    auto& half = way(other(to));
    KITH_ASSERT(size <= half.bytes.size() - half.taken);
    half.taken += size;
    // Moving the rest at every write would cost the square of the size.
    if (half.taken == half.bytes.size()) {
        half.bytes.clear();
        half.taken = 0;
    } else if (half.taken >= half.bytes.size() / 2) {
        half.bytes.erase(half.bytes.begin(),
                         half.bytes.begin() + static_cast<std::ptrdiff_t>(half.taken));
        half.taken = 0;
    }
}

bool Circuit::take_close(End to) {
    auto& half = way(other(to));
    if (!half.ended || half.closed || !half.bytes.empty()) return false;
    half.closed = true;
    return true;
}

bool Circuit::is_over() const {
    return up_.closed && down_.closed;
}

}  // namespace kith::proto::relay
