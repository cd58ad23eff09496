// tests/fuzz/keyring_fuzz.cpp: the keys of a Tier 1 session between two members, on a stream that
// loses, repeats, reorders, reflects and changes frames.
//
// Input: steps. One byte, whose bit 7 names the end that acts: 0 a new key by a handshake that this
// end began (how far its number leaps u8); 1 seal (lane u8); 2 deliver a frame (which u16); 3 with
// edits (fuzz_edits.h); 4 back to who sealed it; 5 seconds pass (u8); 6 bytes as they come
// (count u8). Checked: a frame opens at most once, at the other end only and unchanged; one that
// must still open does (the replay window against a set of what was seen); no header is sealed
// twice; never more than keys_max keys.
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "base/check.h"
#include "fuzz_edits.h"
#include "fuzz_identity.h"
#include "proto/session/keyring.h"
#include "proto/session/replay_window.h"

using namespace kith;
using namespace kith::proto::session;

namespace {

constexpr std::size_t frames_max = 400;
constexpr std::uint8_t handshakes_max = 100;

struct Frame {
    std::size_t by;
    base::Bytes content, sealed = {};
    std::uint8_t handshake = 0;

    [[nodiscard]] std::uint32_t key() const {
        return base::load_be<std::uint32_t>(base::ByteView(sealed).subspan(1));
    }
    [[nodiscard]] std::uint64_t counter() const {
        return base::load_be<std::uint64_t>(base::ByteView(sealed).subspan(5));
    }
};

// What one end has opened of one lane of one key.
struct Seen {
    std::set<std::uint64_t> counters;
    [[nodiscard]] bool takes(std::uint64_t counter) const {
        if (counters.contains(counter)) return false;
        return counters.empty() || counter + ReplayWindow::width > *counters.rbegin();
    }
};

class Bench {
public:
    void step(std::size_t self, std::uint8_t verb, fuzz::FuzzInput& input) {
        if (verb == 0) return install(self, input.byte());
        if (verb == 1) return seal(self, input.byte());
        if (verb == 5) return pass(input.byte());
        if (verb == 6) return refuse(self, base::as_bytes(input.text(input.byte())));
        if (tape_.empty()) return;
        auto const& frame = tape_[input.below(tape_.size())];
        if (verb == 2) return deliver(frame);
        if (verb == 4) return refuse(frame.by, frame.sealed);
        auto const changed = fuzz::edited(input, frame.sealed);
        if (changed == frame.sealed) return deliver(frame);
        refuse(1 - frame.by, changed);
    }
    void check() const {
        std::size_t keys[2] = {0, 0};
        for (std::uint32_t id = 1; id <= last_key_; ++id)
            for (std::size_t end : {0U, 1U})
                if (ends_[end].handshake_hash(id) != nullptr) ++keys[end];
        KITH_ASSERT(keys[0] <= keys_max && keys[1] <= keys_max);
        for (std::uint32_t id = 1; id <= last_key_; ++id) {
            auto const* one = ends_[0].handshake_hash(id);
            auto const* other = ends_[1].handshake_hash(id);
            bool const is_shared = one != nullptr && other != nullptr && *one == *other;
            auto const* mine = ends_[0].exporter(id);
            auto const* theirs = ends_[1].exporter(id);
            if (is_shared && mine != nullptr && theirs != nullptr)
                KITH_ASSERT(base::equal(mine->view(), theirs->view()));
        }
    }

private:
    // A handshake: the responder has its key first. The material is never the same twice, the
    // number may be, once a key that nobody used is gone.
    void install(std::size_t initiator, std::uint8_t leap) {
        auto const next = ends_[initiator].next_key_id();
        auto const id = std::max<std::uint32_t>(1, next + leap % 4 - 1);
        if (handshakes_ == handshakes_max) return;
        ++handshakes_;
        auto const forth = fuzz::secret_of<32>(handshakes_);
        auto const back = fuzz::secret_of<32>(static_cast<std::uint8_t>(handshakes_ + 128));
        base::ByteArray<32> hash;
        hash.fill(handshakes_);
        for (std::size_t const end : {1 - initiator, initiator}) {
            bool const began = end == initiator;
            bool const is_newer = id >= ends_[end].next_key_id();
            auto const done = ends_[end].install(id,
                                                 {.send = (began ? forth : back).clone(),
                                                  .receive = (began ? back : forth).clone(),
                                                  .handshake_hash = hash},
                                                 began ? Side::initiator : Side::responder, now_);
            KITH_ASSERT(done.has_value() == is_newer);
            if (!done) return;
            KITH_ASSERT(ends_[end].next_key_id() == id + 1);
        }
        last_key_ = std::max(last_key_, id);
    }
    void seal(std::size_t self, std::uint8_t lane) {
        if (tape_.size() >= frames_max) return;
        constexpr Lane lanes[] = {Lane::tensor, Lane::control, Lane::proof};
        Frame frame{.by = self, .content = base::Bytes(5, lane)};
        base::store_be(base::MutableByteView(frame.content),
                       static_cast<std::uint32_t>(tape_.size()));
        bool const can = ends_[self].can_send();
        auto const done = ends_[self].seal(lanes[lane % 3], frame.content, frame.sealed);
        KITH_ASSERT(done.has_value() == can);
        if (!done) return;
        frame.handshake = ends_[self].handshake_hash(frame.key())->front();
        base::Bytes header{static_cast<std::uint8_t>(self), frame.handshake};
        base::append(header, base::ByteView(frame.sealed).first(header_bytes));
        KITH_ASSERT(headers_.insert(std::move(header)).second);
        tape_.push_back(std::move(frame));
    }
    void deliver(Frame const& frame) {
        auto& end = ends_[1 - frame.by];
        end.drop_retired(now_);
        auto& seen = seen_[{frame.by, frame.sealed[0], frame.handshake}];
        auto const* key = end.handshake_hash(frame.key());
        bool const has_key = key != nullptr && key->front() == frame.handshake;
        bool const fits = has_key && seen.takes(frame.counter());
        auto const opened = end.open(frame.sealed, now_);
        KITH_ASSERT(opened.has_value() == fits);
        if (!opened) return;
        KITH_ASSERT(base::equal(opened->bytes(), frame.content));
        KITH_ASSERT(opened->lane() == static_cast<Lane>(frame.sealed[0]));
        seen.counters.insert(frame.counter());
    }
    void refuse(std::size_t at, base::ByteView frame) { KITH_ASSERT(!ends_[at].open(frame, now_)); }
    void pass(std::uint8_t seconds) {
        now_ += std::chrono::seconds(seconds);
        for (auto& end : ends_) {
            end.drop_retired(now_);
            auto const next = end.next_retirement();
            KITH_ASSERT(!next || *next > now_);
        }
    }

    Keyring ends_[2];
    std::uint32_t last_key_ = 0;
    std::uint8_t handshakes_ = 0;
    std::vector<Frame> tape_;
    std::set<base::Bytes> headers_;
    std::map<std::tuple<std::size_t, std::uint8_t, std::uint8_t>, Seen> seen_;
    base::Instant now_{std::chrono::hours(1)};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    fuzz::FuzzInput input(data, size);
    Bench bench;
    for (int steps = 0; !input.is_empty() && steps < 1000; ++steps) {
        auto const verb = input.byte();
        bench.step(verb >> 7, verb % 128 % 7, input);
        bench.check();
    }
    return 0;
}
