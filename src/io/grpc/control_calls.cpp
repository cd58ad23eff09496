#include "io/grpc/control_calls.h"

#include <utility>

namespace kith::io {

base::Result<CallId> ControlCalls::begin(OpenCall& call) {
    std::lock_guard const lock(mutex_);
    if (closed_) return base::fail(base::Code::unavailable, "kith is stopping");
    if (calls_.size() >= calls_max_)
        return base::fail(base::Code::too_large,
                          "too many calls at once; wait until one of them is finished");
    auto const id = next_++;
    calls_[id] = &call;
    return id;
}

bool ControlCalls::is_open(CallId id) {
    std::lock_guard const lock(mutex_);
    return calls_.contains(id);
}

OpenCall* ControlCalls::claim(CallId id) {
    std::lock_guard const lock(mutex_);
    auto const found = calls_.find(id);
    if (found == calls_.end()) return nullptr;
    auto* const call = found->second;
    calls_.erase(found);
    return call;
}

std::vector<OpenCall*> ControlCalls::close() {
    std::lock_guard const lock(mutex_);
    closed_ = true;
    std::vector<OpenCall*> open;
    open.reserve(calls_.size());
    for (auto const& [id, call] : calls_) open.push_back(call);
    calls_.clear();
    return open;
}

void ControlCalls::set_cancel(CallId id, api::Cancel cancel) {
    auto const found = work_.find(id);
    if (found != work_.end()) found->second = std::move(cancel);
}

void ControlCalls::cancel_work(CallId id) {
    auto work = work_.extract(id);
    if (!work.empty() && work.mapped()) work.mapped()();
}

void ControlCalls::cancel_all_work() {
    auto const all = std::exchange(work_, {});
    for (auto const& [id, cancel] : all)
        if (cancel) cancel();
}

}  // namespace kith::io
