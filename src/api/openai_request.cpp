#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <limits>

#include "api/openai_json.h"
#include "api/openai_reader.h"
#include "base/sabotage.h"

namespace kith::api {
namespace {

namespace json = boost::json;

// Code points of valid UTF-8: every byte that is not a continuation.
std::size_t characters_count(std::string_view text) {
    auto const starts = [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; };
    return static_cast<std::size_t>(std::ranges::count_if(text, starts));
}

}  // namespace

ApiResult<ChatCall> ChatReader::read() {
    read_model();
    read_messages();
    read_lengths();
    read_sampling();
    read_seed();
    read_stops();
    read_delivery();
    read_penalties();
    read_logit_bias();
    read_logprobs();
    read_response_format();
    check_tools();
    check_tool_choice();
    check_unsupported();
    if (refusal_) return std::unexpected(*std::move(refusal_));
    return std::move(call_);
}

void ChatReader::read_model() {
    auto const* value = given("model");
    if (value == nullptr) return refuse("model", "A model must be named.", "missing");
    if (!value->is_string()) return refuse("model", "'model' must be a string.");
    auto const text = view(value->get_string());
    if (text.empty()) return refuse("model", "A model must be named.", "missing");
    if (!KITH_GUARD("S52.model", characters_count(text) <= model_characters_max))
        return refuse("model", "'model' has more than 256 characters.");
    if (!KITH_GUARD("S52.nul", text.find('\0') == std::string_view::npos))
        return refuse("model", "'model' contains a NUL character.");
    call_.question.model = text;
}

void ChatReader::read_messages() {
    auto const* value = given("messages");
    if (value == nullptr) return refuse("messages", "'messages' is missing.", "missing");
    if (!value->is_array() || value->get_array().empty())
        return refuse("messages", "'messages' must be an array of at least one message.");
    auto const& list = value->get_array();
    if (list.size() > messages_count_max)
        return refuse("messages", "'messages' has more than 4096 entries.");
    for (std::size_t i = 0; i < list.size() && !refusal_; ++i)
        read_message(list[i], "messages[" + std::to_string(i) + "]");
}

void ChatReader::read_message(json::value const& value, std::string const& where) {
    if (!value.is_object()) return refuse(where, "A message must be an object.");
    auto const& message = value.get_object();
    auto const* role = given_in(message, "role");
    if (role == nullptr || !role->is_string())
        return refuse(where + ".role", "A message must have a role.");
    std::string name(view(role->get_string()));
    if (name == "function" || given_in(message, "function_call") != nullptr)
        return refuse_unsupported(where, "'function' (use tools) in a conversation is");
    if (name == "developer") name = "system";
    if (name != "system" && name != "user" && name != "assistant" && name != "tool")
        return refuse(
            where + ".role",
            "The role of a message is one of system, developer, user, assistant and tool.");
    ask::Message out{.role = name, .content = {}};
    if (auto const* calls = given_in(message, "tool_calls")) {
        if (name != "assistant")
            return refuse(where + ".tool_calls", "Only an assistant's message has tool calls.");
        read_calls(*calls, where + ".tool_calls", out);
    }
    if (name == "tool") {
        auto const* id = given_in(message, "tool_call_id");
        if (id == nullptr || !id->is_string())
            return refuse(where + ".tool_call_id", "A tool's message must name its call.");
        out.call_id = view(id->get_string());
    }
    auto const* content = given_in(message, "content");
    if (content == nullptr && out.calls.empty())
        return refuse(where + ".content", "A message must have content.", "missing");
    if (content != nullptr) out.content = read_content(*content, where + ".content");
    call_.question.messages.push_back(std::move(out));
}

void ChatReader::read_calls(json::value const& value, std::string const& where,
                            ask::Message& message) {
    if (!value.is_array() || value.get_array().size() > tools_count_max)
        return refuse(where, "The tool calls must be an array of at most 128.");
    for (auto const& each : value.get_array()) {
        auto const* call = each.if_object();
        auto const* function = call == nullptr ? nullptr : given_in(*call, "function");
        auto const* inner = function == nullptr ? nullptr : function->if_object();
        auto const* id = call == nullptr ? nullptr : given_in(*call, "id");
        auto const* name = inner == nullptr ? nullptr : given_in(*inner, "name");
        auto const* arguments = inner == nullptr ? nullptr : given_in(*inner, "arguments");
        bool const whole = id != nullptr && id->is_string() && name != nullptr &&
                           name->is_string() && arguments != nullptr && arguments->is_string();
        if (!whole)
            return refuse(where,
                          "A tool call has an id, and a function with name and arguments (texts).");
        message.calls.push_back({.id = std::string(view(id->get_string())),
                                 .name = std::string(view(name->get_string())),
                                 .arguments = std::string(view(arguments->get_string()))});
    }
}

std::string ChatReader::read_content(json::value const& value, std::string const& where) {
    if (value.is_string()) return std::string(view(value.get_string()));
    if (!value.is_array() || value.get_array().empty() ||
        value.get_array().size() > parts_count_max) {
        refuse(where, "The content must be a string or an array of 1 to 4096 text parts.");
        return {};
    }
    std::string text;
    auto const& parts = value.get_array();
    for (std::size_t i = 0; i < parts.size() && !refusal_; ++i) {
        if (i > 0) text += '\n';  // parts are paragraphs of one message
        text += read_part(parts[i], where + "[" + std::to_string(i) + "]");
    }
    return text;
}

std::string ChatReader::read_part(json::value const& value, std::string const& where) {
    auto const* part = value.if_object();
    auto const* type = part == nullptr ? nullptr : given_in(*part, "type");
    if (type == nullptr || !type->is_string()) {
        refuse(where, "A part of the content must be an object with a type.");
        return {};
    }
    auto const kind = view(type->get_string());
    if (kind == "image_url" || kind == "input_audio" || kind == "file") {
        refuse_unsupported(where, "Parts that are no text (images, audio, files) are");
        return {};
    }
    auto const* text = given_in(*part, "text");
    if (kind != "text" || text == nullptr || !text->is_string()) {
        refuse(where, "A part of the content must be of type text, with a text.");
        return {};
    }
    return std::string(view(text->get_string()));
}

json::value const* ChatReader::given_in(json::object const& object, char const* name) {
    auto const* value = object.if_contains(name);
    return value == nullptr || value->is_null() ? nullptr : value;
}

std::optional<std::uint64_t> ChatReader::integer(char const* name, std::uint64_t low,
                                                 std::uint64_t high) {
    auto const* value = given(name);
    if (value == nullptr) return std::nullopt;
    std::optional<std::uint64_t> found;
    if (auto const* any = value->if_int64(); any != nullptr && *any >= 0)
        found = static_cast<std::uint64_t>(*any);
    if (auto const* positive = value->if_uint64()) found = *positive;
    if (found && *found >= low && *found <= high) return found;
    std::string const range =
        low == high ? std::to_string(low) : std::to_string(low) + " to " + std::to_string(high);
    refuse(name, "'" + std::string(name) + "' must be an integer: " + range + ".");
    return std::nullopt;
}

std::optional<double> ChatReader::number(char const* name, double low, double high) {
    auto const* value = given(name);
    if (value == nullptr) return std::nullopt;
    double found = std::numeric_limits<double>::quiet_NaN();
    if (auto const* real = value->if_double()) found = *real;
    if (auto const* any = value->if_int64()) found = static_cast<double>(*any);
    if (auto const* positive = value->if_uint64()) found = static_cast<double>(*positive);
    if (found >= low && found <= high) return found;  // false for what is no number
    refuse(name, "'" + std::string(name) + "' must be a number from " +
                     std::to_string(static_cast<int>(low)) + " to " +
                     std::to_string(static_cast<int>(high)) + ".");
    return std::nullopt;
}

bool ChatReader::flag(json::object const& object, char const* name, std::string const& param) {
    auto const* value = given_in(object, name);
    if (value == nullptr) return false;
    if (value->is_bool()) return value->get_bool();
    refuse(param, "'" + param + "' must be true or false.");
    return false;
}

void ChatReader::refuse(std::string param, std::string message, char const* code) {
    if (refusal_) return;
    refusal_ = ApiError{.status = 400, .message = std::move(message)};
    refusal_->param = std::move(param);
    refusal_->code = code;
}

void ChatReader::refuse_unsupported(std::string param, std::string const& what) {
    refuse(std::move(param), what + " not supported yet.", "unsupported");
}

ApiResult<ChatCall> parse_chat_request(base::ByteView body) {
    auto const parsed = parse_json(body);
    if (!parsed) {
        ApiError error{.status = 400,
                       .message = "The body is refused: " + parsed.error().message + "."};
        error.code = "invalid_json";
        return std::unexpected(std::move(error));
    }
    if (!parsed->is_object()) {
        ApiError error{.status = 400, .message = "The body is refused: it is no JSON object."};
        error.code = "invalid_json";
        return std::unexpected(std::move(error));
    }
    return ChatReader(parsed->get_object()).read();
}

}  // namespace kith::api
