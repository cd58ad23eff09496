// engine/tool_worker.h: a worker process that looks at one model file for the command line.
#pragma once

namespace kith::engine {

inline constexpr char const* tool_word = "tool";

// Descriptors: 3 is a stream socket (one ToolRequest until its end, then one answer), 4 the model
// file. Confines itself before it reads the file.
int tool_worker();

}  // namespace kith::engine
