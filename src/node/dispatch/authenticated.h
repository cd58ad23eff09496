// node/dispatch/authenticated.h: a message together with the member that said it. Only Node makes
// one, after link (Noise), admission, Tier 1 session and the dispatch rules have all agreed
// (DESIGN 1.3, S16).
#pragma once

#include <utility>

#include "identity/node_id.h"

namespace kith::node {

template <class T>
class Authenticated {
public:
    [[nodiscard]] identity::NodeId const& sender() const { return sender_; }
    [[nodiscard]] T const& operator*() const { return message_; }
    [[nodiscard]] T const* operator->() const { return &message_; }

private:
    friend class Dispatcher;
    Authenticated(identity::NodeId sender, T message)
        : sender_(sender), message_(std::move(message)) {}
    identity::NodeId sender_;
    T message_;
};

}  // namespace kith::node
