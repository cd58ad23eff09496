// Any bytes as a JSON schema: it becomes a grammar or is refused; and what the grammar makes, at
// random, is JSON as soon as it says that it is complete.
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <cstdlib>
#include <string>
#include <vector>

#include "infer/grammar/automaton.h"
#include "infer/grammar/json_schema.h"

namespace {

using namespace kith::infer::grammar;

constexpr std::size_t text_bytes_max = 160;

void walk(Automaton& automaton, std::uint64_t seed) {
    std::string text;
    auto state = automaton.start();
    while (text.size() < text_bytes_max && !automaton.is_over(state)) {
        std::vector<char> may;
        for (unsigned byte = 0; byte < 256; ++byte)
            if (automaton.next(state, static_cast<std::uint8_t>(byte)) != Automaton::dead)
                may.push_back(static_cast<char>(byte));
        if (automaton.overflowed()) return;
        if (may.empty()) std::abort();  // a state that leads nowhere
        seed = seed * 6364136223846793005U + 1442695040888963407U;
        text += may[(seed >> 33U) % may.size()];
        state = automaton.next(state, static_cast<std::uint8_t>(text.back()));
    }
    if (!automaton.accepts(state)) return;
    boost::system::error_code error;
    boost::json::parse_options options;
    options.max_depth = text_bytes_max;
    (void)boost::json::parse(text, error, {}, options);
    if (error) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    auto grammar = grammar_of_schema({reinterpret_cast<char const*>(data), size});
    if (!grammar) return 0;
    Automaton automaton(*std::move(grammar));
    if (automaton.overflowed()) return 0;
    for (std::uint64_t seed = 1; seed <= 3; ++seed) walk(automaton, seed + size);
    return 0;
}
