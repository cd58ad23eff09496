#include "api/openai.h"

#include <doctest/doctest.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "api/openai_json.h"

namespace kith::api {
namespace {

namespace json = boost::json;

constexpr char const* messages = R"("messages":[{"role":"user","content":"hi"}])";

ApiResult<ChatCall> parse(std::string const& text) {
    return parse_chat_request(base::as_bytes(text));
}

// A request that is right but for the member(s) given.
ApiResult<ChatCall> with(std::string const& member) {
    return parse(R"({"model":"guide",)" + std::string(messages) + "," + member + "}");
}

std::string refused_param(ApiResult<ChatCall> const& result) {
    REQUIRE_FALSE(result.has_value());
    CHECK(result.error().status == 400);
    CHECK_FALSE(result.error().message.empty());
    return result.error().param.value_or("-");
}

std::string repeated(std::size_t count, std::string const& entry) {
    std::string out = "[";
    for (std::size_t i = 0; i < count; ++i) out += (i == 0 ? "" : ",") + entry;
    return out + "]";
}

std::string with_model(std::string const& model) {
    return R"({"model":")" + model + "\"," + messages + "}";
}

std::string repeat_text(std::size_t count, std::string_view piece) {
    std::string out;
    for (std::size_t i = 0; i < count; ++i) out += piece;
    return out;
}

}  // namespace

TEST_CASE("a minimal request gets the service's defaults") {
    auto const call = parse(with_model("guide"));
    REQUIRE(call.has_value());
    CHECK(call->question.model == "guide");
    REQUIRE(call->question.messages.size() == 1);
    CHECK(call->question.messages[0].role == "user");
    CHECK(call->question.messages[0].content == "hi");
    CHECK(call->question.tokens_max == 512);
    CHECK(call->question.temperature == 1.0F);
    CHECK_FALSE(call->question.seed.has_value());
    CHECK(call->delivery == Delivery::whole);
}

TEST_CASE("every supported field reaches the question") {
    auto const call = with(R"("max_completion_tokens":32768,"temperature":0,"top_p":0.5,"top_k":40,
        "seed":-1,"stop":["a","b"],"n":1,"stream":true,"stream_options":{"include_usage":true})");
    REQUIRE(call.has_value());
    CHECK(call->question.tokens_max == 32768);
    CHECK(call->question.temperature == 0.0F);
    CHECK(call->question.top_p == 0.5F);
    CHECK(call->question.top_k == 40);
    CHECK(call->question.seed == 0xffff'ffff'ffff'ffffULL);
    CHECK(call->question.stop == std::vector<std::string>{"a", "b"});
    CHECK(call->delivery == Delivery::stream);
    CHECK(call->usage_chunk == UsageChunk::include);
}

TEST_CASE("null means absent, and unknown fields are ignored") {
    CHECK(with(R"("temperature":null,"stop":null,"tools":null,"stream_options":null,"n":null,
        "user":"u","store":true,"metadata":{"a":"b"},"reasoning_effort":"low")")
              .has_value());
}

TEST_CASE("S52: a model name has at most 256 characters, counted as code points") {
    CHECK(parse(with_model(std::string(256, 'm'))).has_value());
    CHECK(refused_param(parse(with_model(std::string(257, 'm')))) == "model");
    CHECK(parse(with_model(repeat_text(256, "\xc3\xa9"))).has_value());
    CHECK(parse(with_model(repeat_text(256, "\xf0\x9f\x99\x82"))).has_value());
    CHECK(refused_param(parse(with_model(repeat_text(257, "\xf0\x9f\x99\x82")))) == "model");
    CHECK(parse(with_model(repeat_text(256, "\\ud83d\\ude42"))).has_value());
}

TEST_CASE("S52: a model name without characters, with NUL or of another type is refused") {
    CHECK(refused_param(parse(with_model(""))) == "model");
    CHECK(refused_param(parse(with_model("a\\u0000b"))) == "model");
    CHECK(refused_param(parse(R"({"model":7,)" + std::string(messages) + "}")) == "model");
    CHECK(refused_param(parse("{" + std::string(messages) + "}")) == "model");
}

TEST_CASE("S53: at most 128 tools, which must be objects") {
    CHECK(with(R"("tools":)" + repeated(128, R"({"type":"function"})")).has_value());
    CHECK(refused_param(with(R"("tools":)" + repeated(129, R"({"type":"function"})"))) == "tools");
    CHECK(refused_param(with(R"("functions":)" + repeated(129, "{}"))) == "functions");
    CHECK(refused_param(with(R"("tools":{})")) == "tools");
    CHECK(refused_param(with(R"("tools":[1])")) == "tools");
}

TEST_CASE("S54: at most 16 stop sequences, none empty") {
    CHECK(with(R"("stop":)" + repeated(16, R"("x")")).has_value());
    CHECK(refused_param(with(R"("stop":)" + repeated(17, R"("x")"))) == "stop");
    CHECK(with(R"("stop":"x")").has_value());
    CHECK(refused_param(with(R"("stop":"")")) == "stop");
    CHECK(refused_param(with(R"("stop":["x",""])")) == "stop");
    CHECK(refused_param(with(R"("stop":[1])")) == "stop");
    CHECK(refused_param(with(R"("stop":7)")) == "stop");
    CHECK(with(R"("stop":")" + std::string(1024, 's') + "\"").has_value());
    CHECK(refused_param(with(R"("stop":")" + std::string(1025, 's') + "\"")) == "stop");
}

