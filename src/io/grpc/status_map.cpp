#include "io/grpc/status_map.h"

#include <array>
#include <utility>

#include "base/text.h"

namespace kith::io {
namespace {

using base::Code;
using grpc::StatusCode;

// The first line with a given code on one side is the translation; the lines after the gap only
// read foreign codes.
constexpr std::array<std::pair<Code, StatusCode>, 16> table{{
    {Code::invalid, StatusCode::INVALID_ARGUMENT},
    {Code::too_large, StatusCode::RESOURCE_EXHAUSTED},
    {Code::unauthorized, StatusCode::UNAUTHENTICATED},
    {Code::forbidden, StatusCode::PERMISSION_DENIED},
    {Code::not_found, StatusCode::NOT_FOUND},
    {Code::conflict, StatusCode::FAILED_PRECONDITION},
    {Code::unavailable, StatusCode::UNAVAILABLE},
    {Code::timeout, StatusCode::DEADLINE_EXCEEDED},
    {Code::cancelled, StatusCode::CANCELLED},
    {Code::corrupt, StatusCode::DATA_LOSS},
    {Code::io, StatusCode::ABORTED},
    {Code::unsupported, StatusCode::UNIMPLEMENTED},
    {Code::internal, StatusCode::INTERNAL},

    {Code::conflict, StatusCode::ALREADY_EXISTS},
    {Code::invalid, StatusCode::OUT_OF_RANGE},
    {Code::internal, StatusCode::UNKNOWN},
}};

// gRPC refuses broken UTF-8 in some languages.
std::string cut(std::string const& text) {
    return std::string(base::utf8_prefix(text, status_message_bytes_max));
}

}  // namespace

grpc::Status to_grpc(base::Error const& error) {
    for (auto const& [ours, theirs] : table)
        if (ours == error.code) return {theirs, cut(error.message)};
    return {StatusCode::INTERNAL, cut(error.message)};
}

base::Error from_grpc(grpc::Status const& status) {
    for (auto const& [ours, theirs] : table)
        if (theirs == status.error_code()) return {ours, status.error_message()};
    return {Code::internal, status.error_message()};
}

}  // namespace kith::io
