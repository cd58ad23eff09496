#include "app/passphrase.h"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <optional>

#include "base/file_descriptor.h"
#include "base/sabotage.h"
#include "identity/secret_file.h"

namespace kith::app {
namespace {

using base::Code;
using base::fail;
using crypto::SecretBytes;

struct Line {
    SecretBytes text;
    char end = '\0';  // what ended it; '\0': the end of the input
};

// Byte by byte, so that what follows the line stays for the next reader. `interrupt` ends it too.
base::Result<Line> read_line(int descriptor, std::optional<char> interrupt) {
    SecretBytes buffer(crypto::password_bytes_max + 1);
    Line line;
    for (std::size_t size = 0; size < buffer.size();) {
        char byte = '\0';
        auto const got = ::read(descriptor, &byte, 1);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail(Code::io, "the passphrase cannot be read");
        bool const ended = got == 0 || byte == '\n' || (interrupt && byte == *interrupt);
        if (ended) {
            line.text = SecretBytes(buffer.view().first(size));
            line.end = got == 0 ? '\0' : byte;
            return line;
        }
        buffer.mutable_view()[size++] = static_cast<std::uint8_t>(byte);
        byte = '\0';
    }
    return fail(Code::too_large, "a passphrase has 1024 bytes at most");
}

// The terminal with echo off, as it was again at the end. Ctrl-C comes as a character that ends the
// line: as a signal it could leave the terminal silent.
class SilentTerminal {
public:
    // `need`: what is asked for, and where else it may come from.
    static base::Result<SilentTerminal> open(std::string const& need) {
        base::FileDescriptor file(::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY));
        termios before{};
        if (!file.is_open() || ::tcgetattr(file.get(), &before) != 0)
            return fail(Code::unauthorized, need);
        termios silent = before;
        tcflag_t const echo = KITH_GUARD("P22.no_echo", false) ? 0U : ECHO | ECHONL;
        silent.c_lflag &= ~(echo | ISIG);
        silent.c_lflag |= ICANON;
        silent.c_cc[VEOL] = before.c_cc[VINTR];
        if (::tcsetattr(file.get(), TCSAFLUSH, &silent) != 0)
            return fail(Code::io, "the terminal cannot be made silent for a passphrase");
        return SilentTerminal(std::move(file), before);
    }
    ~SilentTerminal() {
        if (file_.is_open()) ::tcsetattr(file_.get(), TCSAFLUSH, &before_);
    }
    SilentTerminal(SilentTerminal&&) = default;
    SilentTerminal& operator=(SilentTerminal&&) = delete;

    base::Result<SecretBytes> ask(std::string_view question) {
        show(question);
        auto const interrupt = static_cast<char>(before_.c_cc[VINTR]);
        auto line = read_line(file_.get(), interrupt);
        show("\n");
        if (!line) return std::unexpected(line.error());
        if (line->end != '\n') return fail(Code::cancelled, "interrupted");
        return std::move(line->text);
    }

private:
    SilentTerminal(base::FileDescriptor file, termios before)
        : file_(std::move(file)), before_(before) {}

    // A question that cannot be shown is still answered by whoever types.
    void show(std::string_view text) {
        while (!text.empty()) {
            auto const written = ::write(file_.get(), text.data(), text.size());
            if (written <= 0) return;
            text.remove_prefix(static_cast<std::size_t>(written));
        }
    }

    base::FileDescriptor file_;
    termios before_;
};

SecretBytes first_line(SecretBytes const& content) {
    auto const view = content.view();
    auto const end = std::ranges::find(view, std::uint8_t{'\n'});
    return SecretBytes(view.first(static_cast<std::size_t>(end - view.begin())));
}

// nullopt: no place was named.
base::Result<std::optional<SecretBytes>> from_place(PassphrasePlace const& place) {
    if (!place.descriptor.empty()) {
        int number = -1;
        auto const* const end = place.descriptor.data() + place.descriptor.size();
        auto const [at, error] = std::from_chars(place.descriptor.data(), end, number);
        if (error != std::errc{} || at != end || number < 0)
            return fail(Code::invalid, place.variable + "_FD must be the number of a descriptor");
        auto line = KITH_TRY(read_line(number, std::nullopt));
        return std::optional(std::move(line.text));
    }
    if (place.file.empty()) return std::optional<SecretBytes>{};
    auto const content = KITH_TRY(identity::read_secret_file(place.file));
    return std::optional(first_line(content));
}

std::string need_of(std::string_view what, PassphrasePlace const& place) {
    return std::string(what) + " and there is no terminal to ask on; name a file with " +
           place.variable + "_FILE or a descriptor with " + place.variable + "_FD";
}

base::Result<SecretBytes> ask_twice(PassphrasePlace const& place) {
    auto terminal = KITH_TRY(SilentTerminal::open(need_of("a new passphrase is needed", place)));
    auto first = KITH_TRY(terminal.ask("New passphrase for identity.key: "));
    auto const second = KITH_TRY(terminal.ask("Again: "));
    if (!crypto::constant_time_equal(first.view(), second.view()))
        return fail(Code::invalid, "the two passphrases differ; nothing was changed");
    return first;
}

}  // namespace

base::Result<SecretBytes> ask_passphrase(PassphrasePlace const& place) {
    if (auto given = KITH_TRY(from_place(place))) return *std::move(given);
    auto terminal = KITH_TRY(SilentTerminal::open(need_of("identity.key has a passphrase", place)));
    return terminal.ask("Passphrase of identity.key: ");
}

base::Result<identity::KeySeal> make_seal(PassphrasePlace const& place, ports::Rng& rng) {
    auto given = KITH_TRY(from_place(place));
    auto const passphrase = given ? *std::move(given) : KITH_TRY(ask_twice(place));
    if (passphrase.size() < identity::passphrase_bytes_min)
        return fail(Code::invalid,
                    "a passphrase needs at least 8 characters; several words are better");
    crypto::PasswordSalt salt;
    KITH_TRY(rng.fill(salt));
    return identity::KeySeal::create(passphrase.view(), salt, crypto::PasswordCost{});
}

}  // namespace kith::app
