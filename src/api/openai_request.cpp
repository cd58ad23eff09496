#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <limits>

#include "api/openai.h"
#include "api/openai_json.h"
#include "base/sabotage.h"

namespace kith::api {
namespace {

namespace json = boost::json;

// Code points of valid UTF-8: every byte that is not a continuation.
std::size_t characters_count(std::string_view text) {
    auto const starts = [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; };
    return static_cast<std::size_t>(std::ranges::count_if(text, starts));
}

std::string_view view(json::string const& text) {
    return {text.data(), text.size()};
}

// Reads one request object; the first refusal wins and everything after it is harmless.
class ChatReader {
public:
    explicit ChatReader(json::object const& request) : request_(request) {}

    ApiResult<ChatCall> read();

private:
    void read_model();
    void read_messages();
    void read_message(json::value const& value, std::string const& where);
    std::string read_content(json::value const& value, std::string const& where);
    std::string read_part(json::value const& value, std::string const& where);
    void read_lengths();
    void read_sampling();
    void read_seed();
    void read_stops();
    void add_stop(json::value const& value);
    void read_delivery();
    void check_tools();
    void check_tool_choice();
    void check_unsupported();
    void check_penalties();
    void check_response_format();

    // The member, or nullptr when it is absent or null (which mean the same to OpenAI's clients).
    json::value const* given(char const* name) const { return given_in(request_, name); }
    static json::value const* given_in(json::object const& object, char const* name);
    std::optional<std::uint64_t> integer(char const* name, std::uint64_t low, std::uint64_t high);
    std::optional<double> number(char const* name, double low, double high);
    bool flag(json::object const& object, char const* name, std::string const& param);

    void refuse(std::string param, std::string message, char const* code = "invalid_value");
    void refuse_unsupported(std::string param, std::string const& what);

