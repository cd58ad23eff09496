// trust/trust_manager.h: the trust score of every peer this node has met (S32-S38).
//
// A plain state machine: events and times in, scores out; no clock, no I/O. Names peers by their
// proved Ed25519 key; the caller passes only keys that a link, a session or a signature has proved.
//
// What counts, and how often:
//   - An event has an id and counts once. Events are taken up to event_age_max after they happened;
//     ids are remembered for as long, so a replay finds its id or is too old (S33). A peer whose
//     memory of ids is full earns nothing more until ids have aged out; a penalty always counts.
//   - Nothing that happened before this process began earns anything, since the ids of that time
//     are forgotten.
//   - Transactions between two peers cost them nothing, so they could trade to look good (S34,
//   S89).
//     The n-th one with the same counterparty within earning_window counts half of the one before,
//     at most counterparties_max counterparties count, all transactions of one peer together lift
//     it by transactions_gain_max within the window, and one with itself counts nothing. So a ring
//     of any size ends at most at 0.6, and goes back to 0.5 by decay.
//
// Who is forgotten: beyond peers_max, among those not connected and not penalised, the one nearest
// to 0.5. A penalised peer is never forgotten for a newcomer: a new identity would wash it clean.
// While nobody can be forgotten, newcomers that find no place have score 0 (no benefit of doubt).
//
// Invariants: 1. every score is within 0.0 to 1.0. 2. peers_count() <= peers_max. 3. no peer
// remembers more than event_ids_max ids or counterparties_max counterparties.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "trust/score.h"

namespace kith::trust {

using PeerKey = base::ByteArray<32>;  // an Ed25519 public key that was proved to the caller
using EventId = base::ByteArray<32>;  // a hash of what happened; the same thing has the same id

inline constexpr std::size_t peers_max = 4096;
inline constexpr std::size_t event_ids_max = 128;  // of one peer
inline constexpr std::size_t counterparties_max = 16;
inline constexpr base::Duration health_cycle = std::chrono::seconds(30);  // S38
inline constexpr std::int64_t event_age_max = 300;                        // s, as gossip (S42)
inline constexpr std::int64_t event_future_max = 30;                      // s, C23
inline constexpr std::int64_t earning_window = 24 * 3600;                 // s
inline constexpr std::int64_t transactions_gain_max = score_unit / 10;    // in one earning_window

enum class TrustEvent {
    inference_success,    // S33: this node asked, and the peer's part of the answer arrived
    valid_transaction,    // S34: a transaction of the peer was verified and applied
    spot_check_fail,      // S35: a recomputed tensor differed
    invalid_gossip,       // S36: the origin signed nonsense
    signature_violation,  // S37: the proved sender spoke in another's name, or with a bad signature
};

inline constexpr std::int64_t inference_success_step = score_unit / 100;
inline constexpr std::int64_t valid_transaction_step = score_unit / 50;
inline constexpr std::int64_t spot_check_fail_step = -score_unit / 10;
inline constexpr std::int64_t invalid_gossip_step = -score_unit / 20;
inline constexpr std::int64_t signature_violation_step = -score_unit / 5;

struct Happened {
    TrustEvent kind;
    EventId id{};
    base::UnixTime at{};                  // when, by the clock of whoever witnessed it
    std::optional<PeerKey> counterparty;  // of a valid_transaction: the other party (required)
};

struct Moment {
    base::Instant instant;       // for decay
    base::UnixTime unix_time{};  // for what is signed or survives a restart
};

// What became of an event. Only the first changed a score.
enum class Counted { yes, duplicate, too_old, in_future, capped, self_dealing, no_room };

class TrustManager {
public:
    explicit TrustManager(Moment now);

    // Settles decay first, so the time an event arrives inside a cycle makes no difference.
    Counted record(PeerKey const& peer, Happened const& event, Moment now);
    [[nodiscard]] Score score(PeerKey const& peer) const;
    // Who is connected is not forgotten.
    void set_connected(PeerKey const& peer, Moment now);
    void set_disconnected(PeerKey const& peer);
    // The same peer has another key now. When both are known here, the lower score counts.
    void carry_over(PeerKey const& from, PeerKey const& to);

    // Applies every health cycle that is over, however many the caller slept through. True: a score
    // changed.
    bool advance(Moment now);
    [[nodiscard]] base::Instant next_cycle() const { return cycle_began_ + health_cycle; }
    [[nodiscard]] std::size_t peers_count() const { return peers_.size(); }

    // Layout (big endian): version u8 = 1, unix time i64, microseconds into the cycle u32, peer
    // count u16, peers in ascending order {key 32, deviation i64, gained i64, window began i64},
    // then SHA-256 of everything before.
    [[nodiscard]] base::Bytes export_state(Moment now) const;
    // The time between export and now decays as if the process had run; a clock that went back
    // decays nothing. Code::corrupt, invalid: the bytes are not what export_state makes.
    static base::Result<TrustManager> import_state(base::ByteView bytes, Moment now);

private:
    struct SeenEvent {
        EventId id;
        std::int64_t at;
    };
    struct Counterparty {
        PeerKey key;
        std::uint32_t times;
    };
    struct Record {
        Score score;
        std::int64_t gained = 0;        // by transactions, since window_began
        std::int64_t window_began = 0;  // Unix seconds
        bool connected = false;
        std::vector<SeenEvent> seen;
        std::vector<Counterparty> counterparties;
    };
    Record* find_or_add(PeerKey const& peer);
    bool forget_one();
    Counted count_transaction(Record& record, PeerKey const& peer, Happened const& event,
                              std::int64_t now);

    std::map<PeerKey, Record> peers_;
    base::Instant cycle_began_;
    std::int64_t earns_from_;  // Unix seconds; events before earn nothing
};

// Which peer answers for a message that was found bad (S36, S37). Only keys that were proved can be
// blamed: somebody in whose name a message merely claims to speak never is.
enum class Fault {
    wrong_sender,      // the claimed node is not the proved sender
    bad_signature,     // whoever passes on a signature that fails has not checked it: the sender
    nonsense_content,  // the origin's signature holds, what it signed breaks a rule: the origin
};
struct Blame {
    PeerKey peer;
    TrustEvent event;
};
// `origin`: the key whose signature over the message was verified; used only for nonsense_content.
Blame blame(Fault fault, PeerKey const& sender, std::optional<PeerKey> const& origin);

}  // namespace kith::trust
