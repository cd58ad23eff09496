// tests/fuzz/peer_channel_fuzz.cpp: the Tier 1 session of two members (handshake, root proofs,
// sealed frames), with somebody on the stream between them.
//
// Input: steps. One byte, whose bit 7 names the end whose words it is about: 0 all that it has to
// say arrives; 1 one frame arrives; 2 one frame with edits (fuzz_edits.h); 3 a frame is lost; 4 one
// from the tape arrives again, maybe in a later session (which u16); 5 bytes as they come (count
// u8); 6 a key exchange that the input invents (key id and chained id u16, is answer u8, message
// count u8 and bytes) in the name of this end, or with bit 6 in another's; 7 it sends a message
// (lane u8); 8 it offers a key; 9 minutes pass (u8). After an error the stream is reset and both
// begin anew, as a node does it.
//
// Checked: what is delivered was sent, in this session, once; nothing before both roots were
// proved; what names another sender changes nothing (S21); a changed sealed frame ends the session;
// what waits is bounded.
#include <memory>
#include <set>
#include <vector>

#include "base/check.h"
#include "fuzz_edits.h"
#include "fuzz_identity.h"
#include "node/peers/peer_channel.h"
#include "schema/wire.pb.h"
#include "sim/chance.h"

using namespace kith;
using node::PeerChannel;
using proto::session::Lane;

namespace {

constexpr std::size_t sessions_max = 4;  // each costs two handshakes and four root signatures
constexpr std::size_t tape_max = 64;
constexpr std::uint8_t tag_exchange = 0x02;

struct Members {
    identity::Identity one[2] = {fuzz::identity_of(1), fuzz::identity_of(2)};
    crypto::Secret<32> swarm_secret = fuzz::secret_of<32>(3);
};

Members const& members() {
    static Members const made;
    return made;
}

class Bench {
public:
    Bench() { connect(); }
    [[nodiscard]] bool is_over() const { return sessions_ > sessions_max; }

    void step(std::size_t from, std::uint8_t verb, bool in_other_name, fuzz::FuzzInput& input) {
        if (verb == 9) return pass(input.byte());
        if (verb == 8) return end_if(ends_[from]->offer(now_));
        if (verb == 7) return send(from, input.byte());
        if (verb == 6) return invent(from, in_other_name, input);
        if (verb == 5) return arrive_raw(from, base::as_bytes(input.text(input.byte())));
        if (verb == 4 && tape_.empty()) return;
        if (verb == 4) return arrive_framed(from, tape_[input.below(tape_.size())]);
        take_words(from);
        while (!said_[from].empty()) {
            auto const frame = std::move(said_[from].front());
            said_[from].erase(said_[from].begin());
            if (verb <= 1) arrive_framed(from, frame);
            if (verb == 2) arrive_changed(from, frame, input);
            if (verb != 0) return;
        }
    }

private:
    void connect() {
        ++sessions_;
        for (std::size_t self : {0U, 1U}) {
            auto const& peer = members().one[1 - self];
            ends_[self] = std::make_unique<PeerChannel>(
                PeerChannel::Parties{.self = members().one[self],
                                     .rng = rng_,
                                     .swarm_id = {{1}},
                                     .swarm_secret = members().swarm_secret,
                                     .peer = {.node = peer.node_id(),
                                              .static_key = peer.static_public_key(),
                                              .root = peer.root_public_key()}},
                now_);
            said_[self].clear();
            sent_[self].clear();
            is_cut_[self] = false;
        }
        KITH_ASSERT(ends_[0]->offer(now_).has_value());
    }
    void end_if(base::Status const& status) {
        if (!status && !is_over()) connect();
    }

