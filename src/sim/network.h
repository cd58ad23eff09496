// sim/network.h: TCP between machines, seeded: what io/net/tcp_driver is in the product.
//
// A connection is two byte streams in order. Loss shows as delay and, after tcp_patience, as a
// time-out; a cut as silence; a crashed process as a reset; a machine without power as silence
// until it is back and resets what it does not know (so half-open connections exist). Segments of
// different connections overtake each other; a segment may be split at any byte. With the default
// Conditions everything arrives at once and in one piece.
//
// All times here are true times; each machine is told its own (LocalTime). Deterministic: the same
// calls give the same run, and trace() is a hash of all that was delivered.
//
// The owner's loop: turn() until it returns false, then move the clock to deadline(), then
// on_deadlines(). A machine that throws Crash (sim/disk.h) in any call is without power from that
// moment; take_crashed() names it, and the owner destroys its core.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <queue>
#include <set>
#include <vector>

#include "ports/network_core.h"
#include "sim/chance.h"
#include "sim/clock.h"

namespace kith::sim {

using Address = ports::SocketAddress;

inline constexpr std::size_t window_bytes_max = 1024 * 1024;  // on the way in one direction
inline constexpr base::Duration retry_interval = std::chrono::seconds(1);
inline constexpr base::Duration tcp_patience = std::chrono::seconds(120);
inline constexpr base::Duration router_forgets = std::chrono::seconds(60);

struct Conditions {
    base::Duration latency_min{};
    base::Duration latency_max{};
    std::uint32_t slow_one_in = 0;  // of the segments, one in so many takes up to slow_max more
    base::Duration slow_max{};
    std::uint32_t split_one_in = 0;  // segments that arrive in two parts
};

class Network {
public:
    enum class Tape { off, keep };
    explicit Network(Tape tape = Tape::keep, std::uint64_t seed = 1) : tape_(tape), chance_(seed) {}

    // `core` outlives the network or is detached before. `pump` is called on each turn of the
    // machine, before the outputs of the core are taken.
    void attach(Address const& at, ports::NetworkCore& core, std::function<void()> pump,
                LocalTime const& local = {});
    void detach(Address const& at, base::Instant now);  // the process ends: its connections break
    void power_off(Address const& at);                  // nobody is told

    // --- faults
    void set_conditions(Conditions const& conditions) { conditions_ = conditions; }
    void cut(Address const& from, Address const& to);  // one direction, silently
    void heal();                                       // every cut
    // A machine that is unplugged hears nothing and is not heard; nobody is told.
    void unplug(Address const& at);
    void plug(Address const& at);
    // A machine gets another address, like a laptop that is carried home: its connections break,
    // and who dials the old address finds nobody. From now on it is `to` in every call here.
    void move(Address const& from, Address const& to, base::Instant now);
    // A machine behind a router: it dials, but nobody dials it. closed: whoever tries is refused.
    // punchable: who tries is let in, if the machine dialled him from the port that it listens on
    // within router_forgets, and hears nothing else; the router keeps addresses as they are.
    enum class Router { closed, punchable };
    void hide(Address const& at, Router router = Router::closed);
    // Breaks the `which`-th connection (modulo their number): what was on the way is lost, from
    // any byte on. half_open: only one end is told.
    enum class Break { both, half_open };
    bool break_one(std::uint64_t which, Break how, base::Instant now);

    // --- the owner's loop
    void touch(Address const& at);  // a command was given to the core there
    bool turn(base::Instant now);   // false: nothing moved
    bool step(base::Instant now);   // turn() with every core touched
    [[nodiscard]] std::optional<base::Instant> deadline() const;
    void on_deadlines(base::Instant now);
    std::vector<Address> take_crashed();

    // Machines whose core was given something since the last call.
    std::vector<Address> take_touched();
    [[nodiscard]] std::size_t connections_count(Address const& at) const;
    [[nodiscard]] std::uint64_t trace() const { return trace_; }
    // Everything that was sent from one machine to another, as an eavesdropper has it.
    [[nodiscard]] base::Bytes const& tape(Address const& from, Address const& to);

private:
    using Index = std::size_t;
    struct Segment {
        enum class Kind { established, data, fin, reset } kind;
        base::Bytes bytes;
        base::Instant sent;
        base::Instant due;
    };
    struct Side {
        Index endpoint = 0;
        ports::ConnectionId id;
        bool is_open = false;       // the core there counts it as a connection
        std::deque<Segment> inbox;  // on the way to this side; one event stands for the front
        std::size_t inbox_bytes = 0;
        bool sender_waits = false;  // for room in the window
    };
    struct Wire {
        Side sides[2];  // 0 dialled
        bool connecting = true;
        bool from_listen_port = false;
        base::Duration retry_in = retry_interval;
    };
    struct Endpoint {
        Address at;
        ports::NetworkCore* core = nullptr;
        std::function<void()> pump;
        LocalTime local;
        bool has_power = true;
        bool is_unplugged = false;
        std::optional<Router> router;
        std::map<ports::ConnectionId, std::pair<std::uint64_t, int>> connections;
        std::optional<base::Instant> deadline;
    };
    struct Event {
        base::Instant due;
        std::uint64_t number;
        std::uint64_t wire;
        int side;  // 1 while connecting: the call arrives; else: the front of its inbox arrives
        bool operator>(Event const& other) const {
            return std::pair(due, number) > std::pair(other.due, other.number);
        }
    };

    Index index_of(Address const& at);
    template <typename Call>
    void call(Index who, Call const& core_call);
    bool drain(Index who, base::Instant now);
    void dial(Index from, ports::Dial const& request, base::Instant now);
    enum class Window { obeyed, ignored };
    void transmit(Index from, ports::ConnectionId id, Window window, base::Instant now);
    void close(Index from, ports::ConnectionId id, base::Instant now);
    void on_event(Event const& event, base::Instant now);
    void on_call(std::uint64_t number, Wire& wire, base::Instant now);
    bool cross(std::uint64_t number, Wire& wire, base::Instant now);
    void call_again(std::uint64_t number, Wire& wire, base::Instant now);
    [[nodiscard]] bool lets_in(Index from, Index to, base::Instant now) const;
    void deliver(std::uint64_t number, int side, Segment segment, base::Instant now);
    void send(std::uint64_t number, int to_side, Segment::Kind kind, base::Bytes bytes,
              base::Instant now);
    void schedule(base::Instant due, std::uint64_t wire, int side);
    void lose(Side& side, base::Error reason, base::Instant now);
    void forget_if_over(std::uint64_t number);
    void die(Index who);
    [[nodiscard]] bool reaches(Index from, Index to) const;
    [[nodiscard]] base::Duration latency();
    void note(base::Instant now, Index from, Index to, Segment const& segment);

    Tape tape_;
    Chance chance_;
    Conditions conditions_;
    std::map<Address, Index> indices_;
    std::deque<Endpoint> endpoints_;  // references stay valid when one is added
    std::map<std::uint64_t, Wire> wires_;
    std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
    std::set<std::pair<Index, Index>> cuts_;
    std::map<std::pair<Index, Index>, base::Instant> punched_;  // from a listen port, last dialled
    std::set<Index> touched_;                                   // to be drained
    std::set<Index> told_;                                      // for take_touched()
    std::vector<Address> crashed_;
    std::map<std::pair<Address, Address>, base::Bytes> tapes_;
    std::uint64_t next_wire_ = 1, next_event_ = 1, next_accepted_ = 1;
    std::uint64_t trace_ = 0xcbf29ce484222325ULL;
};

}  // namespace kith::sim