TEST_CASE("every number is refused one step outside its range, and as another type") {
    struct Row {
        char const* name;
        std::vector<char const*> good;
        std::vector<char const*> bad;
    };
    std::vector<Row> const rows{
        {"temperature", {"0", "2", "0.7", "1e-5"}, {"-0.1", "2.1", "1e400", "\"1\"", "true", "[]"}},
        {"top_p", {"0", "1", "0.5"}, {"-1", "1.0001", "9223372036854775808", "\"x\""}},
        {"top_k", {"0", "1000000"}, {"-1", "1000001", "0.5"}},
        {"max_tokens",
         {"1", "32768"},
         {"0", "-1", "32769", "1.5", "4294967297", "9223372036854775807", "18446744073709551616",
          "-9223372036854775808", "\"5\"", "true"}},
        {"max_completion_tokens", {"1", "32768"}, {"0", "32769", "4294967296"}},
        {"n", {"1"}, {"0", "2", "-1", "1.0", "4294967297"}},
        {"seed",
         {"0", "-9223372036854775808", "18446744073709551615"},
         {"18446744073709551616", "1.5", "\"7\"", "true"}},
        {"presence_penalty", {"0", "0.0", "-2", "2"}, {"2.1", "3", "-3", "\"0\""}},
        {"frequency_penalty", {"0", "1"}, {"2.5", "[]"}},
        {"repetition_penalty", {"1.1", "10"}, {"0", "-1", "10.5"}},
        {"min_p", {"0", "0.5"}, {"1", "-0.1", "\"x\""}},
        {"logit_bias",
         {"{}", R"({"5":1,"0":-100,"4294967295":100})"},
         {"[]", R"({"x":1})", R"({"-1":1})", R"({"5":"1"})", R"({"5":101})", R"({"5":-100.5})",
          R"({"4294967296":1})", R"({"5x":1})"}},
        {"response_format",
         {R"({"type":"text"})", R"({"type":"json_object"})",
          R"({"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object"}}})"},
         {"1", "{}", R"({"type":"json_schema"})", R"({"type":"json_schema","json_schema":{}})",
          R"({"type":"json_schema","json_schema":{"schema":[]}})", R"({"type":"grammar"})"}},
    };
    for (auto const& row : rows) {
        for (auto const* value : row.good) {
            INFO((std::string(row.name) + " = " + value));
            CHECK(with("\"" + std::string(row.name) + "\":" + value).has_value());
        }
        for (auto const* value : row.bad) {
            INFO((std::string(row.name) + " = " + value));
            CHECK(refused_param(with("\"" + std::string(row.name) + "\":" + value)) == row.name);
        }
    }
}

TEST_CASE("contradicting lengths are refused, equal ones are not") {
    CHECK(with(R"("max_tokens":5,"max_completion_tokens":5)").has_value());
    CHECK(refused_param(with(R"("max_tokens":5,"max_completion_tokens":6)")) == "max_tokens");
}

TEST_CASE("what is not supported yet is refused by name instead of being ignored") {
    for (char const* member :
         {R"("response_format":{"type":"grammar"})", R"("tool_choice":"required")",
          R"("tool_choice":{"type":"function","function":{"name":"f"}})",
          R"("function_call":{"name":"f"})", R"("audio":{})", R"("modalities":["text","audio"])",
          R"("web_search_options":{})"}) {
        INFO(std::string(member));
        auto const result = with(member);
        REQUIRE_FALSE(result.has_value());
        CHECK(result.error().code == "unsupported");
        CHECK(result.error().message.ends_with("not supported yet."));
    }
    CHECK(with(R"("logprobs":false,"response_format":{"type":"text"},"tool_choice":"auto")")
              .has_value());
    CHECK(with(R"("tool_choice":"none","modalities":["text"],"logit_bias":{})").has_value());
}

