// infer/jinja/runtime.h: what one rendering may spend, what it has made, and what any two values
// are to each other.
#pragma once

#include <deque>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "infer/jinja/value.h"

namespace kith::infer::jinja {

// A step is a node of the tree visited once, or 64 bytes of text looked at.
inline constexpr std::size_t steps_max = 4'000'000;
inline constexpr std::size_t memory_bytes_max = std::size_t{96} << 20U;
inline constexpr std::size_t text_bytes_max = std::size_t{4} << 20U;  // of one text, the output too
inline constexpr std::size_t items_max = 65'536;                      // of one list or dict

class Runtime {
public:
    explicit Runtime(base::UnixTime now) : now_(now) {}
    Runtime(Runtime const&) = delete;
    Runtime& operator=(Runtime const&) = delete;

    // Code::too_large when the steps are used up.
    base::Status spend(std::size_t steps = 1);
    base::Status spend_bytes(std::size_t bytes) { return spend(1 + bytes / 64); }

    // Code::too_large past the limits above and values_depth_max.
    base::Result<Value> make(Text text);
    base::Result<Value> make(std::string_view text, Origin origin = Origin::written);
    base::Result<Value> make(std::vector<Value> items);
    base::Result<Value> make(std::vector<std::pair<Value, Value>> entries);
    base::Result<Value> make(Space space);
    base::Result<Value> make(Method method);
    base::Result<LoopState*> make_loop(LoopState state);

    // As Python: empty, zero, none and undefined are false.
    static bool truth(Value const& value);
    base::Result<bool> equal(Value const& a, Value const& b);
    // Numbers with numbers, texts with texts.
    base::Result<bool> less(Value const& a, Value const& b);
    // `a in b`.
    base::Result<bool> contains(Value const& b, Value const& a);
    base::Result<std::optional<Value>> find(Dict const& dict, Value const& key);
    // The items of a list, the keys of a dict, the characters of a text, nothing of what is
    // undefined.
    base::Result<List const*> items_of(Value const& value);

    [[nodiscard]] base::UnixTime now() const { return now_; }

private:
    base::Status take_memory(std::size_t bytes);
    base::Result<bool> equal_lists(List const& a, List const& b);
    base::Result<bool> equal_dicts(Dict const& a, Dict const& b);

    base::UnixTime now_;
    std::size_t steps_ = 0;
    std::size_t memory_ = 0;
    std::deque<Text> texts_;
    std::deque<List> lists_;
    std::deque<Dict> dicts_;
    std::deque<Space> spaces_;
    std::deque<Method> methods_;
    std::deque<LoopState> loops_;
};

// The word for what a value is, for errors: "a list".
char const* kind_name(Value const& value);
// Booleans count as 0 and 1.
std::optional<std::int64_t> as_integer(Value const& value);
std::optional<double> as_number(Value const& value);
// Where `needle` is in `text` from `from` on, in linear time; npos: nowhere.
std::size_t find_bytes(std::string_view text, std::string_view needle, std::size_t from = 0);

// A template asks for what it cannot have; the caller adds the line.
inline std::unexpected<base::Error> misuse(std::string message) {
    return base::fail(base::Code::unsupported, std::move(message));
}

}  // namespace kith::infer::jinja
