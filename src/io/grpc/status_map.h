// io/grpc/status_map.h: base::Code and grpc::StatusCode, one table for both directions, so that the
// command line gets the same code and the same sentence that the handler wrote.
#pragma once

#include <grpcpp/support/status.h>

#include "base/result.h"

namespace kith::io {

// Longer sentences are cut: gRPC carries them in a header that is limited to 8 KiB.
inline constexpr std::size_t status_message_bytes_max = 1024;

grpc::Status to_grpc(base::Error const& error);

// Codes that our servers never send become the nearest of ours.
base::Error from_grpc(grpc::Status const& status);

}  // namespace kith::io
