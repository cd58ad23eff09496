#include "app/bench_tables.h"

#include <doctest/doctest.h>

#include "base/code_of.h"

using namespace kith;
using namespace kith::app;

namespace {

using Row = std::vector<std::string>;

constexpr char const* everything = R"({
  "prompt":   {"tokens_per_second": 700.0, "bandwidth_share": 0.021, "int8_share": 0.357},
  "decode":   {"tokens_per_second": 50.04, "bandwidth_share": 0.8, "int8_share": 0.014},
  "together": {"tokens_per_second": 300.0, "bandwidth_share": 0.5, "int8_share": 0.2},
  "layers": [{"layer": 0, "prompt_ms_per_token": 1.5625, "decode_ms_per_token": 100.0}, 7]})";

}  // namespace

TEST_CASE("what a benchmark measured is shown in people's units") {
    auto const tables = bench_tables(everything).value();
    REQUIRE(tables.speed.size() == 4);
    CHECK(tables.speed[1] == Row{"prompt", "700.0", "2", "36"});
    CHECK(tables.speed[2] == Row{"decode", "50.0", "80", "1"});
    CHECK(tables.speed[3].front() == "together");
    REQUIRE(tables.layers.size() == 2);
    CHECK(tables.layers[1] == Row{"0", "1.562", "100.000"});
}

TEST_CASE("what a benchmark did not measure is a dash, or no table") {
    auto const tables =
        bench_tables(R"({"prompt": {"tokens_per_second": 7.0}, "decode": 3})").value();
    REQUIRE(tables.speed.size() == 2);
    CHECK(tables.speed[1] == Row{"prompt", "7.0", "-", "-"});
    CHECK(tables.layers.empty());
    CHECK(code_of(bench_tables("[]")) == base::Code::invalid);
    CHECK(code_of(bench_tables("{")) == base::Code::invalid);
}
