// node/services/service_net_test.h: for tests: processes with a Host and its services on an
// in-memory network under a clock that only the test moves.
#pragma once

#include "node/services/service_machine_test.h"

namespace kith::node::test {

// Machines on an in-memory network; nothing here knows about relays.
struct Net {
    Machine& add(HostLimits host_limits = {}, proto::relay::ServerLimits limits = {}) {
        auto const seed = static_cast<unsigned>(machines.size() + 1);
        machines.push_back(std::make_unique<Machine>(seed, clock, host_limits, limits));
        return *machines.back();
    }

    void run() {
        for (bool moved = true; moved;) {
            moved = false;
            for (auto const& machine : machines) moved = step(*machine) || moved;
        }
    }

    bool step(Machine& from) {
        bool moved = false;
        while (auto event = from.host->poll_event()) {
            moved = true;
            if (from.on_event) from.on_event(*event);
            if (from.dcutr.on_event(*event, clock.at)) continue;
            if (from.service.on_event(*event, clock.at)) continue;
            if (from.answers_identify && from.identify.on_event(*event, clock.at)) continue;
            if (auto const* data = std::get_if<StreamData>(&event->what); data && from.consumes)
                from.host->consumed(event->connection, data->id, data->bytes.size());
            from.events.push_back(std::move(*event));
        }
        while (auto output = from.host->poll_output()) {
            moved = true;
            if (auto const* dial = std::get_if<kith::ports::Dial>(&*output)) connect(from, *dial);
            if (auto const* ready = std::get_if<kith::ports::Transmit>(&*output)) {
                Bytes bytes;
                while (from.host->poll_transmit(ready->id, bytes, clock.at)) {
                }
                auto const far = wires.find({&from, ready->id});
                if (bytes.empty() || far == wires.end()) continue;
                kith::base::append(far->second.first->tape, bytes);
                far->second.first->host->on_bytes(far->second.second, bytes, clock.at);
            }
            if (auto const* closed = std::get_if<kith::ports::Close>(&*output)) {
                auto const far = wires.find({&from, closed->id});
                if (far == wires.end()) continue;
                auto const [machine, id] = far->second;
                wires.erase({machine, id});
                wires.erase({&from, closed->id});
                machine->host->on_closed(id, {base::Code::unavailable, "eof"}, clock.at);
            }
        }
        return moved;
    }

    void connect(Machine& from, kith::ports::Dial const& dial) {
        for (auto const& to : machines) {
            if (to->at != dial.to) continue;
            bool const at_listen_port = dial.from != kith::ports::DialFrom::any_port;
            if (to->behind_router) {
                if (at_listen_port) cross(from, *to, dial.id);
                return;  // alone it is dropped there, without a word
            }
            ConnectionId const far{next_odd};
            next_odd += 2;
            join({&from, dial.id}, {to.get(), far});
            std::uint16_t const port = at_listen_port ? from.at.port : std::uint16_t{40'000};
            to->host->on_accepted(far, {.ip = from.at.ip, .port = port}, clock.at);
            return from.host->on_connected(dial.id, clock.at);
        }
        from.host->on_closed(dial.id, {base::Code::unavailable, "refused"}, clock.at);
    }

    using End = std::pair<Machine*, ConnectionId>;
    void join(End const& one, End const& other) {
        wires[one] = other;
        wires[other] = one;
    }

    // Two dials that meet within a second become one connection.
    void cross(Machine& from, Machine& to, ConnectionId id) {
        auto const other = knocking.find({&to, &from});
        if (other == knocking.end() || other->second.second + 1s < clock.at) {
            knocking[{&from, &to}] = {id, clock.at};
            return;
        }
        auto const far = other->second.first;
        knocking.erase(other);
        join({&from, id}, {&to, far});
        from.host->on_connected(id, clock.at);
        to.host->on_connected(far, clock.at);
    }

    // Runs every timer up to `span` from now.
    void pass(kith::base::Duration span) {
        auto const end = clock.at + span;
        for (run();; run()) {
            auto next = end;
            for (auto const& machine : machines)
                for (auto const& due : {machine->host->deadline(), machine->service.deadline(),
                                        machine->identify.deadline(), machine->dcutr.deadline()})
                    if (due) next = std::min(next, std::max(*due, clock.at + 1us));
            clock.at = next;
            for (auto const& machine : machines) {
                machine->host->on_deadline(clock.at);
                machine->service.on_deadline(clock.at);
                machine->identify.on_deadline(clock.at);
                machine->dcutr.on_deadline(clock.at);
            }
            if (next == end) return run();
        }
    }

    TestClock clock;
    std::uint64_t next_odd = 1;
    std::vector<std::unique_ptr<Machine>> machines;
    std::map<End, End> wires;
    std::map<std::pair<Machine*, Machine*>, std::pair<ConnectionId, Instant>> knocking;
};

}  // namespace kith::node::test
