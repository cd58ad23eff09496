// infer/chat_template.h: a conversation as the token ids a model was trained on.
//
// The family is recognised in the model's own template text (tokenizer.chat_template, Jinja); the
// text itself is not run. Markers come from the family and become control tokens; what people wrote
// is tokenised as plain text, so that a message that spells "<|im_end|>" cannot end its own turn.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "infer/tokenizer.h"

namespace kith::infer {

inline constexpr std::size_t chat_messages_max = 4096;

enum class ChatFamily {
    chatml,  // <|im_start|>role\n ... <|im_end|>\n : qwen2 and many others
    llama3,  // <|start_header_id|>role<|end_header_id|>\n\n ... <|eot_id|>
    llama2,  // [INST] ... [/INST] answer</s> : llama 2, mistral
    zephyr,  // <|user|>\n ... </s>\n : zephyr, TinyLlama chat
};
char const* chat_family_name(ChatFamily family);

enum class ChatRole { system, user, assistant };

struct ChatMessage {
    ChatRole role = ChatRole::user;
    std::string content;
};

// A piece of the rendered conversation.
struct ChatSegment {
    std::string text;
    Specials specials = Specials::as_text;
    bool operator==(ChatSegment const&) const = default;
};

// Code::unsupported naming the beginning of a template of no known family; Code::not_found when the
// file has none.
base::Result<ChatFamily> detect_chat_family(Gguf const& file);
base::Result<ChatFamily> detect_chat_family(std::string_view template_text);

// The default system text some templates add when there is none is not added. Code::invalid for no
// message, for more than chat_messages_max, and (llama2) for roles that do not alternate. With
// `open`, the header of the answer follows.
enum class Answer { none, open };
base::Result<std::vector<ChatSegment>> render_chat(ChatFamily family,
                                                   std::vector<ChatMessage> const& messages,
                                                   Answer answer);

// render_chat and encode in one, with the beginning token where the model asks for it.
base::Result<std::vector<TokenId>> encode_chat(Tokenizer const& tokenizer, ChatFamily family,
                                               std::vector<ChatMessage> const& messages,
                                               Answer answer);

}  // namespace kith::infer
