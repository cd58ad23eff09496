// sandbox/child_process.h: starts a program, by default this one again, with nothing but the
// descriptors it is given.
//
// The child has its own memory from the start (exec, no fork that copies keys), no environment but
// what is given here, a process group of its own (a Ctrl-C at the terminal is the parent's to
// handle), /dev/null as standard input, output and errors, and no other descriptors. Builds with
// sabotage switches leave it the standard error, for what sanitizers say.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace kith::sandbox {

inline constexpr int first_descriptor = 3;  // in the child: the first of those it is given
inline constexpr std::size_t descriptors_given_max = 1100;

struct Launch {
    std::string program = "/proc/self/exe";
    std::vector<std::string> arguments = {};    // after the program's name
    std::vector<std::string> environment = {};  // NAME=value
    std::vector<int> descriptors = {};          // open here; 3, 4, ... in the child
};

// How a process ended: with exit(), or by a signal.
struct Ending {
    int exit = 0;
    int signal = 0;  // 0: it ended by itself
};
// "ended by signal 11 (Segmentation fault)", "ended with 1".
std::string describe(Ending const& ending);

// Owns the child: the destructor ends it (SIGKILL) and waits for it.
class ChildProcess {
public:
    // Code::too_large for too many descriptors, Code::internal when the system starts no process.
    static base::Result<ChildProcess> start(Launch const& launch);
    ChildProcess(ChildProcess&& other) noexcept;
    ChildProcess& operator=(ChildProcess&& other) noexcept;
    ~ChildProcess();

    [[nodiscard]] int id() const { return id_; }
    // Waits for its end; kill() first when it may not come by itself. Once.
    Ending wait();
    void kill();

private:
    explicit ChildProcess(int id) : id_(id) {}
    int id_ = -1;  // -1: none, or waited for
};

// For the child: ends it (SIGKILL) with the thread of the parent that started it. The parent must
// still be there; a descriptor at whose other end it sits tells whether it is.
void end_with_parent();

}  // namespace kith::sandbox