TEST_CASE("how tokens are chosen and what the answer must be reaches the question") {
    auto const call = with(R"("min_p":0.25,"frequency_penalty":1,"presence_penalty":-1,
        "repetition_penalty":1.5,"logit_bias":{"7":-3.5},"logprobs":true,"top_logprobs":4,
        "response_format":{"type":"json_schema","json_schema":{"schema":{"type":"null"}}})");
    REQUIRE(call.has_value());
    auto const& question = call->question;
    CHECK(question.min_p == 0.25F);
    CHECK(question.frequency_penalty == 1.0F);
    CHECK(question.presence_penalty == -1.0F);
    CHECK(question.repetition_penalty == 1.5F);
    REQUIRE(question.logit_bias.size() == 1);
    CHECK(question.logit_bias[0].token == 7);
    CHECK(question.logit_bias[0].bias == -3.5F);
    CHECK(question.top_logprobs == 4U);
    CHECK(question.form == ask::AnswerForm::json_schema);
    CHECK(question.schema == R"({"type":"null"})");
    CHECK(with(R"("logprobs":true)")->question.top_logprobs == 0U);
    CHECK_FALSE(with(R"("logprobs":false)")->question.top_logprobs.has_value());
    CHECK(refused_param(with(R"("top_logprobs":3)")) == "top_logprobs");
    CHECK(refused_param(with(R"("logprobs":true,"top_logprobs":21)")) == "top_logprobs");
    CHECK(refused_param(with(R"("logprobs":1)")) == "logprobs");
    std::string many = R"("logit_bias":{)";
    for (std::size_t i = 0; i < logit_biases_max; ++i) many += "\"" + std::to_string(i) + "\":1,";
    CHECK(with(many.substr(0, many.size() - 1) + "}").has_value());
    // One key more is past what any JSON object here may have.
    CHECK_FALSE(with(many + R"("99999":1})").has_value());
}

TEST_CASE("stream options need a stream and the right types") {
    CHECK(refused_param(with(R"("stream_options":{"include_usage":true})")) == "stream_options");
    CHECK(refused_param(with(R"("stream":"yes")")) == "stream");
    CHECK(refused_param(with(R"("stream":true,"stream_options":{"include_usage":1})")) ==
          "stream_options.include_usage");
}

namespace {
ApiResult<ChatCall> with_messages(std::string const& list) {
    return parse(R"({"model":"guide","messages":)" + list + "}");
}
}  // namespace

TEST_CASE("roles and parts of messages are mapped to what the service knows") {
    auto const call = with_messages(R"([{"role":"developer","content":"d"},
        {"role":"system","content":"s"},{"role":"assistant","content":"a"},
        {"role":"user","content":[{"type":"text","text":"one"},{"type":"text","text":"two"}]}])");
    REQUIRE(call.has_value());
    auto const& list = call->question.messages;
    REQUIRE(list.size() == 4);
    CHECK(list[0].role == "system");
    CHECK(list[3].content == "one\ntwo");
}

TEST_CASE("calls of tools and what they answered are part of a conversation") {
    auto const call = with_messages(R"([{"role":"user","content":"?"},
        {"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function",
         "function":{"name":"f","arguments":"{\"a\":1}"}}]},
        {"role":"tool","tool_call_id":"c1","content":"42"}])");
    REQUIRE(call.has_value());
    auto const& list = call->question.messages;
    REQUIRE(list.size() == 3);
    REQUIRE(list[1].calls.size() == 1);
    CHECK(list[1].calls[0].id == "c1");
    CHECK(list[1].calls[0].name == "f");
    CHECK(list[1].calls[0].arguments == "{\"a\":1}");
    CHECK(list[2].role == "tool");
    CHECK(list[2].call_id == "c1");
    CHECK(list[2].content == "42");
}

