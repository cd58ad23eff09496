// api/openai_reader.h: how a chat request is read; for the files openai_request.cpp and
// openai_options.cpp alone.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "api/openai.h"

namespace kith::api {

inline std::string_view view(boost::json::string const& text) {
    return {text.data(), text.size()};
}

// Reads one request object; the first refusal wins and everything after it is harmless.
class ChatReader {
public:
    explicit ChatReader(boost::json::object const& request) : request_(request) {}

    ApiResult<ChatCall> read();

private:
    void read_model();
    void read_messages();
    void read_message(boost::json::value const& value, std::string const& where);
    std::string read_content(boost::json::value const& value, std::string const& where);
    std::string read_part(boost::json::value const& value, std::string const& where);
    void read_lengths();
    void read_sampling();
    void read_seed();
    void read_stops();
    void add_stop(boost::json::value const& value);
    void read_delivery();
    void read_calls(boost::json::value const& value, std::string const& where,
                    ask::Message& message);
    void read_penalties();
    void read_logit_bias();
    void read_logprobs();
    void read_response_format();
    void read_schema(boost::json::object const& format);
    void check_tools();
    void check_tool_choice();
    void check_unsupported();

    // The member, or nullptr when it is absent or null (which mean the same to OpenAI's clients).
    boost::json::value const* given(char const* name) const { return given_in(request_, name); }
    static boost::json::value const* given_in(boost::json::object const& object, char const* name);
    std::optional<std::uint64_t> integer(char const* name, std::uint64_t low, std::uint64_t high);
    std::optional<double> number(char const* name, double low, double high);
    bool flag(boost::json::object const& object, char const* name, std::string const& param);

    void refuse(std::string param, std::string message, char const* code = "invalid_value");
    void refuse_unsupported(std::string param, std::string const& what);

    boost::json::object const& request_;
    ChatCall call_;
    std::optional<ApiError> refusal_;
};

}  // namespace kith::api
