#include "app/output.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <ctime>

namespace kith::app {
namespace {

constexpr std::size_t bar_width = 30;

void write(std::FILE* stream, std::string_view text) {
    auto const written = std::fwrite(text.data(), 1, text.size(), stream);
    if (written == text.size() && std::fflush(stream) == 0) return;
    // A closed pipe is not an error of ours: the reader has seen enough. Any other stays in the
    // stream's error flag, which all_written() reads.
    if (errno == EPIPE) std::clearerr(stream);
}

// Length of the valid UTF-8 sequence at the front (RFC 3629 section 4), 0 when there is none.
std::size_t sequence_length(std::string_view text) {
    auto const at = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    auto const lead = at(0);
    if (lead < 0x80) return 1;
    std::size_t const length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return 0;
    for (std::size_t i = 1; i < length; ++i)
        if ((at(i) & 0xc0) != 0x80) return 0;
    bool const overlong = (lead == 0xe0 && at(1) < 0xa0) || (lead == 0xf0 && at(1) < 0x90);
    bool const outside = (lead == 0xed && at(1) > 0x9f) || (lead == 0xf4 && at(1) > 0x8f);
    return overlong || outside ? 0 : length;
}

bool steers_terminal(std::string_view sequence) {
    auto const first = static_cast<unsigned char>(sequence[0]);
    if (sequence.size() == 1)
        return (first < 0x20 && first != '\n' && first != '\t') || first == 0x7f;
    auto const second = static_cast<unsigned char>(sequence[1]);
    if (sequence.size() == 2) return first == 0xc2 && second < 0xa0;  // C1
    if (sequence.size() != 3 || first != 0xe2) return false;
    auto const third = static_cast<unsigned char>(sequence[2]);
    if (second == 0x80) return third == 0x8e || third == 0x8f || (third >= 0xaa && third <= 0xae);
    return second == 0x81 && third >= 0xa6 && third <= 0xa9;
}

google::protobuf::util::JsonPrintOptions json_options() {
    google::protobuf::util::JsonPrintOptions options;
    options.add_whitespace = true;
    options.preserve_proto_field_names = true;
    options.always_print_primitive_fields = true;
    return options;
}

}  // namespace

ExitCode exit_code_of(base::Code code) {
    using base::Code;
    switch (code) {
        case Code::unauthorized:
        case Code::forbidden:
            return ExitCode::not_permitted;
        case Code::unavailable:
        case Code::timeout:
            return ExitCode::try_again;
        case Code::cancelled:
            return ExitCode::interrupted;
        case Code::invalid:
        case Code::too_large:
        case Code::not_found:
        case Code::conflict:
        case Code::corrupt:
        case Code::io:
        case Code::unsupported:
        case Code::internal:
            return ExitCode::failure;
    }
    return ExitCode::failure;
}

void Output::document(google::protobuf::Message const& message) const {
    std::string text;
    if (!google::protobuf::util::MessageToJsonString(message, &text, json_options()).ok()) {
        warn("the answer holds text that is not valid UTF-8 and cannot be shown as JSON");
        return;
    }
    document_text(text);
}

void Output::document_text(std::string_view text) const {
    write(stdout, json_terminal_safe(text));
    if (!text.ends_with('\n')) write(stdout, "\n");
}

void Output::line(std::string_view text) const {
    if (!json()) write(stdout, std::string(text) + "\n");
}

void Output::table(std::vector<std::vector<std::string>> const& rows) const {
    if (json()) return;
    std::vector<std::size_t> widths;
    auto safe = rows;
    for (auto& row : safe) {
        widths.resize(std::max(widths.size(), row.size()));
        for (std::size_t i = 0; i < row.size(); ++i) {
            row[i] = terminal_safe(row[i]);
            std::ranges::replace(row[i], '\n', ' ');
            widths[i] = std::max(widths[i], characters_count(row[i]));
        }
    }
    for (auto const& row : safe) {
        std::string text;
        for (std::size_t i = 0; i < row.size(); ++i) {
            text += row[i];
            if (i + 1 < row.size()) text.append(widths[i] - characters_count(row[i]) + 2, ' ');
        }
        line(text);
    }
}

void Output::note(std::string_view text) const {
    if (chatter_ == Chatter::normal && !json()) write(stderr, std::string(text) + "\n");
}

void Output::warn(std::string_view text) const {
    write(stderr, "kith: warning: " + terminal_safe(text) + "\n");
}

void Output::progress(std::string_view what, std::uint64_t done, std::uint64_t total) const {
    if (chatter_ == Chatter::quiet || !stderr_is_terminal()) return;
    auto const share =
        total == 0 ? 0.0 : std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
    auto const filled = static_cast<std::size_t>(share * static_cast<double>(bar_width));
    write(stderr,
          fmt::format("\r\x1b[K[{}{}] {:3.0f} % {}", std::string(filled, '#'),
                      std::string(bar_width - filled, '.'), share * 100, terminal_safe(what)));
}

void Output::progress_end() const {
    if (chatter_ == Chatter::normal && stderr_is_terminal()) write(stderr, "\r\x1b[K");
}

bool Output::all_written() const {
    return std::ferror(stdout) == 0;
}

ExitCode Output::fail(base::Error const& error, ExitCode code) const {
    write(stderr, "kith: " + terminal_safe(error.message) + "\n");
    if (json()) {
        google::protobuf::Struct document_message;
        auto& fields =
            *(*document_message.mutable_fields())["error"].mutable_struct_value()->mutable_fields();
        fields["code"].set_string_value(base::code_name(error.code));
        fields["message"].set_string_value(terminal_safe(error.message));
        document(document_message);
    }
    return code;
}

std::string terminal_safe(std::string_view text) {
    std::string safe;
    safe.reserve(text.size());
    while (!text.empty()) {
        auto const length = sequence_length(text);
        if (length == 0 || steers_terminal(text.substr(0, length)))
            safe += '?';
        else
            safe += text.substr(0, length);
        text.remove_prefix(std::max<std::size_t>(length, 1));
    }
    return safe;
}

std::string json_terminal_safe(std::string_view json) {
    std::string safe;
    safe.reserve(json.size());
    while (!json.empty()) {
        auto const length = std::max<std::size_t>(sequence_length(json), 1);
        auto const sequence = json.substr(0, length);
        if (!steers_terminal(sequence)) {
            safe += sequence;
        } else if (length == 1) {  // DEL; what is below U+0020 is escaped already
            safe += fmt::format("\\u{:04x}", static_cast<unsigned char>(sequence[0]));
        } else {
            unsigned point =
                static_cast<unsigned char>(sequence[0]) & (length == 2 ? 0x1fU : 0x0fU);
            for (char const c : sequence.substr(1))
                point = point << 6U | (static_cast<unsigned char>(c) & 0x3fU);
            safe += fmt::format("\\u{:04x}", point);
        }
        json.remove_prefix(length);
    }
    return safe;
}

std::size_t characters_count(std::string_view text) {
    return static_cast<std::size_t>(std::ranges::count_if(
        text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string format_time(std::int64_t unix_seconds) {
    if (unix_seconds == 0) return "never";
    std::time_t const time = unix_seconds;
    std::tm parts{};
    if (::gmtime_r(&time, &parts) == nullptr) return std::to_string(unix_seconds);
    return fmt::format("{:%Y-%m-%d %H:%M} UTC", parts);
}

std::string format_bytes(std::uint64_t bytes) {
    constexpr std::array<char const*, 5> units{"B", "kB", "MB", "GB", "TB"};
    auto value = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (value >= 1000 && unit + 1 < units.size()) {
        value /= 1000;
        ++unit;
    }
    return fmt::format(fmt::runtime(unit == 0 ? "{:.0f} {}" : "{:.1f} {}"), value, units[unit]);
}

bool stdout_is_terminal() {
    return ::isatty(STDOUT_FILENO) == 1;
}
bool stderr_is_terminal() {
    return ::isatty(STDERR_FILENO) == 1;
}
bool stdin_is_terminal() {
    return ::isatty(STDIN_FILENO) == 1;
}

}  // namespace kith::app
