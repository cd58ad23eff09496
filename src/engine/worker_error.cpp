#include "engine/worker_error.h"

#include <algorithm>

#include "base/sabotage.h"

namespace kith::engine {

using base::Code;
using base::Error;

void write_error(wire::Writer& out, Error const& error) {
    std::string_view const message = error.message;
    out.u8(static_cast<std::uint8_t>(error.code))
        .prefixed_u16(base::as_bytes(message.substr(0, error_message_bytes_max)));
}

Error read_error(wire::Reader& in) {
    auto const code = in.u8();
    auto const message = in.prefixed_u16(error_message_bytes_max);
    if (!code || !message || !in.expect_end() || *code > static_cast<std::uint8_t>(Code::internal))
        return {Code::internal, "the model worker speaks of an unknown error"};
    return {static_cast<Code>(*code), plain_text(base::as_text(*message), error_message_bytes_max)};
}

std::string plain_text(std::string_view text, std::size_t size_max) {
    std::string out(text.substr(0, size_max));
    bool const as_it_is = KITH_GUARD("S87.plain_text", false);  // never, but in a twin of the test
    if (!as_it_is)
        std::ranges::replace_if(
            out, [](char c) { return c < 0x20 || c > 0x7e; }, '?');
    return out;
}

}  // namespace kith::engine