TEST_CASE("messages that cannot be served are refused where they stand") {
    CHECK(refused_param(with_messages("[]")) == "messages");
    CHECK(refused_param(with_messages("{}")) == "messages");
    CHECK(refused_param(with_messages("null")) == "messages");
    CHECK(refused_param(with_messages("[1]")) == "messages[0]");
    CHECK(refused_param(with_messages(R"([{"role":"user"}])")) == "messages[0].content");
    CHECK(refused_param(with_messages(R"([{"content":"x"}])")) == "messages[0].role");
    CHECK(refused_param(with_messages(R"([{"role":"root","content":"x"}])")) == "messages[0].role");
    CHECK(refused_param(with_messages(R"([{"role":"user","content":[]}])")) ==
          "messages[0].content");
    CHECK(refused_param(with_messages(R"([{"role":"tool","content":"x"}])")) ==
          "messages[0].tool_call_id");
    CHECK(refused_param(with_messages(R"([{"role":"function","content":"x"}])")) == "messages[0]");
    for (char const* calls :
         {"[{}]", "{}", R"([{"id":"c","function":{"name":"f","arguments":{}}}])",
          R"([{"id":"c","function":{"name":"f"}}])",
          R"([{"function":{"name":"f","arguments":""}}])"})
        CHECK(refused_param(with_messages(R"([{"role":"assistant","content":"x","tool_calls":)" +
                                          std::string(calls) + "}]")) == "messages[0].tool_calls");
    CHECK(refused_param(with_messages(R"([{"role":"user","content":"x","tool_calls":[]}])")) ==
          "messages[0].tool_calls");
    auto const image = with_messages(
        R"([{"role":"user","content":[{"type":"text","text":"t"},{"type":"image_url","image_url":{}}]}])");
    CHECK(refused_param(image) == "messages[0].content[1]");
    CHECK(image.error().message.find("images") != std::string::npos);
    std::string const one = R"({"role":"user","content":""})";
    CHECK(with_messages(repeated(messages_count_max, one)).has_value());
    CHECK(refused_param(with_messages(repeated(messages_count_max + 1, one))) == "messages");
}

TEST_CASE("JSON that two readers could understand differently is refused") {
    for (char const* text :
         {"", "{", "[]", "null", "{}x", R"({"a":1,"a":1})", R"({"model":"a","mod\u0065l":"b"})",
          R"({"a":{"b":1,"b":2}})", "{\"a\":\"\x80\"}", R"({"a":"\ud800"})", "{\"a\":01}",
          "{'a':1}", "{\"a\":1,}", "// c\n{}", "{\"a\":NaN}", "\xef\xbb\xbf{}"}) {
        INFO(std::string(text));
        auto const result = parse(text);
        REQUIRE_FALSE(result.has_value());
        CHECK(result.error().status == 400);
        CHECK(result.error().code == "invalid_json");
    }
}

TEST_CASE("JSON is bounded in depth, values and keys before it is built") {
    auto const nested = [](std::size_t depth) {
        return std::string(depth, '[') + std::string(depth, ']');
    };
    auto const parses = [](std::string const& text) {
        return parse_json(base::as_bytes(text)).has_value();
    };
    CHECK(parses(nested(json_depth_max)));
    CHECK_FALSE(parses(nested(json_depth_max + 1)));
    CHECK_FALSE(parses(std::string(10'000'000, '[')));
    CHECK(parses(repeated(json_values_max - 1, "1")));
    CHECK_FALSE(parses(repeated(json_values_max, "1")));
    auto const keys = [](std::size_t count) {
        std::string out = "{";
        for (std::size_t i = 0; i < count; ++i)
            out += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":1";
        return out + "}";
    };
    CHECK(parses(keys(json_keys_max)));
    CHECK_FALSE(parses(keys(json_keys_max + 1)));
}

namespace {
json::object parsed(std::string const& text) {
    return json::parse(text).as_object();
}
// The payload of the n-th event.
std::string event(std::string const& stream, std::size_t n) {
    std::size_t begin = 0;
    for (; n > 0; --n) begin = stream.find("\n\n", begin) + 2;
    auto const end = stream.find("\n\n", begin);
    REQUIRE(end != std::string::npos);
    REQUIRE(stream.substr(begin, 6) == "data: ");
    return stream.substr(begin + 6, end - begin - 6);
}
ChatFrame frame() {
    return chat_frame({}, base::UnixTime{1234}, "guide");
}
}  // namespace

TEST_CASE("a whole answer has OpenAI's shape") {
    auto const out =
        parsed(chat_completion(frame(), "a \"quoted\"\nline", {ask::FinishReason::length, 3, 4}));
    CHECK(out.at("id").as_string() == "chatcmpl-00000000000000000000000000000000");
    CHECK(out.at("object").as_string() == "chat.completion");
    CHECK(out.at("created").as_int64() == 1234);
    auto const& choice = out.at("choices").as_array().at(0).as_object();
    CHECK(choice.at("finish_reason").as_string() == "length");
    CHECK(choice.at("message").as_object().at("content").as_string() == "a \"quoted\"\nline");
    CHECK(out.at("usage").as_object().at("total_tokens").to_number<int>() == 7);
}

