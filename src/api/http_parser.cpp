#include "api/http_parser.h"

#include <algorithm>
#include <boost/beast/http/basic_parser.hpp>
#include <utility>

#include "base/check.h"
#include "base/sabotage.h"

namespace kith::api {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using Error = beast::error_code;

// What may stand in an origin-form target; '#' never reaches a server, and bytes outside ASCII must
// be encoded.
bool is_target_character(char c) {
    return c > 0x20 && c < 0x7f && c != '#' && c != '\\';
}

// Extensions and trailers need others.
bool is_chunk_line_character(char c) {
    return std::string_view("0123456789abcdefABCDEF\r\n").find(c) != std::string_view::npos;
}

}  // namespace

// One request, as Beast finds it.
class HttpParser::Reader final : public http::basic_parser<true> {
public:
    Reader() {
        header_limit(head_bytes_max);
        body_limit(boost::none);  // accept_body() sets it, when the path is known
    }

    HttpHead head;
    int version = 0;  // 10 or 11
    std::string body;

    [[nodiscard]] bool between_chunks() const { return chunked() && chunk_left_ == 0; }

private:
    using Text = beast::string_view;

    void on_request_impl(http::verb, Text method, Text target, int number, Error&) override {
        head.method = method;
        head.target = target;
        version = number;
    }
    void on_field_impl(http::field, Text name, Text value, Error&) override {
        head.fields.push_back({lower_ascii(name), value});
    }
    std::size_t on_body_impl(Text bytes, Error&) override {
        body.append(bytes);
        return bytes.size();
    }
    void on_chunk_header_impl(std::uint64_t size, Text, Error&) override { chunk_left_ = size; }
    std::size_t on_chunk_body_impl(std::uint64_t left, Text bytes, Error&) override {
        body.append(bytes);
        chunk_left_ = left - bytes.size();
        return bytes.size();
    }
    void on_response_impl(int, Text, int, Error&) override {}
    void on_header_impl(Error&) override {}
    void on_body_init_impl(boost::optional<std::uint64_t> const&, Error&) override {}
    void on_finish_impl(Error&) override {}

    std::uint64_t chunk_left_ = 0;
};

HttpParser::HttpParser() : reader_(std::make_unique<Reader>()) {}
HttpParser::~HttpParser() = default;

std::size_t HttpParser::feed(std::string_view bytes) {
    std::size_t used = 0;
    while (used < bytes.size()) {
        auto const rest = bytes.substr(used);
        if (state_ == State::head) {
            used += feed_head(rest);
        } else if (state_ == State::body) {
            used += feed_body(rest);
        } else {
            break;
        }
    }
    return used;
}

std::size_t HttpParser::feed_head(std::string_view bytes) {
    if (framing_.empty()) head_ = {};
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        if (!collect(bytes[i])) return i;
        if (framing_.size() > head_bytes_max) {
            refuse(431, "The request head is larger than 16 KiB.");
            return i;
        }
        if (framing_.ends_with("\r\n\r\n")) {
            read_head();
            return i + 1;
        }
    }
    return bytes.size();
}

std::size_t HttpParser::feed_body(std::string_view bytes) {
    if (!reader_->between_chunks()) return read_body(bytes);
    char const c = bytes.front();
    if (!is_chunk_line_character(c) || framing_.size() >= chunk_line_bytes_max) {
        refuse(400, "The chunked body is malformed.");
    } else if (collect(c) && c == '\n' && read_body(framing_) > 0) {
        framing_.clear();
    }
    return 1;
}

// Beast gets the head whole, and chunk lines whole. Fed in pieces it would notice one fault at once
// and the next only with the end of the head, depending on the cut; and it asserts that the bytes
// after an empty body do not end in CR.
bool HttpParser::collect(char c) {
    bool const after_cr = framing_.ends_with('\r');
    if (c == '\0' || after_cr != (c == '\n'))
        return refuse(400, "The request has a bare line feed, carriage return or NUL.");
    framing_.push_back(c);
    return true;
}

void HttpParser::read_head() {
    // Beast would join them to one line.
    if (framing_.find("\r\n ") != std::string::npos ||
        framing_.find("\r\n\t") != std::string::npos) {
        refuse(400, "A header field is folded.");
        return;
    }
    Error error;
    auto const used = reader_->put(asio::buffer(framing_), error);
    if (error || used != framing_.size()) {
        refuse(400, "The request head is malformed: " + error.message() + ".");
        return;
    }
    if (!check_request_line()) return;
    head_ = std::move(reader_->head);
    if (!check_fields()) return;
    framing_.clear();
    state_ = State::head_ready;
}

bool HttpParser::check_request_line() {
    auto const& [method, target, fields] = reader_->head;
    if (reader_->version != 11) return refuse(505, "Only HTTP/1.1 is spoken here.");
    if (method.size() > method_bytes_max) return refuse(501, "This method is not known.");
    if (target.size() > target_bytes_max) return refuse(414, "The target is longer than 8 KiB.");
    if (target.front() != '/' || !std::ranges::all_of(target, is_target_character))
        return refuse(400, "The target is not an absolute path.");
    return true;
}

bool HttpParser::check_fields() {
    if (head_.fields.size() > fields_count_max)
        return refuse(431, "The request has more than 100 header fields.");
    if (head_.count("host") != 1) return refuse(400, "A request has exactly one Host field.");
    // Beast takes the same length twice, a list of equal lengths, and codings before "chunked"; and
    // it finds no body at all behind a coding that it does not know.
    if (head_.count("content-length") + head_.count("transfer-encoding") > 1)
        return refuse(400, "The length of the body is given more than once.");
    auto const length = head_.find("content-length").value_or("0");
    if (length.find_first_not_of("0123456789") != std::string_view::npos)
        return refuse(400, "Content-Length is not a number.");
    if (lower_ascii(head_.find("transfer-encoding").value_or("chunked")) != "chunked")
        return refuse(501, "The only transfer coding known here is chunked.");
    return true;
}

void HttpParser::accept_body(std::size_t bytes_max) {
    KITH_ASSERT(state_ == State::head_ready);
    auto const announced = reader_->content_length().value_or(0);
    if (!KITH_GUARD("S46.body", announced <= bytes_max)) {
        refuse(413, "The body is larger than this path accepts.");
        return;
    }
    reader_->body_limit(bytes_max);  // of the chunks: refused when their size is announced
    state_ = reader_->is_done() ? State::done : State::body;
}

// 0: the bytes are no whole chunk line, or refused.
std::size_t HttpParser::read_body(std::string_view bytes) {
    Error error;
    auto const used = reader_->put(asio::buffer(bytes), error);
    if (error == http::error::need_more) return 0;
    if (error == http::error::body_limit) {
        refuse(413, "The body is larger than this path accepts.");
    } else if (error) {
        refuse(400, "The chunked body is malformed.");
    } else if (reader_->is_done()) {
        state_ = State::done;
    }
    return used;
}

std::string HttpParser::take_body() {
    KITH_ASSERT(state_ == State::done);
    state_ = State::head;
    auto const finished = std::exchange(reader_, std::make_unique<Reader>());
    return std::move(finished->body);
}

bool HttpParser::refuse(unsigned status, std::string message) {
    state_ = State::refused;
    refusal_ = {status, std::move(message)};
    reader_ = std::make_unique<Reader>();  // frees what was read
    return false;
}

}  // namespace kith::api
