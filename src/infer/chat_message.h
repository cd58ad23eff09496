// infer/chat_message.h: a conversation, as an application has it.
#pragma once

#include <string>
#include <vector>

#include "base/time.h"
#include "infer/tokenizer.h"

namespace kith::infer {

inline constexpr std::size_t chat_messages_max = 4096;

enum class ChatRole { system, user, assistant, tool };
char const* chat_role_name(ChatRole role);

// What an assistant wanted to be called, as in OpenAI's API.
struct ChatToolCall {
    std::string id;
    std::string name;
    std::string arguments;  // JSON, as the model wrote it
};

struct ChatMessage {
    ChatRole role = ChatRole::user;
    std::string content;
    std::vector<ChatToolCall> calls{};  // of an assistant
    std::string call_id{};              // of a tool: the call this answers
    std::string name{};                 // of a tool: its function; may be empty
};

struct Conversation {
    std::vector<ChatMessage> messages;
    std::string tools{};   // JSON: the array `tools` of OpenAI's API; empty: none
    base::UnixTime now{};  // what templates that tell the date tell
};

// A piece of the rendered conversation.
struct ChatSegment {
    std::string text;
    Specials specials = Specials::as_text;
    bool operator==(ChatSegment const&) const = default;
};

// With `open`, the header of the answer follows.
enum class Answer { none, open };

}  // namespace kith::infer
