// infer/jinja/token_reader.h: the tokens of a template, read one by one, and the count of what was
// made of them. For the two parsers of this folder.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "infer/jinja/lexer.h"
#include "infer/jinja/syntax.h"

namespace kith::infer::jinja {

class TokenReader {
public:
    explicit TokenReader(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

    [[nodiscard]] Token const& now() const { return tokens_[at_]; }
    [[nodiscard]] Token const& next() const {
        return tokens_[std::min(at_ + 1, tokens_.size() - 1)];
    }
    Token const& take() {
        auto const& token = tokens_[at_];
        if (at_ + 1 < tokens_.size()) ++at_;
        return token;
    }
    [[nodiscard]] bool is(Token::Kind kind) const { return now().kind == kind; }
    [[nodiscard]] bool is(Token::Kind kind, std::string_view text) const {
        return is(kind) && now().text == text;
    }
    [[nodiscard]] bool is_symbol(std::string_view text) const {
        return is(Token::Kind::symbol, text);
    }
    [[nodiscard]] bool is_name(std::string_view text) const { return is(Token::Kind::name, text); }
    bool skip_symbol(std::string_view text) {
        bool const found = is_symbol(text);
        if (found) take();
        return found;
    }
    bool skip_name(std::string_view text) {
        bool const found = is_name(text);
        if (found) take();
        return found;
    }
    base::Status expect_symbol(std::string_view text) {
        if (skip_symbol(text)) return {};
        return error(base::Code::invalid, "expected '" + std::string(text) + "'");
    }
    base::Status expect(Token::Kind kind, char const* what) {
        if (!is(kind)) return error(base::Code::invalid, std::string("expected ") + what);
        take();
        return {};
    }
    base::Result<std::string> expect_name() {
        if (!is(Token::Kind::name)) return error(base::Code::invalid, "expected a name");
        return take().text;
    }

    // One more node of the tree.
    base::Status count() {
        if (++nodes_ > nodes_max)
            return error(base::Code::too_large, "the template has too many parts");
        return {};
    }
    [[nodiscard]] std::unexpected<base::Error> error(base::Code code,
                                                     std::string const& what) const {
        return base::fail(code, "line " + std::to_string(now().line) + ": " + what);
    }

private:
    std::vector<Token> tokens_;  // never empty, the last is Kind::end
    std::size_t at_ = 0;
    std::size_t nodes_ = 0;
};

}  // namespace kith::infer::jinja
