// engine/stream.h: whole messages over a stream socket between this process and a worker.
#pragma once

#include <chrono>

#include "base/bytes.h"
#include "base/file_descriptor.h"
#include "base/result.h"

namespace kith::engine {

struct SocketPair {
    base::FileDescriptor ours;
    base::FileDescriptor theirs;
    static base::Result<SocketPair> create();
};

// Whose end is written to. A node must not die of SIGPIPE when its worker has; a confined worker
// has no other call than write().
enum class Writer { node, worker };

// All of it, or Code::unavailable: the other end is gone.
base::Status write_all(Writer writer, int descriptor, base::ByteView bytes);

// Until the other end closes. Code::too_large past size_max; Code::timeout when nothing comes for
// `patience` (0: waits for ever); Code::unavailable when the connection breaks.
base::Result<base::Bytes> read_to_end(int descriptor, std::size_t size_max,
                                      std::chrono::milliseconds patience);

// One message with its length before it. Code::unavailable when the other end closes before its
// end, Code::too_large past size_max. The patience (0: for ever, and then for all of it) is for the
// beginning; the rest has to follow at once: Code::timeout when it trickles.
base::Status write_message(Writer writer, int descriptor, base::ByteView message);
base::Result<base::Bytes> read_message(int descriptor, std::size_t size_max,
                                       std::chrono::milliseconds patience);

}  // namespace kith::engine
