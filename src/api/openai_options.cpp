// The half of a chat request that says how the answer is made.
#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <charconv>

#include "api/openai_reader.h"
#include "base/sabotage.h"

namespace kith::api {

namespace json = boost::json;

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
    if (auto const value = number("min_p", 0, 1)) {
        if (*value == 1) return refuse("min_p", "'min_p' must be below 1.");
        call_.question.min_p = static_cast<float>(*value);
    }
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
    for (char const* name : {"audio", "web_search_options", "prediction"})
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

void ChatReader::read_penalties() {
    auto& question = call_.question;
    if (auto const value = number("presence_penalty", -2, 2))
        question.presence_penalty = static_cast<float>(*value);
    if (auto const value = number("frequency_penalty", -2, 2))
        question.frequency_penalty = static_cast<float>(*value);
    // Not of OpenAI: as vLLM and others name it.
    if (auto const value = number("repetition_penalty", 0, 10)) {
        if (*value == 0) return refuse("repetition_penalty", "'repetition_penalty' is above 0.");
        question.repetition_penalty = static_cast<float>(*value);
    }
}

void ChatReader::read_logit_bias() {
    auto const* value = given("logit_bias");
    if (value == nullptr) return;
    auto const* const biases = value->if_object();
    if (biases == nullptr || biases->size() > logit_biases_max)
        return refuse("logit_bias", "'logit_bias' must be an object of at most 1024 token ids.");
    for (auto const& member : *biases) {
        auto const name = member.key();
        std::uint32_t token = 0;
        auto const read = std::from_chars(name.data(), name.data() + name.size(), token);
        bool const is_id = read.ec == std::errc() && read.ptr == name.data() + name.size();
        auto const* real = member.value().if_double();
        auto const* whole = member.value().if_int64();
        if (!is_id || (real == nullptr && whole == nullptr))
            return refuse("logit_bias", "'logit_bias' maps token ids to numbers.");
        auto const bias = real != nullptr ? *real : static_cast<double>(*whole);
        if (!(bias >= -100 && bias <= 100))
            return refuse("logit_bias", "A bias must be a number from -100 to 100.");
        call_.question.logit_bias.push_back({token, static_cast<float>(bias)});
    }
}

void ChatReader::read_logprobs() {
    bool const wanted = flag(request_, "logprobs", "logprobs");
    auto const count = integer("top_logprobs", 0, top_logprobs_max);
    if (count && !wanted)
        return refuse("top_logprobs", "'top_logprobs' needs 'logprobs' to be true.");
    if (wanted) call_.question.top_logprobs = static_cast<std::uint32_t>(count.value_or(0));
}

void ChatReader::read_response_format() {
    auto const* value = given("response_format");
    if (value == nullptr) return;
    auto const* type = value->is_object() ? given_in(value->get_object(), "type") : nullptr;
    if (type == nullptr || !type->is_string())
        return refuse("response_format", "'response_format' must be an object with a type.");
    auto const& name = type->get_string();
    if (name == "text") return;
    if (name == "json_object") {
        call_.question.form = ask::AnswerForm::json_object;
    } else if (name == "json_schema") {
        read_schema(value->get_object());
    } else {
        refuse_unsupported("response_format", "A 'response_format' of that type is");
    }
}

void ChatReader::read_schema(json::object const& format) {
    auto const* outer = given_in(format, "json_schema");
    auto const* object = outer == nullptr ? nullptr : outer->if_object();
    auto const* schema = object == nullptr ? nullptr : given_in(*object, "schema");
    if (schema == nullptr || !schema->is_object())
        return refuse("response_format", "'response_format.json_schema.schema' must be an object.");
    call_.question.form = ask::AnswerForm::json_schema;
    call_.question.schema = json::serialize(*schema);
}

}  // namespace kith::api
