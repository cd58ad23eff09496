// api/http_parser.h: bytes of one connection become one HTTP/1.1 request at a time, or a refusal.
//
// Sans-IO and strict: a subset of RFC 9112 on which no two readers can disagree, because request
// smuggling is a disagreement. Refused: bare CR or LF, NUL, folded lines, a space before the colon,
// absolute-form targets, versions other than 1.1, more than one Host, Content-Length or
// Transfer-Encoding, both of the last two together, lists of lengths, any coding but "chunked",
// chunk extensions and trailers.
//
//   head ---(empty line)---> head_ready ---accept_body()---> body ---> done
//     \________________________|_______________________________|
//                              v
//                           refused (final; refusal() says why; the connection must be closed)
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "api/http_message.h"

namespace kith::api {

inline constexpr std::size_t head_bytes_max = 16U * 1024;
inline constexpr std::size_t target_bytes_max = 8U * 1024;
inline constexpr std::size_t method_bytes_max = 16;
inline constexpr std::size_t fields_count_max = 100;
inline constexpr std::size_t chunk_size_digits_max = 8;

struct HttpRefusal {
    unsigned status = 400;
    std::string message;  // a sentence without any byte of the request
};

class HttpParser {
public:
    enum class State { head, head_ready, body, done, refused };

    // Consumes a prefix of `bytes` and returns its length. Stops early (before the end of `bytes`)
    // at head_ready, done and refused; bytes after a done request belong to the next one.
    std::size_t feed(std::string_view bytes);

    [[nodiscard]] State state() const { return state_; }
    // No byte of a request has been seen yet.
    [[nodiscard]] bool untouched() const { return state_ == State::head && raw_.empty(); }
    // From head_ready on.
    [[nodiscard]] HttpHead const& head() const { return head_; }
    // What Content-Length promises; 0 without one. From head_ready on.
    [[nodiscard]] std::uint64_t content_length() const { return content_length_; }
    [[nodiscard]] bool has_body() const { return chunked_ || content_length_ > 0; }
    // In state refused.
    [[nodiscard]] HttpRefusal const& refusal() const { return refusal_; }

    // In state head_ready: goes on to the body, of at most `bytes_max` bytes after decoding (413
    // beyond, S46).
    void accept_body(std::size_t bytes_max);
    // In state done: hands the body over and waits for the next request.
    std::string take_body();

private:
    enum class ChunkState { size, size_end, data, data_cr, data_lf, last_cr, last_lf };

    std::size_t feed_head(std::string_view bytes);
    std::size_t feed_fixed(std::string_view bytes);
    std::size_t feed_chunked(std::string_view bytes);
    void on_chunk_character(char c);
    void on_chunk_size_known();
    std::size_t append_body(std::string_view bytes);
    void parse_head();
    bool parse_request_line(std::string_view line);
    bool parse_field(std::string_view line);
    bool check_framing();
    bool refuse(unsigned status, std::string_view message);  // false, for returning

    State state_ = State::head;
    std::string raw_;
    HttpHead head_;
    bool chunked_ = false;
    std::uint64_t content_length_ = 0;
    std::size_t body_bytes_max_ = 0;
    std::uint64_t remaining_ = 0;  // of the body, or of the current chunk
    ChunkState chunk_state_ = ChunkState::size;
    std::size_t chunk_digits_ = 0;
    std::string body_;
    HttpRefusal refusal_;
};

}  // namespace kith::api
