#include "api/http_parser.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/sabotage.h"

namespace kith::api {
namespace {

// RFC 9110 5.6.2: tchar.
bool is_token_character(char c) {
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return true;
    return std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool is_token(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, is_token_character);
}

// RFC 9110 5.5: visible characters, space, tab, obs-text; no control characters.
bool is_value_character(char c) {
    auto const byte = static_cast<unsigned char>(c);
    return c == '\t' || (byte >= 0x20 && byte != 0x7f);
}

// What may stand in an origin-form target; '#' never reaches a server, and bytes outside ASCII must
// be encoded.
bool is_target_character(char c) {
    return c > 0x20 && c < 0x7f && c != '#' && c != '\\';
}

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

int hex_value(char c) {
    if (is_digit(c)) return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

}  // namespace

std::size_t HttpParser::feed(std::string_view bytes) {
    std::size_t used = 0;
    while (used < bytes.size()) {
        auto const rest = bytes.substr(used);
        if (state_ == State::head) {
            used += feed_head(rest);
        } else if (state_ == State::body) {
            used += chunked_ ? feed_chunked(rest) : feed_fixed(rest);
        } else {
            break;
        }
    }
    return used;
}

std::size_t HttpParser::feed_head(std::string_view bytes) {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        char const c = bytes[i];
        bool const after_cr = !raw_.empty() && raw_.back() == '\r';
        if (c == '\0' || after_cr != (c == '\n')) {
            refuse(400, "The request head has a bare line feed, carriage return or NUL.");
            return i;
        }
        if (raw_.size() >= head_bytes_max) {
            refuse(431, "The request head is larger than 16 KiB.");
            return i;
        }
        raw_.push_back(c);
        if (c == '\n' && raw_.ends_with("\r\n\r\n")) {
            parse_head();
            return i + 1;
        }
    }
    return bytes.size();
}

void HttpParser::parse_head() {
    head_ = {};
    std::string_view rest = raw_;
    bool first = true;
    while (true) {
        auto const line = rest.substr(0, rest.find("\r\n"));
        rest.remove_prefix(line.size() + 2);
        if (first) {
            if (!parse_request_line(line)) return;
            first = false;
            continue;
        }
        if (line.empty()) break;
        if (!parse_field(line)) return;
    }
    if (!check_framing()) return;
    state_ = State::head_ready;
}

bool HttpParser::parse_request_line(std::string_view line) {
    auto const first = line.find(' ');
    auto const last = line.rfind(' ');
    if (first == std::string_view::npos || first == last)
        return refuse(400, "The request line is not METHOD TARGET VERSION.");
    auto const method = line.substr(0, first);
    auto const target = line.substr(first + 1, last - first - 1);
    auto const version = line.substr(last + 1);
    if (!is_token(method)) return refuse(400, "The request line is not METHOD TARGET VERSION.");
    if (method.size() > method_bytes_max) return refuse(501, "This method is not known.");
    if (target.size() > target_bytes_max) return refuse(414, "The target is longer than 8 KiB.");
    if (target.empty() || target.front() != '/' ||
        !std::ranges::all_of(target, is_target_character))
        return refuse(400, "The target is not an absolute path.");
    if (version != "HTTP/1.1")
        return version.starts_with("HTTP/") ? refuse(505, "Only HTTP/1.1 is spoken here.")
                                            : refuse(400, "The version is not HTTP/1.1.");
    head_.method = method;
    head_.target = target;
    return true;
}

bool HttpParser::parse_field(std::string_view line) {
    if (head_.fields.size() >= fields_count_max)
        return refuse(431, "The request has more than 100 header fields.");
    auto const colon = line.find(':');
    // A folded line starts with a space and a space before the colon is no token: both end here.
    if (colon == std::string_view::npos || !is_token(line.substr(0, colon)))
        return refuse(400, "A header field is malformed.");
    auto const value = trimmed(line.substr(colon + 1));
    if (!std::ranges::all_of(value, is_value_character))
        return refuse(400, "A header field holds a control character.");
    head_.fields.push_back({lower_ascii(line.substr(0, colon)), std::string(value)});
    return true;
}

bool HttpParser::check_framing() {
    chunked_ = false;
    content_length_ = 0;
    if (head_.count("host") != 1) return refuse(400, "A request has exactly one Host field.");
    auto const lengths = head_.count("content-length");
    auto const codings = head_.count("transfer-encoding");
    if (lengths > 1 || codings > 1 || (lengths == 1 && codings == 1))
        return refuse(400, "The length of the body is given more than once.");
    if (codings == 1) {
        if (lower_ascii(*head_.find("transfer-encoding")) != "chunked")
            return refuse(501, "The only transfer coding known here is chunked.");
        chunked_ = true;
        return true;
    }
    if (lengths == 0) return true;
    auto const text = *head_.find("content-length");
    // 18 digits fit into 64 bits whatever they are.
    if (text.empty() || text.size() > 18 || !std::ranges::all_of(text, is_digit))
        return refuse(400, "Content-Length is not a number.");
    for (char const c : text)
        content_length_ = content_length_ * 10 + static_cast<unsigned>(c - '0');
    return true;
}

void HttpParser::accept_body(std::size_t bytes_max) {
    KITH_ASSERT(state_ == State::head_ready);
    body_bytes_max_ = bytes_max;
    body_.clear();
    if (!KITH_GUARD("S46.body", content_length_ <= bytes_max)) {
        refuse(413, "The body is larger than this path accepts.");
        return;
    }
    state_ = has_body() ? State::body : State::done;
    remaining_ = chunked_ ? 0 : content_length_;
    chunk_state_ = ChunkState::size;
    chunk_digits_ = 0;
}

std::size_t HttpParser::append_body(std::string_view bytes) {
    auto const take = static_cast<std::size_t>(std::min<std::uint64_t>(remaining_, bytes.size()));
    if (!KITH_GUARD("S46.body",
                    take <= body_bytes_max_ - std::min(body_.size(), body_bytes_max_))) {
        refuse(413, "The body is larger than this path accepts.");
        return 0;
    }
    body_.append(bytes.substr(0, take));
    remaining_ -= take;
    return take;
}

std::size_t HttpParser::feed_fixed(std::string_view bytes) {
    auto const used = append_body(bytes);
    if (state_ == State::body && remaining_ == 0) state_ = State::done;
    return used;
}

std::size_t HttpParser::feed_chunked(std::string_view bytes) {
    if (chunk_state_ == ChunkState::data) {
        auto const used = append_body(bytes);
        if (remaining_ == 0) chunk_state_ = ChunkState::data_cr;
        return used;
    }
    on_chunk_character(bytes.front());
    return 1;
}

// RFC 9112 7.1 without chunk-ext and trailer-section.
void HttpParser::on_chunk_character(char c) {
    auto const expect = [&](char wanted, ChunkState next) {
        if (c != wanted) {
            refuse(400, "The chunked body is malformed.");
            return;
        }
        chunk_state_ = next;
    };
    switch (chunk_state_) {
        case ChunkState::size:
            if (int const digit = hex_value(c);
                digit >= 0 && chunk_digits_ < chunk_size_digits_max) {
                remaining_ = remaining_ * 16 + static_cast<std::uint64_t>(digit);
                ++chunk_digits_;
            } else if (c == '\r' && chunk_digits_ > 0) {
                chunk_state_ = ChunkState::size_end;
            } else {
                refuse(400, "The size of a chunk is malformed.");
            }
            return;
        case ChunkState::size_end:
            expect('\n', ChunkState::data);
            if (state_ == State::body) on_chunk_size_known();
            return;
        case ChunkState::data_cr:
            return expect('\r', ChunkState::data_lf);
        case ChunkState::data_lf:
            chunk_digits_ = 0;
            return expect('\n', ChunkState::size);
        case ChunkState::last_cr:
            return expect('\r', ChunkState::last_lf);
        case ChunkState::last_lf:
            expect('\n', ChunkState::size);
            if (state_ == State::body) state_ = State::done;
            return;
        case ChunkState::data:
            KITH_ASSERT(false);  // feed_chunked handles it
    }
}

void HttpParser::on_chunk_size_known() {
    if (remaining_ == 0) {
        chunk_state_ = ChunkState::last_cr;
        return;
    }
    // Refused before the bytes come: a chunk may announce 4 GiB.
    auto const left = body_bytes_max_ - std::min(body_.size(), body_bytes_max_);
    if (!KITH_GUARD("S46.body", remaining_ <= left))
        refuse(413, "The body is larger than this path accepts.");
}

std::string HttpParser::take_body() {
    KITH_ASSERT(state_ == State::done);
    state_ = State::head;
    raw_.clear();
    return std::exchange(body_, {});
}

bool HttpParser::refuse(unsigned status, std::string_view message) {
    state_ = State::refused;
    refusal_ = {status, std::string(message)};
    body_.clear();
    body_.shrink_to_fit();
    return false;
}

}  // namespace kith::api
