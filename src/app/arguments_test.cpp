#include "app/arguments.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "app/output.h"
#include "app/process_inputs.h"

using namespace kith;
using namespace kith::app;

namespace {

// An argv that may be written to, as the kernel gives it.
struct Argv {
    explicit Argv(std::vector<std::string> words) : storage(std::move(words)) {
        for (auto& word : storage) pointers.push_back(word.data());
        pointers.push_back(nullptr);
    }
    std::vector<std::string> take() {
        return take_arguments(static_cast<int>(storage.size()), pointers.data());
    }
    [[nodiscard]] bool shows(std::string_view secret) const {
        for (auto const& word : storage)
            if (word.find(secret) != std::string::npos) return true;
        return false;
    }
    std::vector<std::string> storage;
    std::vector<char*> pointers;
};

}  // namespace

TEST_CASE("uses are 1 to 10000") {
    CHECK(*parse_uses("1") == 1);
    CHECK(*parse_uses("10000") == 10000);
    for (auto const* const text : {"0", "-1", "10001", "", "1.5", "NaN", "1e3", " 1", "4294967297"})
        CHECK_FALSE(parse_uses(text).has_value());
}

TEST_CASE("P16: hours are above 0 and at most a year") {
    CHECK(*parse_hours("24") == 24);
    CHECK(*parse_hours("0.5") == 0.5);
    CHECK(*parse_hours("8760") == 8760);
    for (auto const* const text : {"0", "0.0", "-0", "-1", "8760.001", "NaN", "nan", "-nan", "inf",
                                   "1e308", "1e309", "1e-400", "", "24h", "0x18", " 24"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_hours(text).has_value());
    }
}

TEST_CASE("shard lists are numbers and ranges") {
    using Shards = std::vector<std::uint32_t>;
    CHECK(*parse_shards("1") == Shards{1});
    CHECK(*parse_shards("1-2") == Shards{1, 2});
    CHECK(*parse_shards("3-5,0,4") == Shards{0, 3, 4, 5});
    CHECK(parse_shards("0-9999")->size() == 10000);
    for (auto const* const text : {"", ",", "1,", "2-1", "-1", "1-", "a", "1 2", "0-10000",
                                   "0-4294967295", "0-9999,0-9999,0-9999"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_shards(text).has_value());
    }
}

TEST_CASE("P21: a token among the arguments is copied and overwritten at once") {
    for (auto const& words : std::vector<std::vector<std::string>>{
             {"kith", "join", "kith1SECRET"},
             {"kith", "--json", "login", "--quiet", "kith1SECRET"},
             {"kith", "join", "oddly-spelled-SECRET"},
             {"kith", "kith1SECRET"},
             {"kith", "join", "--token=kith1SECRET"},
             {"kith", "serve", "--api-key", "SECRET"},
             {"kith", "serve", "--api-key=SECRET"}}) {
        Argv argv(words);
        auto const taken = argv.take();
        CHECK_FALSE(argv.shows("SECRET"));
        CHECK(argv.storage.front() == "kith");
        CHECK(taken == std::vector<std::string>(words.begin() + 1, words.end()));
    }
}

TEST_CASE("other arguments stay readable, so that ps still says what runs") {
    Argv argv({"kith", "--config-dir", "d", "join", "--json", "-"});
    (void)argv.take();
    CHECK(argv.storage ==
          std::vector<std::string>{"kith", "--config-dir", "d", "join", "--json", "-"});
}

TEST_CASE("P21: tokens leave the environment, so that children do not inherit them") {
    for (auto const* const name : {token_variable, token_variable_other, "KITH_API_KEY"}) {
        CAPTURE(name);
        REQUIRE(::setenv(name, "kith1SECRET", 1) == 0);
        char const* const before = ::getenv(name);
        auto const taken = take_environment(environ);
        CHECK(taken.at(name) == "kith1SECRET");
        CHECK(::getenv(name) == nullptr);
        CHECK(std::string_view(before) == "xxxxxxxxxxx");  // what /proc/PID/environ would show
    }
}

TEST_CASE("the environment is taken by name, not whole") {
    REQUIRE(::setenv("KITH_API_PORT", "1", 1) == 0);
    REQUIRE(::setenv("UNRELATED_VARIABLE", "1", 1) == 0);
    auto const taken = take_environment(environ);
    CHECK(taken.contains("KITH_API_PORT"));
    CHECK_FALSE(taken.contains("UNRELATED_VARIABLE"));
    ::unsetenv("KITH_API_PORT");
}

