// tests/vectors/report.h: the verdicts over the tests of one file.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "vector_file.h"

namespace kith::vectors {

struct Verdict {
    enum class Kind { passed, failed, skipped };
    Kind kind = Kind::passed;
    std::string reason;  // of a failure or a skip
};

inline Verdict passed() {
    return {};
}
inline Verdict failed(std::string reason) {
    return {Verdict::Kind::failed, std::move(reason)};
}
// Only for what kith does not implement: never for a test that it could run.
inline Verdict skipped(std::string reason) {
    return {Verdict::Kind::skipped, std::move(reason)};
}
inline Verdict expect(bool holds, char const* reason) {
    return holds ? passed() : failed(reason);
}

struct Failure {
    std::string id;
    std::string reason;
};

struct Report {
    std::string kind;  // what the file was taken for
    std::size_t passed = 0;
    std::vector<Failure> failures;
    std::map<std::string, std::size_t> skipped;  // how many for each reason
    std::vector<std::string> notes;

    void add(std::string id, Verdict verdict);
    [[nodiscard]] std::size_t skipped_count() const;
};

// The verdict of `run`, or a failure when it throws because a field is missing or malformed.
template <class Run>
Verdict guarded(Run const& run) {
    try {
        return run();
    } catch (std::exception const& error) {
        return failed(std::string("a field is missing or malformed: ") + error.what());
    }
}

// Calls run(group, test) for every test of every group ("testGroups", as in ACVP and Wycheproof).
// A test's id is its tcId, with the number of its group where ids repeat in every group.
template <class Run>
void run_groups(Value const& file, Report& report, Run const& run) {
    for (auto const& group : file.at("testGroups").as_array()) {
        auto const prefix =
            has(group, "tgId")
                ? "tgId " + std::to_string(group.at("tgId").to_number<std::int64_t>()) + " "
                : std::string();
        for (auto const& test : group.at("tests").as_array()) {
            auto const id = std::to_string(test.at("tcId").to_number<std::int64_t>());
            report.add(prefix + "tcId " + id, guarded([&] { return run(group, test); }));
        }
    }
}

// The same for a plain list; ids are tcId or number where the test has one, else its place.
template <class Run>
void run_list(boost::json::array const& tests, Report& report, Run const& run) {
    std::size_t place = 0;
    for (auto const& test : tests) {
        std::string id = "#" + std::to_string(place++);
        if (test.is_object())
            for (char const* const key : {"tcId", "number"})
                if (has(test, key))
                    id = std::string(key) + " " +
                         std::to_string(test.at(key).to_number<std::int64_t>());
        report.add(id, guarded([&] { return run(test); }));
    }
}

}  // namespace kith::vectors
