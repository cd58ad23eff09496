// io/grpc/control_calls.h: the calls in progress of the control server and who may finish them.
//
//   begin() --> open --claim()--> claimed --Finish--> gone (gRPC calls OnDone, the call deletes
//   itself)
//
// A call can be ended from three sides: the handler's `done` on the loop thread, a client that went
// away on a gRPC thread, and stop(). Whoever claims it first ends it, the others find nothing. A
// claimed call stays alive until its claimer calls Finish, so no lock is held while gRPC is called
// (gRPC may run a reaction inside the call).
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

#include <grpcpp/support/status.h>

#include "api/control.h"

namespace kith::io {

using CallId = std::uint64_t;

// One call as the table sees it.
class OpenCall {
public:
    virtual ~OpenCall() = default;
    // Finishes the call without an answer. Only for the one who claimed it; the call may be gone
    // afterwards.
    virtual void abandon(grpc::Status status) = 0;
};

// Thread-safe, except where it says loop thread. Shared with closures that the loop or a handler
// may still hold after the server is gone.
class ControlCalls {
public:
    explicit ControlCalls(std::size_t calls_max) : calls_max_(calls_max) {}

    // The new call's id, or why it is refused (too many calls, or stopping).
    base::Result<CallId> begin(OpenCall& call);
    // True while nobody has claimed the call.
    bool is_open(CallId id);
    // The call, if it is still open; it belongs to the caller then.
    OpenCall* claim(CallId id);
    // Claims everything and refuses all later calls.
    std::vector<OpenCall*> close();
    // Runs `action` on the open call; the call cannot be claimed meanwhile. False when it is not
    // open.
    template <class Action>
    bool with(CallId id, Action const& action) {
        std::lock_guard const lock(mutex_);
        auto const found = calls_.find(id);
        if (found == calls_.end()) return false;
        action(*found->second);
        return true;
    }

    // Loop thread: how to cancel the work of streams. work_started() comes before the handler is
    // called, because a handler may be done before it returns; set_cancel() after a finished work
    // is ignored.
    void work_started(CallId id) { work_[id] = {}; }
    void set_cancel(CallId id, api::Cancel cancel);
    void work_done(CallId id) { work_.erase(id); }
    void cancel_work(CallId id);
    void cancel_all_work();

private:
    std::size_t const calls_max_;
    std::mutex mutex_;
    std::map<CallId, OpenCall*> calls_;
    CallId next_ = 1;
    bool closed_ = false;

    std::map<CallId, api::Cancel> work_;  // loop thread only
};

}  // namespace kith::io
