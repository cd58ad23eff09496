// engine/worker_test_support.h: the worker of the tests (tests/engine_worker.cpp).
#pragma once

#include <string>

#include "engine/worker_program.h"

namespace kith::engine {

// With the switches that this run has, and a flaw of planted_flaw.h. `path` empty: the one that was
// built.
WorkerProgram worker(std::string const& flaw = "none", std::string const& path = {});

}  // namespace kith::engine