TEST_CASE("a stream is a role, pieces, a finish, perhaps usage, and DONE") {
    auto const role = parsed(event(chunk_role(frame()), 0));
    auto const& first = role.at("choices").as_array().at(0).as_object();
    CHECK(first.at("delta").as_object().at("role").as_string() == "assistant");
    CHECK(first.at("finish_reason").is_null());
    auto const piece = parsed(event(chunk_piece(frame(), {"x\ny"}), 0));
    CHECK(piece.at("choices").as_array().at(0).at("delta").at("content").as_string() == "x\ny");
    ask::Finished const end{ask::FinishReason::stop, 1, 2};
    auto const plain = chunk_finish(frame(), end, UsageChunk::omit);
    CHECK(parsed(event(plain, 0)).at("choices").as_array().at(0).at("finish_reason").as_string() ==
          "stop");
    CHECK(event(plain, 1) == "[DONE]");
    auto const counted = chunk_finish(frame(), end, UsageChunk::include);
    CHECK(parsed(event(counted, 1)).at("choices").as_array().empty());
    CHECK(parsed(event(counted, 1)).at("usage").at("completion_tokens").to_number<int>() == 2);
    CHECK(event(counted, 2) == "[DONE]");
}

TEST_CASE("logprobs have OpenAI's shape, whole and streamed") {
    std::vector<ask::TokenLogprob> const tokens = {
        {.text = "a", .bytes = "a", .logprob = -0.5F, .top = {{"b", "b", -0.25F, {}}}},
        {.text = "\xef\xbf\xbd", .bytes = "\xc3", .logprob = -1.0F}};
    auto const check = [](json::value const& choice) {
        auto const& content = choice.at("logprobs").at("content").as_array();
        REQUIRE(content.size() == 2);
        CHECK(content[0].at("token").as_string() == "a");
        CHECK(content[0].at("logprob").as_double() == -0.5);
        CHECK(content[0].at("top_logprobs").at(0).at("token").as_string() == "b");
        CHECK(content[1].at("bytes").at(0).to_number<int>() == 0xc3);
        CHECK(content[1].at("top_logprobs").as_array().empty());
    };
    check(parsed(chat_completion(frame(), "a", {}, &tokens)).at("choices").at(0));
    check(parsed(event(chunk_piece(frame(), {"a", tokens}), 0)).at("choices").at(0));
    CHECK(parsed(chat_completion(frame(), "a", {})).at("choices").at(0).at("logprobs").is_null());
}

TEST_CASE("an event never contains a line break of the model's making") {
    auto const text = chunk_piece(frame(), {"a\n\ndata: [DONE]\n\n\r\rb"});
    CHECK(text.find("\n\n") == text.size() - 2);
    CHECK(text.find('\r') == std::string::npos);
}

TEST_CASE("each error code has a status, and those worth a retry say when") {
    struct Row {
        base::Code code;
        unsigned status;
        bool retry;
    };
    for (auto const& row :
         {Row{base::Code::invalid, 400, false}, Row{base::Code::too_large, 400, false},
          Row{base::Code::unauthorized, 401, false}, Row{base::Code::forbidden, 403, false},
          Row{base::Code::not_found, 404, false}, Row{base::Code::conflict, 409, false},
          Row{base::Code::unavailable, 503, true}, Row{base::Code::timeout, 504, false},
          Row{base::Code::cancelled, 503, true}, Row{base::Code::corrupt, 500, false},
          Row{base::Code::io, 500, false}, Row{base::Code::unsupported, 400, false},
          Row{base::Code::internal, 500, false}}) {
        auto const error = api_error({row.code, "sentence"});
        INFO(std::string(base::code_name(row.code)));
        CHECK(error.status == row.status);
        CHECK(error.retry_after_s.has_value() == row.retry);
        auto const response = error_response(error);
        auto const body = parsed(response.body).at("error").as_object();
        CHECK(body.at("message").as_string() == "sentence");
        CHECK(body.contains("type"));
        CHECK(body.contains("param"));
        CHECK(body.contains("code"));
    }
}

TEST_CASE("models are listed under their names and found by name or digest") {
    ask::ModelCard card;
    card.id = std::string(64, 'f');
    card.name = "guide";
    std::vector<ask::ModelCard> const cards{card};
    auto const list = parsed(models_list(cards));
    CHECK(list.at("object").as_string() == "list");
    CHECK(list.at("data").as_array().at(0).at("id").as_string() == "guide");
    CHECK(find_model(cards, "guide") == &cards[0]);
    CHECK(find_model(cards, card.id) == &cards[0]);
    CHECK(find_model(cards, "../guide") == nullptr);
}

}  // namespace kith::api
