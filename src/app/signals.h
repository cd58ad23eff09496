// app/signals.h: SIGINT, SIGTERM and SIGHUP as a function call on a thread, so that no work happens
// in a signal handler.
#pragma once

#include <functional>
#include <memory>
#include <thread>

#include "base/file_descriptor.h"
#include "base/result.h"

namespace kith::app {

// The first signal calls `first` on a thread of its own; the second ends the process at once with
// 128 + signal. Create it before any other thread exists: threads inherit the blocked signals. One
// at a time.
class SignalWatcher {
public:
    static base::Result<std::unique_ptr<SignalWatcher>> start(std::function<void()> first);
    // Stops watching and gives the signals their default meaning back.
    ~SignalWatcher();
    SignalWatcher(SignalWatcher const&) = delete;
    SignalWatcher& operator=(SignalWatcher const&) = delete;

private:
    SignalWatcher(base::FileDescriptor signals, base::FileDescriptor wake,
                  std::function<void()> first);
    void loop();

    base::FileDescriptor signals_;  // signalfd(2)
    base::FileDescriptor wake_;     // eventfd(2): readable means stop watching
    std::function<void()> first_;
    std::thread thread_;
};

}  // namespace kith::app
