// infer/chat_family.h: the layouts of conversations that this program knows by itself, for models
// whose own template is missing, broken or beyond what infer/jinja runs.
//
// The family is recognised in the text of the model's template. Markers come from the family and
// become control tokens; what people wrote is tokenised as plain text, so that a message that
// spells "<|im_end|>" cannot end its own turn.
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "infer/chat_message.h"

namespace kith::infer {

enum class ChatFamily {
    chatml,  // <|im_start|>role\n ... <|im_end|>\n : qwen2 and many others
    llama3,  // <|start_header_id|>role<|end_header_id|>\n\n ... <|eot_id|>
    llama2,  // [INST] ... [/INST] answer</s> : llama 2, mistral
    gemma,   // <start_of_turn>role\n ... <end_of_turn>\n : gemma 1 to 3
    phi3,    // <|user|>\n ... <|end|>\n : phi 3 and 3.5
    zephyr,  // <|user|>\n ... </s>\n : zephyr, TinyLlama chat
};
char const* chat_family_name(ChatFamily family);

// Code::unsupported naming the beginning of a template of no known family.
base::Result<ChatFamily> detect_chat_family(std::string_view template_text);

// The default system text some templates add when there is none is not added; what a tool answered
// is told as the user's words where the family has no tools. Code::invalid for no message, for more
// than chat_messages_max, and (llama2) for roles that do not alternate.
base::Result<std::vector<ChatSegment>> render_chat(ChatFamily family,
                                                   std::vector<ChatMessage> const& messages,
                                                   Answer answer);

}  // namespace kith::infer
