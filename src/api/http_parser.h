// api/http_parser.h: bytes of one connection become one HTTP/1.1 request at a time, or a refusal.
//
// Sans-IO. Boost.Beast reads the grammar (RFC 9112); this class decides what of it is accepted: a
// subset on which no two readers can disagree, because request smuggling is a disagreement.
// Refused: bare CR or LF, NUL, folded lines, a space before the colon, targets that are no absolute
// path, versions other than 1.1, more than one Host, Content-Length or Transfer-Encoding, both of
// the last two together, lists of lengths, any coding but "chunked", chunk extensions and trailers.
// How the network cuts the bytes never matters.
//
//   head ---(empty line)---> head_ready ---accept_body()---> body ---> done
//     \________________________|_______________________________|
//                              v
//                           refused (final; refusal() says why; the connection must be closed)
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "api/http_message.h"

namespace kith::api {

inline constexpr std::uint32_t head_bytes_max = 16U * 1024;
inline constexpr std::size_t target_bytes_max = 8U * 1024;
inline constexpr std::size_t method_bytes_max = 16;
inline constexpr std::size_t fields_count_max = 100;
// Between the data of two chunks: CRLF, 16 digits, CRLF; after the last one CRLF once more.
inline constexpr std::size_t chunk_line_bytes_max = 22;

struct HttpRefusal {
    unsigned status = 400;
    std::string message;  // a sentence without any byte of the request
};

class HttpParser {
public:
    enum class State { head, head_ready, body, done, refused };

    HttpParser();
    ~HttpParser();

    // Consumes a prefix of `bytes` and returns its length. Stops early (before the end of `bytes`)
    // at head_ready, done and refused; bytes after a done request belong to the next one.
    std::size_t feed(std::string_view bytes);

    [[nodiscard]] State state() const { return state_; }
    // No byte of a request has been seen yet.
    [[nodiscard]] bool untouched() const { return state_ == State::head && framing_.empty(); }
    // From head_ready until the first byte of the next request. Without a method while there is
    // nothing that may be shown: no request line yet, or one that was refused.
    [[nodiscard]] HttpHead const& head() const { return head_; }
    // In state refused.
    [[nodiscard]] HttpRefusal const& refusal() const { return refusal_; }

    // In state head_ready: goes on to the body, of at most `bytes_max` bytes after decoding (413
    // beyond, S46).
    void accept_body(std::size_t bytes_max);
    // In state done: hands the body over and waits for the next request.
    std::string take_body();

private:
    class Reader;  // Beast's parser; only http_parser.cpp sees it

    std::size_t feed_head(std::string_view bytes);
    std::size_t feed_body(std::string_view bytes);
    bool collect(char c);
    void read_head();
    std::size_t read_body(std::string_view bytes);
    bool check_request_line();
    bool check_fields();
    bool refuse(unsigned status, std::string message);  // false, for returning

    State state_ = State::head;
    std::unique_ptr<Reader> reader_;  // of this request
    std::string framing_;             // the head or chunk line that is not complete yet
    HttpHead head_;
    HttpRefusal refusal_;
};

}  // namespace kith::api
