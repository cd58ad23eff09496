// engine/stage_worker.h: a worker process that runs layers of one model for a node.
#pragma once

namespace kith::engine {

inline constexpr char const* stage_word = "stage";

// Descriptors: 3 a stream socket (a StageStart, then StageFacts, then nothing: its end is the end
// of this process), 4 the memory of border.h, from 5 on the model's files. Confines itself before
// it reads a file.
int stage_worker();

}  // namespace kith::engine