TEST_CASE("the token comes from argument, file or environment, in this order") {
    Environment environment;
    CHECK(read_token({.argument = {}, .file = {}, .environment = environment}).error().code ==
          base::Code::invalid);
    environment[token_variable_other] = "kith1other";
    CHECK(read_token({.argument = {}, .file = {}, .environment = environment})->text ==
          "kith1other");
    environment[token_variable] = " kith1own\n";
    CHECK(read_token({.argument = {}, .file = {}, .environment = environment})->text == "kith1own");

    std::string name = "/tmp/kith-token-XXXXXX";
    int const descriptor = ::mkstemp(name.data());
    REQUIRE(descriptor >= 0);
    ::close(descriptor);
    std::ofstream(name) << "kith1file\n";
    auto const from_file = read_token({.argument = {}, .file = name, .environment = environment});
    CHECK(from_file->text == "kith1file");
    CHECK(from_file->warnings.empty());
    REQUIRE(::chmod(name.c_str(), 0644) == 0);
    CHECK(read_token({.argument = {}, .file = name, .environment = environment})->warnings.size() ==
          1);
    std::ofstream(name) << std::string(token_bytes_max + 1, 'k');
    CHECK_FALSE(read_token({.argument = {}, .file = name, .environment = environment}).has_value());
    ::unlink(name.c_str());
    CHECK_FALSE(read_token({.argument = {}, .file = name, .environment = environment}).has_value());

    auto const argued =
        read_token({.argument = "kith1arg", .file = {}, .environment = environment});
    CHECK(argued->text == "kith1arg");
    REQUIRE(argued->warnings.size() == 1);
    CHECK(argued->warnings.front().find("kith1arg") == std::string::npos);
    environment = {{token_variable, "  "}};
    CHECK_FALSE(read_token({.argument = {}, .file = {}, .environment = environment}).has_value());
}

TEST_CASE("foreign text cannot steer the terminal") {
    CHECK(terminal_safe("plain \xc3\xa4 \xe2\x82\xac \xf0\x9f\x99\x82\n\t") ==
          "plain \xc3\xa4 \xe2\x82\xac \xf0\x9f\x99\x82\n\t");
    CHECK(terminal_safe("\x1b[31m") == "?[31m");
    CHECK(terminal_safe("a\rb\x7f\x08") == "a?b??");
    CHECK(terminal_safe("\xc2\x9b") == "?");  // C1: CSI as one character
    CHECK(terminal_safe("\xe2\x80\xae"
                        "evil\xe2\x81\xa6") == "?evil?");  // bidirectional overrides
    CHECK(terminal_safe("\xff\xc3(\xe2\x82") ==
          std::string(2, '?') + "(" + std::string(2, '?'));   // not UTF-8
    CHECK(terminal_safe("\xc0\x80\xed\xa0\x80") == "?????");  // overlong NUL, surrogate
    CHECK(terminal_safe(std::string_view("\0", 1)) == "?");
}

TEST_CASE("JSON documents say the same without steering the terminal") {
    CHECK(json_terminal_safe("{\n  \"a\": \"\xc3\xa4 \xf0\x9f\x99\x82\"\n}") ==
          "{\n  \"a\": \"\xc3\xa4 \xf0\x9f\x99\x82\"\n}");
    CHECK(json_terminal_safe("\"\xc2\x9b"
                             "2J\x7f\xe2\x80\xae\xe2\x81\xa9\"") ==
          R"("\u009b2J\u007f\u202e\u2069")");
}

TEST_CASE("numbers and times are shown for people") {
    CHECK(format_bytes(0) == "0 B");
    CHECK(format_bytes(999) == "999 B");
    CHECK(format_bytes(4'800'000) == "4.8 MB");
    CHECK(format_time(0) == "never");
    CHECK(format_time(1'700'000'000) == "2023-11-14 22:13 UTC");
}

TEST_CASE("every code has the exit code scripts rely on") {
    using base::Code;
    CHECK(exit_code_of(Code::forbidden) == ExitCode::not_permitted);
    CHECK(exit_code_of(Code::unauthorized) == ExitCode::not_permitted);
    CHECK(exit_code_of(Code::unavailable) == ExitCode::try_again);
    CHECK(exit_code_of(Code::timeout) == ExitCode::try_again);
    CHECK(exit_code_of(Code::conflict) == ExitCode::failure);
    CHECK(static_cast<int>(ExitCode::no_daemon) == 69);
    CHECK(static_cast<int>(ExitCode::bad_config) == 78);
}
