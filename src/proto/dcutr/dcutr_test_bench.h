// proto/dcutr/dcutr_test_bench.h: for tests: what a machine asked for, taken apart.
#pragma once

#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <vector>

#include "proto/dcutr/message.h"
#include "wire/frame.h"

namespace kith::proto::dcutr::test {

inline wire::Multiaddr at(std::string const& text) {
    return wire::Multiaddr::from_text(text).value();
}

inline base::Bytes body(base::ByteView framed) {
    wire::FrameReader reader(message_bytes_max);
    return reader.next(framed).value().value();
}

template <typename Machine>
std::vector<Action> all_actions(Machine& machine) {
    std::vector<Action> actions;
    while (auto action = machine.poll_action()) actions.push_back(std::move(*action));
    return actions;
}

template <typename Wanted>
Wanted const* first(std::vector<Action> const& actions) {
    for (auto const& action : actions)
        if (auto const* one = std::get_if<Wanted>(&action)) return one;
    return nullptr;
}

}  // namespace kith::proto::dcutr::test
