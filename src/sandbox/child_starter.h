// sandbox/child_starter.h: a thread that starts processes and lives as long as this object.
//
// A child that calls end_with_parent() ends with the *thread* that started it (prctl(2),
// PR_SET_PDEATHSIG). Started here it ends with this object or with this process, whichever thread
// asked for it.
#pragma once

#include <memory>

#include "sandbox/child_process.h"

namespace kith::sandbox {

// One call at a time.
class ChildStarter {
public:
    ChildStarter();
    ChildStarter(ChildStarter&&) noexcept;
    ChildStarter& operator=(ChildStarter&& other) noexcept;
    ~ChildStarter();

    // As ChildProcess::start. Code::internal when the system gives no thread.
    base::Result<ChildProcess> start(Launch const& launch);

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace kith::sandbox
