// engine/stage_start.h: the two messages with which a stage worker begins, as bytes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "infer/model.h"
#include "infer/stage.h"
#include "sandbox/confinement.h"

namespace kith::engine {

inline constexpr std::size_t stage_message_bytes_max = std::size_t{64} << 10U;

// Parent to worker.
struct StageStart {
    std::vector<std::uint64_t> file_sizes;  // of the descriptors, in their order
    infer::StageOptions stage = {};
    sandbox::Limits limits = {};
    bool wants_words = false;  // words_message.h, in the shared memory
};

// Worker to parent, which checks all of it: every size is within the limits of infer/hparams.h.
struct StageFacts {
    infer::ModelInfo model;
    std::size_t kv_size = 0;  // infer::Hparams::kv_size(), for infer::KvCache::bytes_for
    int landlock_abi = 0;
    std::size_t words_bytes = 0;  // of the message that is in the shared memory
};

base::Bytes encode(StageStart const& start);
base::Result<StageStart> decode_stage_start(base::ByteView bytes);

base::Bytes encode(base::Result<StageFacts> const& facts);
// The worker's facts or its error; Code::internal when it is neither, or a size is impossible.
base::Result<StageFacts> decode_stage_facts(base::ByteView bytes);

}  // namespace kith::engine
