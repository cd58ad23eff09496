#include "infer/chat_family.h"

#include <utility>

namespace kith::infer {
namespace {

using base::Code;
using base::fail;
using base::Result;

constexpr std::size_t template_shown_bytes = 60;

// In the families without a role for tools.
ChatRole without_tool(ChatRole role) {
    return role == ChatRole::tool ? ChatRole::user : role;
}

bool contains(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view blank = " \t\r\n";
    auto const first = text.find_first_not_of(blank);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(blank) - first + 1);
}

// Collects segments, joining neighbours of one kind: a tokenizer must see text that belongs
// together in one piece.
class Rendering {
public:
    void marker(std::string_view text) { add(text, Specials::parse); }
    void plain(std::string_view text) { add(text, Specials::as_text); }
    std::vector<ChatSegment> take() { return std::move(segments_); }

private:
    void add(std::string_view text, Specials specials) {
        if (text.empty()) return;
        if (segments_.empty() || segments_.back().specials != specials)
            segments_.push_back({.text = {}, .specials = specials});
        segments_.back().text += text;
    }
    std::vector<ChatSegment> segments_;
};

std::vector<ChatSegment> render_chatml(std::vector<ChatMessage> const& messages, Answer answer) {
    Rendering out;
    for (auto const& message : messages) {
        out.marker("<|im_start|>");
        out.plain(std::string(chat_role_name(message.role)) + "\n" + message.content);
        out.marker("<|im_end|>");
        out.plain("\n");
    }
    if (answer == Answer::open) {
        out.marker("<|im_start|>");
        out.plain("assistant\n");
    }
    return out.take();
}

std::vector<ChatSegment> render_llama3(std::vector<ChatMessage> const& messages, Answer answer) {
    Rendering out;
    auto const header = [&out](ChatRole role) {
        out.marker("<|start_header_id|>");
        out.plain(chat_role_name(without_tool(role)));
        out.marker("<|end_header_id|>");
    };
    for (auto const& message : messages) {
        header(message.role);
        out.plain("\n\n" + std::string(trimmed(message.content)));
        out.marker("<|eot_id|>");
    }
    if (answer == Answer::open) {
        header(ChatRole::assistant);
        out.plain("\n\n");
    }
    return out.take();
}

std::vector<ChatSegment> render_zephyr(std::vector<ChatMessage> const& messages, Answer answer) {
    Rendering out;
    for (auto const& message : messages) {
        out.marker("<|" + std::string(chat_role_name(without_tool(message.role))) + "|>");
        out.plain("\n" + message.content);
        out.marker("</s>");
        out.plain("\n");
    }
    if (answer == Answer::open) {
        out.marker("<|assistant|>");
        out.plain("\n");
    }
    return out.take();
}

std::vector<ChatSegment> render_phi3(std::vector<ChatMessage> const& messages, Answer answer) {
    Rendering out;
    for (auto const& message : messages) {
        out.marker("<|" + std::string(chat_role_name(without_tool(message.role))) + "|>");
        out.plain("\n" + message.content);
        out.marker("<|end|>");
        out.plain("\n");
    }
    if (answer == Answer::open) {
        out.marker("<|assistant|>");
        out.plain("\n");
    }
    return out.take();
}

// No role for the system: its text goes before the first question's.
std::vector<ChatSegment> render_gemma(std::vector<ChatMessage> const& messages, Answer answer) {
    Rendering out;
    std::string system;
    auto const begin = [&out](ChatRole role) {
        out.marker("<start_of_turn>");
        out.plain(role == ChatRole::assistant ? "model\n" : "user\n");
    };
    for (auto const& message : messages) {
        if (message.role == ChatRole::system) {
            system += message.content + "\n\n";
            continue;
        }
        begin(message.role);
        if (message.role != ChatRole::assistant) out.plain(std::exchange(system, {}));
        out.plain(trimmed(message.content));
        out.marker("<end_of_turn>");
        out.plain("\n");
    }
    if (answer == Answer::open) begin(ChatRole::assistant);
    return out.take();
}

// The system text goes inside the first question. Turns alternate, the first is the user's.
Result<std::vector<ChatSegment>> render_llama2(std::vector<ChatMessage> const& messages) {
    Rendering out;
    std::string system;
    auto expected = ChatRole::user;
    bool first_turn = true;
    for (auto const& message : messages) {
        if (&message == &messages.front() && message.role == ChatRole::system) {
            system = "<<SYS>>\n" + std::string(trimmed(message.content)) + "\n<</SYS>>\n\n";
            continue;
        }
        auto const role = without_tool(message.role);
        if (role != expected)
            return fail(Code::invalid, "this model wants user and assistant messages in turn");
        if (role == ChatRole::user) {
            if (!first_turn) out.marker("<s>");
            out.plain("[INST] " + system + std::string(trimmed(message.content)) + " [/INST]");
            system.clear();
            expected = ChatRole::assistant;
        } else {
            out.plain(" " + std::string(trimmed(message.content)) + " ");
            out.marker("</s>");
            expected = ChatRole::user;
        }
        first_turn = false;
    }
    if (first_turn) return fail(Code::invalid, "this model wants a user message");
    return out.take();
}

}  // namespace

char const* chat_role_name(ChatRole role) {
    switch (role) {
        case ChatRole::system:
            return "system";
        case ChatRole::user:
            return "user";
        case ChatRole::assistant:
            return "assistant";
        case ChatRole::tool:
            return "tool";
    }
    return "?";
}

char const* chat_family_name(ChatFamily family) {
    switch (family) {
        case ChatFamily::chatml:
            return "chatml";
        case ChatFamily::llama3:
            return "llama3";
        case ChatFamily::llama2:
            return "llama2";
        case ChatFamily::gemma:
            return "gemma";
        case ChatFamily::phi3:
            return "phi3";
        case ChatFamily::zephyr:
            return "zephyr";
    }
    return "?";
}

Result<ChatFamily> detect_chat_family(std::string_view text) {
    if (contains(text, "<|im_start|>")) return ChatFamily::chatml;
    if (contains(text, "<|start_header_id|>")) return ChatFamily::llama3;
    if (contains(text, "[INST]")) return ChatFamily::llama2;
    if (contains(text, "<start_of_turn>")) return ChatFamily::gemma;
    if (contains(text, "<|user|>") && contains(text, "<|end|>")) return ChatFamily::phi3;
    if (contains(text, "<|user|>") && contains(text, "eos_token")) return ChatFamily::zephyr;
    std::string shown;
    for (char const c : text.substr(0, template_shown_bytes))
        shown += (c >= 0x20 && c < 0x7f) ? c : ' ';
    return fail(Code::unsupported, "chat template of no known family: " + shown + "...");
}

Result<std::vector<ChatSegment>> render_chat(ChatFamily family,
                                             std::vector<ChatMessage> const& messages,
                                             Answer answer) {
    if (messages.empty()) return fail(Code::invalid, "no message");
    if (messages.size() > chat_messages_max) return fail(Code::invalid, "too many messages");
    switch (family) {
        case ChatFamily::chatml:
            return render_chatml(messages, answer);
        case ChatFamily::llama3:
            return render_llama3(messages, answer);
        case ChatFamily::llama2:
            return render_llama2(messages);
        case ChatFamily::gemma:
            return render_gemma(messages, answer);
        case ChatFamily::phi3:
            return render_phi3(messages, answer);
        case ChatFamily::zephyr:
            return render_zephyr(messages, answer);
    }
    return fail(Code::internal, "unknown chat family");
}

}  // namespace kith::infer
