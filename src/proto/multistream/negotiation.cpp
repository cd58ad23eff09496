#include "proto/multistream/negotiation.h"

#include <algorithm>

#include "base/check.h"

namespace kith::proto::multistream {

using base::ByteView;
using base::Code;
using base::fail;
using base::Result;

namespace {

constexpr std::string_view refusal = "na";

void append_message(base::Bytes& out, std::string_view text) {
    std::string line(text);
    line.push_back('\n');
    wire::append_frame(out, base::as_bytes(line));
}

// The text of a message without its newline.
Result<std::string_view> parse_message(base::Bytes const& message) {
    if (message.empty() || message.back() != '\n')
        return fail(Code::invalid, "multistream message does not end in a newline");
    return base::as_text(message).substr(0, message.size() - 1);
}

bool drain(base::Bytes& from, base::Bytes& out) {
    if (from.empty()) return false;
    base::append(out, from);
    from.clear();
    return true;
}

bool valid_id(std::string_view id) {
    return !id.empty() && id.size() <= protocol_chars_max && id.find('\n') == std::string::npos &&
           id != refusal;
}

}  // namespace

Dialer::Dialer(std::vector<std::string> protocols) : protocols_(std::move(protocols)) {
    KITH_ASSERT(!protocols_.empty() && protocols_.size() <= dialer_protocols_max);
    KITH_ASSERT(std::ranges::all_of(protocols_, valid_id));
    append_message(out_, header_text);
    append_message(out_, protocols_.front());
}

Result<Progress> Dialer::feed(ByteView& in) {
    while (state_ != State::finished) {
        auto const message = KITH_TRY(reader_.next(in));
        if (!message) return Progress::more;
        auto const text = KITH_TRY(parse_message(*message));
        auto const progress = KITH_TRY(on_message(text));
        if (progress == Progress::finished) return progress;
    }
    return Progress::finished;
}

Result<Progress> Dialer::on_message(std::string_view text) {
    if (state_ == State::header) {
        if (text != header_text) return fail(Code::invalid, "peer does not speak multistream 1.0");
        state_ = State::reply;
        return Progress::more;
    }
    if (text == protocols_[current_]) {
        state_ = State::finished;
        return Progress::finished;
    }
    if (text != refusal) return fail(Code::invalid, "multistream reply names another protocol");
    if (current_ + 1 == protocols_.size())
        return fail(Code::unsupported, "peer does not accept protocol " + protocols_[current_]);
    ++current_;
    append_message(out_, protocols_[current_]);
    return Progress::more;
}

bool Dialer::poll_transmit(base::Bytes& out) {
    return drain(out_, out);
}

Listener::Listener() {
    append_message(out_, header_text);
}

Result<Progress> Listener::feed(ByteView& in, Accepts const& accepts) {
    while (state_ != State::finished) {
        auto const message = KITH_TRY(reader_.next(in));
        if (!message) return Progress::more;
        auto const text = KITH_TRY(parse_message(*message));
        auto const progress = KITH_TRY(on_message(text, accepts));
        if (progress == Progress::finished) return progress;
    }
    return Progress::finished;
}

Result<Progress> Listener::on_message(std::string_view text, Accepts const& accepts) {
    if (state_ == State::header) {
        if (text != header_text) return fail(Code::invalid, "peer does not speak multistream 1.0");
        state_ = State::proposal;
        return Progress::more;
    }
    if (valid_id(text) && accepts(text)) {
        protocol_ = text;
        append_message(out_, text);
        state_ = State::finished;
        return Progress::finished;
    }
    // Also the answer to "ls": what we accept is nobody's business before it is asked for by name.
    if (++refused_count_ > proposals_max) return fail(Code::invalid, "too many refused protocols");
    append_message(out_, refusal);
    return Progress::more;
}

bool Listener::poll_transmit(base::Bytes& out) {
    return drain(out_, out);
}

}  // namespace kith::proto::multistream
