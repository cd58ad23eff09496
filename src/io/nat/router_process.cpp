#include "io/nat/router_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <chrono>

#include "base/file_descriptor.h"
#include "io/nat/router.h"
#include "sandbox/child_process.h"
#include "sandbox/limits.h"

namespace kith::io {

using base::Code;
using base::fail;
using base::Result;

namespace {

constexpr char const* map_word = "map";
constexpr char const* release_word = "release";
constexpr std::size_t answer_bytes_max = 64;  // three numbers
constexpr int answer_descriptor = sandbox::first_descriptor;

// A mapping as words: internal port, external port, seconds of the lease.
std::vector<std::string> words_of(PortMapping const& mapping) {
    auto const lease = std::chrono::duration_cast<std::chrono::seconds>(mapping.lease);
    return {std::to_string(mapping.internal_port), std::to_string(mapping.external_port),
            std::to_string(lease.count())};
}

std::optional<std::uint32_t> number_of(std::string_view word, std::uint32_t max) {
    std::uint32_t number = 0;
    auto const [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
    if (error != std::errc{} || end != word.data() + word.size() || number > max)
        return std::nullopt;
    return number;
}

std::optional<PortMapping> mapping_of(std::string_view internal, std::string_view external,
                                      std::string_view lease) {
    auto const from = number_of(internal, 0xffff), to = number_of(external, 0xffff);
    auto const seconds = number_of(lease, 0xffffffff);
    if (!from || !to || !seconds) return std::nullopt;
    return PortMapping{.internal_port = static_cast<std::uint16_t>(*from),
                       .external_port = static_cast<std::uint16_t>(*to),
                       .lease = std::chrono::seconds(*seconds)};
}

std::optional<PortMapping> read_answer(std::string_view text) {
    auto const first = text.find(' ');
    auto const second = first == text.npos ? text.npos : text.find(' ', first + 1);
    if (second == text.npos) return std::nullopt;
    return mapping_of(text.substr(0, first), text.substr(first + 1, second - first - 1),
                      text.substr(second + 1));
}

// What the process writes until its end; it is killed by the caller when this fails.
Result<std::string> read_to_end(int descriptor, std::chrono::milliseconds patience) {
    using Clock = std::chrono::steady_clock;
    auto const end = Clock::now() + patience;
    std::string text;
    while (text.size() <= answer_bytes_max) {
        auto const left =
            std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
        pollfd wait{.fd = descriptor, .events = POLLIN, .revents = 0};
        int const ready = left <= 0 ? 0 : ::poll(&wait, 1, static_cast<int>(left));
        if (ready < 0 && errno == EINTR) continue;
        if (ready <= 0) return fail(Code::timeout, "the router keeps us waiting");
        std::array<char, answer_bytes_max> part{};
        auto const size = ::read(descriptor, part.data(), part.size());
        if (size < 0 && errno == EINTR) continue;
        if (size <= 0) return text;
        text.append(part.data(), static_cast<std::size_t>(size));
    }
    return fail(Code::unavailable, "the process that asks the router talks nonsense");
}

Result<std::string> run(std::string const& program, char const* verb, PortMapping const& mapping,
                        std::chrono::milliseconds patience) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0)
        return fail(Code::unavailable, "no descriptor for a pipe");
    base::FileDescriptor const ours(ends[0]);
    base::FileDescriptor theirs(ends[1]);
    std::vector<std::string> arguments{router_word, verb};
    for (auto& word : words_of(mapping)) arguments.push_back(std::move(word));
    auto const child = KITH_TRY(sandbox::ChildProcess::start(
        {.program = program, .arguments = std::move(arguments), .descriptors = {theirs.get()}}));
    theirs = {};
    return read_to_end(ours.get(), patience);
}

// A person who types the word has no pipe there.
bool has_parent() {
    struct stat status {};
    return ::fstat(answer_descriptor, &status) == 0 && S_ISFIFO(status.st_mode);
}

}  // namespace

std::optional<int> router_main(std::vector<std::string> const& arguments) {
    if (arguments.size() != 5 || arguments[0] != router_word || !has_parent()) return std::nullopt;
    auto const mapping = mapping_of(arguments[2], arguments[3], arguments[4]);
    if (!mapping) return std::nullopt;
    sandbox::end_with_parent();
    if (!sandbox::set_limits({.address_space_bytes_max = router_memory_max,
                              .descriptors_max = 32,
                              .cpu_seconds_max = router_cpu_seconds_max}))
        return 1;
    if (arguments[1] == release_word) {
        Router::release(*mapping);
        return 0;
    }
    auto const answer = Router::map(*mapping);
    if (!answer) return 0;
    auto const words = words_of(*answer);
    auto const text = words[0] + " " + words[1] + " " + words[2];
    auto const written = ::write(answer_descriptor, text.data(), text.size());
    return written == static_cast<ssize_t>(text.size()) ? 0 : 1;
}

Result<PortMapping> map_in_process(PortMapping const& wanted, std::string const& program) {
    auto const text = KITH_TRY(run(program, map_word, wanted, router_map_patience));
    if (auto const answer = read_answer(text)) return *answer;
    return fail(Code::unavailable, "no router gives us a port");
}

void release_in_process(PortMapping const& mapping, std::string const& program) {
    (void)run(program, release_word, mapping, router_release_patience);
}

}  // namespace kith::io