    // What an end wrote, cut into frames: whoever is on the stream can do that.
    void take_words(std::size_t from) {
        auto const bytes = base::to_bytes(ends_[from]->outgoing());
        KITH_ASSERT(bytes.size() <= node::channel_out_bytes_max + node::peer_frame_bytes_max);
        ends_[from]->taken(bytes.size());
        KITH_ASSERT(ends_[from]->outgoing().empty());
        wire::FrameReader reader(node::peer_frame_bytes_max);
        for (base::ByteView rest = bytes; !rest.empty();) {
            said_[from].push_back(reader.next(rest).value().value());
            if (tape_.size() < tape_max) tape_.push_back(said_[from].back());
        }
    }
    void arrive_framed(std::size_t from, base::ByteView frame) {
        base::Bytes framed;
        wire::append_frame(framed, frame);
        arrive(from, framed);
    }
    void arrive_raw(std::size_t from, base::ByteView bytes) {
        is_cut_[from] = true;
        arrive(from, bytes);
    }
    void arrive(std::size_t from, base::ByteView bytes) {
        auto& end = *ends_[1 - from];
        auto const status = end.feed(bytes, now_);
        while (auto const message = end.poll_message()) {
            KITH_ASSERT(end.ready());
            KITH_ASSERT(sent_[from].erase(base::to_bytes(message->bytes())) == 1);
        }
        end_if(status);
    }
    void arrive_changed(std::size_t from, base::Bytes const& frame, fuzz::FuzzInput& input) {
        auto const changed = fuzz::edited(input, frame);
        bool const was_sealed = frame[0] != tag_exchange && !is_cut_[from];
        bool const is_sealed = !changed.empty() && changed[0] != tag_exchange;
        auto const before = sessions_;
        arrive_framed(from, changed);
        if (was_sealed && is_sealed && changed != frame) KITH_ASSERT(sessions_ == before + 1);
    }
    void invent(std::size_t from, bool in_other_name, fuzz::FuzzInput& input) {
        wire::v1::EphemeralKeyExchange exchange;
        auto const named = members().one[in_other_name ? 1 - from : from].node_id();
        exchange.set_node_id(base::to_text(named.bytes));
        exchange.set_key_id(input.u16());
        exchange.set_chained_key_id(input.u16());
        exchange.set_is_answer(input.byte() % 2 == 1);
        exchange.set_noise_message(std::string(input.text(input.byte())));
        base::Bytes frame{tag_exchange};
        base::append(frame, base::as_bytes(exchange.SerializeAsString()));
        auto& end = *ends_[1 - from];
        auto const before = end.outgoing().size();
        auto const session = sessions_;
        bool const was_cut = is_cut_[from];
        (void)end.take_false_claims();
        arrive_framed(from, frame);
        if (!in_other_name || was_cut) return;
        KITH_ASSERT(sessions_ == session && end.take_false_claims() == 1);
        KITH_ASSERT(end.outgoing().size() == before);
    }
    void send(std::size_t from, std::uint8_t lane) {
        base::Bytes message(4);
        base::store_be(base::MutableByteView(message), ++messages_);
        bool const is_control = lane % 2 == 0;
        auto const done = ends_[from]->send(is_control ? Lane::control : Lane::tensor, message);
        if (done) sent_[from].insert(std::move(message));
        KITH_ASSERT(ends_[from]->ready() || sent_[from].size() <= node::channel_waiting_max);
    }
    void pass(std::uint8_t minutes) {
        now_ += std::chrono::minutes(minutes);
        for (std::size_t self : {0U, 1U}) {
            auto const before = sessions_;
            end_if(ends_[self]->on_deadline(now_));
            if (sessions_ != before) return;
            if (ends_[self]->rekey_due(now_)) end_if(ends_[self]->offer(now_));
        }
    }

    sim::SeededRng rng_{7};
    base::Instant now_{std::chrono::hours(1)};
    std::unique_ptr<PeerChannel> ends_[2];
    std::vector<base::Bytes> said_[2];  // frames under way
    bool is_cut_[2] = {false, false};   // half a frame may have arrived: the rest is noise
    std::set<base::Bytes> sent_[2];     // messages of this session that did not arrive yet
    std::vector<base::Bytes> tape_;     // frames of all sessions
    std::uint32_t messages_ = 0;
    std::size_t sessions_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    fuzz::FuzzInput input(data, size);
    Bench bench;
    for (int steps = 0; !input.is_empty() && !bench.is_over() && steps < 200; ++steps) {
        auto const verb = input.byte();
        bench.step(verb >> 7, verb % 64 % 10, (verb & 64) != 0, input);
    }
    return 0;
}
