#include "node/membership/join_desk.h"

#include "base/check.h"
#include "base/sabotage.h"

namespace kith::node {

bool JoinDesk::open(Carrier const& at) {
    auto& link = links_[at.connection];
    if (!KITH_GUARD("P2.requests", link.requests_count < join_requests_max)) return false;
    ++link.requests_count;
    link.requests.emplace(at.stream, wire::FrameReader(join_message_bytes_max));
    return true;
}

bool JoinDesk::expects(Carrier const& at) const {
    auto const link = links_.find(at.connection);
    return link != links_.end() && link->second.requests.contains(at.stream);
}

JoinDesk::Asked JoinDesk::feed(Carrier const& at, base::ByteView bytes) {
    KITH_ASSERT(expects(at));
    auto& link = links_.at(at.connection);
    auto const request = link.requests.find(at.stream);
    auto frame = request->second.next(bytes);
    if (frame && !*frame) return More{};
    link.requests.erase(request);
    if (!frame || link.answer) return Refused{};
    return std::move(**frame);
}

void JoinDesk::answer(Carrier const& at, base::Bytes framed) {
    auto const link = links_.find(at.connection);
    if (link == links_.end()) return;
    KITH_ASSERT(!link->second.answer);  // feed() hands out no request while one waits
    link->second.answer.emplace(at.stream, std::move(framed));
}

void JoinDesk::flush(Write const& write, Finish const& finish) {
    for (auto& [id, link] : links_) {
        if (!link.answer) continue;
        Carrier const at{.connection = id, .stream = link.answer->first};
        auto& bytes = link.answer->second;
        auto const taken = write(at, bytes);
        bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(taken));
        if (!bytes.empty()) continue;
        link.answer.reset();
        finish(at);
    }
}

void JoinDesk::on_stream_gone(Carrier const& at) {
    auto const link = links_.find(at.connection);
    if (link == links_.end()) return;
    link->second.requests.erase(at.stream);
    if (link->second.answer && link->second.answer->first == at.stream) link->second.answer.reset();
}

bool JoinDesk::is_asking(ports::ConnectionId id) const {
    auto const link = links_.find(id);
    return link != links_.end() && !link->second.requests.empty();
}

bool JoinDesk::has_unread_answer(ports::ConnectionId id) const {
    auto const link = links_.find(id);
    return link != links_.end() && link->second.answer.has_value();
}

}  // namespace kith::node
