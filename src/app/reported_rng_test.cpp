#include "app/reported_rng.h"

#include <doctest/doctest.h>

#include <vector>

using namespace kith;

namespace {

struct Broken final : ports::Rng {
    bool works = false;
    base::Status fill(base::MutableByteView) override {
        if (works) return {};
        return base::fail(base::Code::io, "the generator is on fire");
    }
};

}  // namespace

TEST_CASE("a generator that fails is an error each time, and a line each time it begins to fail") {
    Broken broken;
    std::vector<std::string> lines;
    app::ReportedRng rng(broken, [&](std::string const& line) { lines.push_back(line); });
    base::ByteArray<8> out{};
    for (int i = 0; i < 3; ++i) {
        auto const drawn = rng.fill(out);
        REQUIRE_FALSE(drawn.has_value());
        CHECK(drawn.error().code == base::Code::io);
    }
    REQUIRE(lines.size() == 1);
    CHECK(lines[0].find("on fire") != std::string::npos);
    broken.works = true;
    CHECK(rng.fill(out).has_value());
    broken.works = false;
    CHECK_FALSE(rng.fill(out).has_value());
    CHECK(lines.size() == 2);
}
