// infer/chat_template.h: a conversation as the token ids a model was trained on.
//
// The model's own template (tokenizer.chat_template, Jinja) is run; a family of chat_family.h is
// used where the file has none that can be. Either way every byte keeps its origin: what the
// template wrote may name control tokens, what the conversation brought never becomes one, however
// it is spelled. Not guarded, because it cannot be told apart: a model that was trained to read
// plain text as a marker ("[INST]", "### User:"), and tokens that a file declares as user-defined
// words, which are found in any text.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "infer/chat_family.h"
#include "infer/chat_message.h"
#include "infer/jinja/template.h"
#include "infer/model_words.h"
#include "infer/tokenizer.h"

namespace kith::infer {

class ChatTemplate {
public:
    // From the metadata of a model. Code::not_found: it has no template. Code::unsupported, with
    // the reason: its template can neither be run nor belongs to a known family.
    static base::Result<ChatTemplate> create(ModelWords const& words, Tokenizer const& tokenizer);
    static base::Result<ChatTemplate> of_text(std::string_view text, std::string begin_text,
                                              std::string end_text);

    // The family is tried when the template fails by its own fault. Code::invalid for no message,
    // more than chat_messages_max, tools that are no JSON, or with the template's own words when it
    // refuses the conversation. A template that refuses a system message gets it once more inside
    // the first message of the user. Takes seconds at most.
    [[nodiscard]] base::Result<std::vector<ChatSegment>> render(Conversation const& conversation,
                                                                Answer answer) const;

    // render and tokenise, with the beginning token once where the model asks for it.
    [[nodiscard]] base::Result<std::vector<TokenId>> encode(Tokenizer const& tokenizer,
                                                            Conversation const& conversation,
                                                            Answer answer) const;

    // Whether the template looks at tools at all; without, a model cannot be told of them.
    [[nodiscard]] bool takes_tools() const { return takes_tools_; }
    // Why the model's own template is not run; empty: it is.
    [[nodiscard]] std::string const& objection() const { return objection_; }

private:
    ChatTemplate() = default;
    enum class ArgumentForm { values, text };
    [[nodiscard]] base::Result<std::vector<ChatSegment>> run(Conversation const& conversation,
                                                             Answer answer) const;
    [[nodiscard]] base::Result<std::vector<ChatSegment>> run_as(Conversation const& conversation,
                                                                Answer answer,
                                                                ArgumentForm form) const;

    std::optional<jinja::Template> own_;
    std::optional<ChatFamily> family_;
    std::string begin_text_, end_text_;
    std::string objection_;
    bool takes_tools_ = false;
};

}  // namespace kith::infer
