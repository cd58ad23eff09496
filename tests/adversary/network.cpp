#include "network.h"

namespace kith::adversary {

using base::Code;
using base::fail;

namespace {
constexpr std::int64_t unix_start = 1'800'000'000;
constexpr std::uint16_t dialler_port = 40'000;
}  // namespace

base::UnixTime VirtualClock::unix_now() const {
    auto const since =
        std::chrono::duration_cast<std::chrono::seconds>(now_.time_since_epoch()).count();
    return base::UnixTime{unix_start + since};
}

base::Status SeededRng::fill(base::MutableByteView out) {
    for (auto& byte : out) byte = static_cast<std::uint8_t>(random_());
    return {};
}

base::Result<base::Bytes> MemorySecrets::read(std::string_view name) {
    auto const found = secrets_.find(name);
    if (found == secrets_.end()) return fail(Code::not_found, "no such secret");
    return found->second;
}

base::Status MemorySecrets::replace(std::string_view name, base::ByteView secret) {
    secrets_.insert_or_assign(std::string(name), base::to_bytes(secret));
    return {};
}

void TurnPool::submit(std::function<void()> work, std::function<void()> done) {
    turns_.emplace_back([work = std::move(work), done = std::move(done)] {
        work();
        done();
    });
}

void TurnPool::post(std::function<void()> task) {
    turns_.push_back(std::move(task));
}

bool TurnPool::run_one() {
    if (turns_.empty()) return false;
    auto const turn = std::move(turns_.front());
    turns_.pop_front();
    turn();
    return true;
}

void Network::attach(Address at, ports::NetworkCore& core, std::function<void()> pump) {
    endpoints_.insert_or_assign(std::move(at), Endpoint{&core, std::move(pump)});
}

void Network::detach(Address const& at, base::Instant now) {
    std::vector<End> ends;
    for (auto const& [end, other] : wires_)
        if (end.at == at) ends.push_back(end);
    for (auto const& end : ends) close(end, now);
    endpoints_.erase(at);
}

bool Network::step(base::Instant now) {
    std::vector<Address> addresses;
    for (auto const& [at, endpoint] : endpoints_) addresses.push_back(at);
    bool moved = false;
    for (auto const& at : addresses) {
        auto const endpoint = endpoints_.find(at);
        if (endpoint == endpoints_.end()) continue;
        endpoint->second.pump();
        while (auto const output = endpoint->second.core->poll_output()) {
            moved = true;
            if (auto const* request = std::get_if<ports::Dial>(&*output)) dial(at, *request, now);
            if (auto const* ready = std::get_if<ports::Transmit>(&*output))
                transmit({at, ready->id}, now);
            if (auto const* ended = std::get_if<ports::Close>(&*output))
                close({at, ended->id}, now);
        }
    }
    return moved;
}

void Network::dial(Address const& from, ports::Dial const& request, base::Instant now) {
    if (unplugged_.contains(from) || unplugged_.contains(request.to)) return;
    auto& core = *endpoints_.at(from).core;
    auto const there = endpoints_.find(request.to);
    if (there == endpoints_.end() || hidden_.contains(request.to))
        return core.on_closed(request.id, {Code::unavailable, "nobody listens there"}, now);
    ports::ConnectionId const far{next_accepted_};
    next_accepted_ += 2;
    wires_.insert_or_assign(End{from, request.id}, End{request.to, far});
    wires_.insert_or_assign(End{request.to, far}, End{from, request.id});
    there->second.core->on_accepted(far, {from.ip, dialler_port}, now);
    core.on_connected(request.id, now);
}

void Network::transmit(End const& from, base::Instant now) {
    base::Bytes bytes;
    while (endpoints_.at(from.at).core->poll_transmit(from.id, bytes, now)) {
    }
    auto const wire = wires_.find(from);
    if (wire == wires_.end() || bytes.empty()) return;
    auto const to = wire->second;
    if (unplugged_.contains(from.at) || unplugged_.contains(to.at)) return;
    base::append(tapes_[{from.at, to.at}], bytes);
    endpoints_.at(to.at).core->on_bytes(to.id, bytes, now);
}

void Network::close(End const& from, base::Instant now) {
    auto const wire = wires_.find(from);
    if (wire == wires_.end()) return;
    auto const to = wire->second;
    wires_.erase(from);
    wires_.erase(to);
    if (unplugged_.contains(from.at) || unplugged_.contains(to.at)) return;
    endpoints_.at(to.at).core->on_closed(to.id, {Code::unavailable, "end of file"}, now);
}

std::optional<base::Instant> Network::deadline() const {
    std::optional<base::Instant> earliest;
    for (auto const& [at, endpoint] : endpoints_)
        if (auto const when = endpoint.core->deadline(); when && (!earliest || *when < *earliest))
            earliest = when;
    return earliest;
}

void Network::on_deadlines(base::Instant now) {
    for (auto const& [at, endpoint] : endpoints_)
        if (auto const when = endpoint.core->deadline(); when && *when <= now)
            endpoint.core->on_deadline(now);
}

base::Bytes const& Network::tape(Address const& from, Address const& to) {
    return tapes_[{from, to}];
}

}  // namespace kith::adversary