    json::object const& request_;
    ChatCall call_;
    std::optional<ApiError> refusal_;
};

ApiResult<ChatCall> ChatReader::read() {
    read_model();
    read_messages();
    read_lengths();
    read_sampling();
    read_seed();
    read_stops();
    read_delivery();
    check_tools();
    check_tool_choice();
    check_unsupported();
    check_penalties();
    check_response_format();
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
    if (name == "tool" || name == "function" || given_in(message, "tool_calls") != nullptr ||
        given_in(message, "function_call") != nullptr)
        return refuse_unsupported(where, "Tool calls in a conversation are");
    if (name == "developer") name = "system";
    if (name != "system" && name != "user" && name != "assistant")
        return refuse(where + ".role",
                      "The role of a message is one of system, developer, user and assistant.");
    auto const* content = given_in(message, "content");
    if (content == nullptr)
        return refuse(where + ".content", "A message must have content.", "missing");
    call_.question.messages.push_back({name, read_content(*content, where + ".content")});
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

void ChatReader::read_lengths() {
    auto const older = integer("max_tokens", 1, tokens_max_limit);
    auto const newer = integer("max_completion_tokens", 1, tokens_max_limit);
    if (older && newer && *older != *newer)
        return refuse("max_tokens", "'max_tokens' and 'max_completion_tokens' contradict.");
    if (auto const tokens = newer ? newer : older)
        call_.question.tokens_max = static_cast<std::uint32_t>(*tokens);
    integer("n", 1, 1);
}

void ChatReader::read_sampling() {
    if (auto const value = number("temperature", 0, 2))
        call_.question.temperature = static_cast<float>(*value);
    // OpenAI allows 0; the service wants more than that. The least share keeps the likeliest token
    // alone.
    if (auto const value = number("top_p", 0, 1))
        call_.question.top_p = std::max(static_cast<float>(*value), 1e-6F);
    if (auto const value = integer("top_k", 0, 1'000'000))
        call_.question.top_k = static_cast<std::uint32_t>(*value);
}

void ChatReader::read_seed() {
    auto const* value = given("seed");
    if (value == nullptr) return;
    if (auto const* positive = value->if_uint64())
        call_.question.seed = *positive;
    else if (auto const* any = value->if_int64())
        call_.question.seed = static_cast<std::uint64_t>(*any);
    else
        refuse("seed", "'seed' must be an integer of 64 bits.");
}

void ChatReader::read_stops() {
    auto const* value = given("stop");
    if (value == nullptr) return;
    if (value->is_string()) return add_stop(*value);
    if (!value->is_array())
        return refuse("stop", "'stop' must be a string or an array of strings.");
    auto const& list = value->get_array();
    if (!KITH_GUARD("S54.stop", list.size() <= stops_count_max))
        return refuse("stop", "'stop' has more than 16 entries.");
    for (auto const& entry : list) add_stop(entry);
}

void ChatReader::add_stop(json::value const& value) {
    if (!value.is_string())
        return refuse("stop", "'stop' must be a string or an array of strings.");
    auto const text = view(value.get_string());
    if (!KITH_GUARD("S54.empty", !text.empty()))
        return refuse("stop", "A stop sequence must not be empty.");
    if (text.size() > stop_bytes_max)
        return refuse("stop", "A stop sequence is longer than 1024 bytes.");
    call_.question.stop.emplace_back(text);
}

void ChatReader::read_delivery() {
    if (flag(request_, "stream", "stream")) call_.delivery = Delivery::stream;
    auto const* options = given("stream_options");
    if (options == nullptr) return;
    if (!options->is_object() || call_.delivery != Delivery::stream)
        return refuse("stream_options", "'stream_options' must be an object and needs 'stream'.");
    if (flag(options->get_object(), "include_usage", "stream_options.include_usage"))
        call_.usage_chunk = UsageChunk::include;
}

void ChatReader::check_tools() {
    for (char const* name : {"tools", "functions"}) {
        auto const* value = given(name);
        if (value == nullptr) continue;
        if (!value->is_array()) return refuse(name, "The tools must be an array.");
        auto const& list = value->get_array();
        if (!KITH_GUARD("S53.tools", list.size() <= tools_count_max))
            return refuse(name, "There are more than 128 tools.");
        if (!std::ranges::all_of(list, [](json::value const& tool) { return tool.is_object(); }))
            return refuse(name, "A tool must be an object.");
    }
}

// A model that is free to call no tool may be given tools it never calls; one that must call cannot
// be served yet.
void ChatReader::check_tool_choice() {
    for (char const* name : {"tool_choice", "function_call"}) {
        auto const* value = given(name);
        if (value == nullptr) continue;
        bool const free = value->is_string() && (view(value->get_string()) == "auto" ||
                                                 view(value->get_string()) == "none");
        if (!free) return refuse_unsupported(name, "Forcing a tool call is");
    }
}

void ChatReader::check_unsupported() {
    if (flag(request_, "logprobs", "logprobs"))
        return refuse_unsupported("logprobs", "'logprobs' is");
    for (char const* name : {"audio", "web_search_options", "top_logprobs", "prediction"})
        if (given(name) != nullptr)
            return refuse_unsupported(name, "'" + std::string(name) + "' is");
    auto const* modalities = given("modalities");
    if (modalities == nullptr) return;
    auto const is_text = [](json::value const& value) {
        return value.is_string() && view(value.get_string()) == "text";
    };
    if (!modalities->is_array() || !std::ranges::all_of(modalities->get_array(), is_text))
        refuse_unsupported("modalities", "An answer that is not text is");
}

void ChatReader::check_penalties() {
    for (char const* name : {"presence_penalty", "frequency_penalty"})
        if (number(name, -2, 2).value_or(0) != 0)
            return refuse_unsupported(name, "'" + std::string(name) + "' other than 0 is");
    auto const* bias = given("logit_bias");
    if (bias != nullptr && !(bias->is_object() && bias->get_object().empty()))
        refuse_unsupported("logit_bias", "'logit_bias' is");
}

void ChatReader::check_response_format() {
    auto const* value = given("response_format");
    if (value == nullptr) return;
    auto const* type = value->is_object() ? given_in(value->get_object(), "type") : nullptr;
    if (type == nullptr || !type->is_string())
        return refuse("response_format", "'response_format' must be an object with a type.");
    if (view(type->get_string()) != "text")
        refuse_unsupported("response_format", "A 'response_format' other than text is");
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

}  // namespace

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
