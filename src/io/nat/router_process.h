// io/nat/router_process.h: asks the router (router.h) from a process of its own.
//
// What devices of the local network answer is read by C libraries that know no limit, neither of
// bytes nor of time. The process has both: limits of the kernel on memory and processor time, and
// the caller ends it when its time is over. It holds no keys, no environment and no descriptor but
// the pipe for its answer.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "io/nat/port_keeper.h"

namespace kith::io {

// The first argument of that process. Not a command for people, so no help names it.
inline constexpr char const* router_word = "router-worker";
// A search that nobody answers takes 8 s, and a slow router has some more for its part.
inline constexpr std::chrono::milliseconds router_map_patience = std::chrono::seconds(20);
inline constexpr std::chrono::milliseconds router_release_patience = std::chrono::seconds(5);
inline constexpr std::uint64_t router_memory_max = std::uint64_t{256} * 1024 * 1024;
inline constexpr std::uint64_t router_cpu_seconds_max = 20;

// main() of that process: nothing when the arguments (without the program's name) are not its own.
std::optional<int> router_main(std::vector<std::string> const& arguments);

// Router::map and Router::release in a process that runs `program`, whose main() must call
// router_main(). Code::timeout: it took longer than its patience; Code::unavailable otherwise, as
// Router::map, also when the process ended without an answer.
base::Result<PortMapping> map_in_process(PortMapping const& wanted,
                                         std::string const& program = "/proc/self/exe");
void release_in_process(PortMapping const& mapping, std::string const& program = "/proc/self/exe");

}  // namespace kith::io
