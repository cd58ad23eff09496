// app/output.h: what commands print: one JSON document, or short text and tables for people.
//
// Data goes to stdout, everything else (progress, warnings, errors) to stderr. Text that comes from
// other people (names, notes, answers) is made harmless for the terminal first.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "app/exit_code.h"
#include "base/result.h"

namespace google::protobuf {
class Message;
}

namespace kith::app {

enum class Format { human, json };
enum class Chatter { normal, quiet };

class Output {
public:
    Output(Format format, Chatter chatter) : format_(format), chatter_(chatter) {}

    [[nodiscard]] bool json() const { return format_ == Format::json; }

    // The one JSON document of a command: stable snake_case field names, all fields present, 64-bit
    // numbers as strings (protobuf's JSON mapping).
    void document(google::protobuf::Message const& message) const;
    // A ready JSON text (model tools).
    void document_text(std::string_view text) const;

    // A line for people on stdout; nothing with --json. The caller passes foreign text through
    // terminal_safe().
    void line(std::string_view text) const;
    // Columns aligned; the first row is the heading. Cells are made terminal-safe here.
    void table(std::vector<std::vector<std::string>> const& rows) const;

    // stderr; a note is dropped with --quiet and --json, a warning never.
    void note(std::string_view text) const;
    void warn(std::string_view text) const;

    // A bar on stderr, only when that is a terminal. done == total ends it.
    void progress(std::string_view what, std::uint64_t done, std::uint64_t total) const;
    void progress_end() const;

    // Whether stdout took everything so far; a reader that closed its pipe counts as served.
    [[nodiscard]] bool all_written() const;

    // The sentence on stderr, with --json also {"error": {"code", "message"}} on stdout.
    ExitCode fail(base::Error const& error) const { return fail(error, exit_code_of(error.code)); }
    ExitCode fail(base::Error const& error, ExitCode code) const;

private:
    Format format_;
    Chatter chatter_;
};

// Replaces what could steer a terminal or reorder text: control characters (newline and tab stay),
// invalid UTF-8, and the bidirectional overrides (U+200E, U+200F, U+202A to U+202E, U+2066 to
// U+2069).
std::string terminal_safe(std::string_view text);

// The same text of a JSON document with those characters as \\u escapes: means the same, steers
// nothing.
std::string json_terminal_safe(std::string_view json);

// Code points of UTF-8 text.
std::size_t characters_count(std::string_view text);

// "2026-11-21 07:05 UTC"; "never" for 0.
std::string format_time(std::int64_t unix_seconds);
// "4.8 MB": powers of 1000.
std::string format_bytes(std::uint64_t bytes);

bool stdout_is_terminal();
bool stderr_is_terminal();
bool stdin_is_terminal();

}  // namespace kith::app
