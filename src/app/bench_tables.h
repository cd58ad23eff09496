// app/bench_tables.h: what infer::model_bench measured, as tables for people.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace kith::app {

// Rows of cells, the first of each table its heading. "-" stands for what was not measured;
// `layers` is empty when no layer was measured by itself.
struct BenchTables {
    std::vector<std::vector<std::string>> speed;
    std::vector<std::vector<std::string>> layers;
};

// `document`: the JSON text of infer::model_bench; Code::invalid for anything but an object.
base::Result<BenchTables> bench_tables(std::string_view document);

}  // namespace kith::app
