#include "infer/chat_template.h"

#include <algorithm>
#include <utility>

#include "infer/json_input.h"

namespace kith::infer {

using base::Code;
using base::fail;
using base::Result;
using jinja::Input;
using jinja::Origin;
using jinja::Text;

namespace {

Text written(std::string_view text) {
    return {text, Origin::written};
}
Text given(std::string_view text) {
    return {text, Origin::given};
}

// Templates want the arguments of a call as values to print as JSON; a few join them to a text.
Result<Input> call_input(ChatToolCall const& call, bool as_values) {
    Input arguments{given(call.arguments)};
    if (as_values)
        if (auto values = input_of_json(call.arguments);
            values && std::holds_alternative<Input::Dict>(values->value))
            arguments = *std::move(values);
    Input::Dict function;
    function.emplace_back(written("name"), Input{given(call.name)});
    function.emplace_back(written("arguments"), std::move(arguments));
    Input::Dict out;
    out.emplace_back(written("id"), Input{given(call.id)});
    out.emplace_back(written("type"), Input{written("function")});
    out.emplace_back(written("function"), Input{std::move(function)});
    return Input{std::move(out)};
}

Result<Input> message_input(ChatMessage const& message, bool as_values) {
    Input::Dict out;
    out.emplace_back(written("role"), Input{written(chat_role_name(message.role))});
    out.emplace_back(written("content"), Input{given(message.content)});
    if (!message.calls.empty()) {
        Input::List calls;
        for (auto const& call : message.calls)
            calls.push_back(KITH_TRY(call_input(call, as_values)));
        out.emplace_back(written("tool_calls"), Input{std::move(calls)});
    }
    if (!message.call_id.empty())
        out.emplace_back(written("tool_call_id"), Input{given(message.call_id)});
    if (!message.name.empty()) out.emplace_back(written("name"), Input{given(message.name)});
    return Input{std::move(out)};
}

std::vector<ChatSegment> segments_of(Text const& text) {
    std::vector<ChatSegment> out;
    for (std::size_t begin = 0; begin < text.size();) {
        auto end = begin;
        while (end < text.size() && text.origin(end) == text.origin(begin)) ++end;
        bool const trusted = text.origin(begin) == Origin::written;
        out.push_back({.text = std::string(text.bytes().substr(begin, end - begin)),
                       .specials = trusted ? Specials::parse : Specials::as_text});
        begin = end;
    }
    return out;
}

// A name in a template may be as long as the template.
base::Error shortened(base::Error error) {
    constexpr std::size_t error_bytes_max = 240;
    if (error.message.size() > error_bytes_max) error.message.resize(error_bytes_max);
    return error;
}

// The system message inside the first one of the user; nullopt when there is none to move.
std::optional<Conversation> with_system_moved(Conversation const& conversation) {
    auto out = conversation;
    auto& messages = out.messages;
    if (messages.size() < 2 || messages[0].role != ChatRole::system ||
        messages[1].role != ChatRole::user)
        return std::nullopt;
    messages[1].content = messages[0].content + "\n\n" + messages[1].content;
    messages.erase(messages.begin());
    return out;
}

}  // namespace

Result<ChatTemplate> ChatTemplate::of_text(std::string_view text, std::string begin_text,
                                           std::string end_text) {
    ChatTemplate out;
    out.begin_text_ = std::move(begin_text);
    out.end_text_ = std::move(end_text);
    if (auto const family = detect_chat_family(text)) out.family_ = *family;
    auto parsed = jinja::Template::parse(text);
    if (parsed) {
        out.own_ = *std::move(parsed);
        out.takes_tools_ = text.find("tools") != std::string_view::npos;
        return out;
    }
    out.objection_ =
        "the model's chat template cannot be run: " + shortened(parsed.error()).message;
    if (!out.family_) return fail(Code::unsupported, out.objection_);
    return out;
}

Result<ChatTemplate> ChatTemplate::create(ModelWords const& words, Tokenizer const& tokenizer) {
    auto const& text = words.chat_template;
    if (!text) return fail(Code::not_found, "the model has no chat template");
    auto const text_of = [&](std::optional<TokenId> token) {
        return token ? std::string(tokenizer.token_text(*token)) : std::string();
    };
    return of_text(*text, text_of(tokenizer.begin_token()), text_of(tokenizer.end_token()));
}

Result<std::vector<ChatSegment>> ChatTemplate::run_as(Conversation const& conversation,
                                                      Answer answer, ArgumentForm form) const {
    Input::List messages;
    for (auto const& message : conversation.messages)
        messages.push_back(KITH_TRY(message_input(message, form == ArgumentForm::values)));
    auto tools = conversation.tools.empty() ? Input{} : KITH_TRY(input_of_json(conversation.tools));
    std::vector<jinja::Variable> variables;
    variables.push_back({"messages", Input{std::move(messages)}});
    variables.push_back({"tools", std::move(tools)});
    variables.push_back({"documents", Input{}});
    variables.push_back({"add_generation_prompt", Input{answer == Answer::open}});
    variables.push_back({"bos_token", Input{written(begin_text_)}});
    variables.push_back({"eos_token", Input{written(end_text_)}});
    auto const text = own_->render(variables, conversation.now);
    if (!text) return std::unexpected(shortened(text.error()));
    return segments_of(*text);
}

Result<std::vector<ChatSegment>> ChatTemplate::run(Conversation const& conversation,
                                                   Answer answer) const {
    auto out = run_as(conversation, answer, ArgumentForm::values);
    bool const has_calls = std::ranges::any_of(
        conversation.messages, [](auto const& message) { return !message.calls.empty(); });
    if (!out && out.error().code == Code::unsupported && has_calls)
        if (auto again = run_as(conversation, answer, ArgumentForm::text)) return again;
    return out;
}

Result<std::vector<ChatSegment>> ChatTemplate::render(Conversation const& conversation,
                                                      Answer answer) const {
    auto const& messages = conversation.messages;
    if (messages.empty()) return fail(Code::invalid, "no message");
    if (messages.size() > chat_messages_max) return fail(Code::invalid, "too many messages");
    if (!own_) return render_chat(*family_, messages, answer);
    auto out = run(conversation, answer);
    if (!out && out.error().code == Code::invalid)
        if (auto const moved = with_system_moved(conversation))
            if (auto again = run(*moved, answer)) return again;
    if (out || out.error().code == Code::invalid) return out;
    if (family_ && conversation.tools.empty()) return render_chat(*family_, messages, answer);
    return fail(out.error().code, "the model's chat template fails: " + out.error().message);
}

Result<std::vector<TokenId>> ChatTemplate::encode(Tokenizer const& tokenizer,
                                                  Conversation const& conversation,
                                                  Answer answer) const {
    auto const segments = KITH_TRY(render(conversation, answer));
    std::vector<TextPiece> pieces;
    for (auto const& segment : segments) pieces.push_back({segment.text, segment.specials});
    auto out = KITH_TRY(tokenizer.encode(pieces, Begin::as_model_says));
    // Templates that write the beginning token themselves mean the one that was added.
    auto const begin = tokenizer.begin_token();
    if (begin && out.size() > 1 && out[0] == *begin && out[1] == *begin) out.erase(out.begin());
    return out;
}

}  // namespace kith::infer
