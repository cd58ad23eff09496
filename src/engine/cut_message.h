// engine/cut_message.h: infer::CutPlan as bytes, from the worker that read the model's file.
#pragma once

#include "base/bytes.h"
#include "base/result.h"
#include "infer/cut_plan.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace kith::engine {

void write_plan(wire::Writer& out, infer::CutPlan const& plan);
// Code::invalid when there is no such plan; what it says is for carry_out() to check.
base::Result<infer::CutPlan> read_plan(wire::Reader& in);

}  // namespace kith::engine
