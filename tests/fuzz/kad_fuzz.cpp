// Fuzzes the Kademlia message codec and machine. The input is a row of steps: one byte what, one
// byte who, two bytes length, then bytes of a message. Peers come and go, ask and answer; the clock
// goes on. Checked after each step: the limits of kad.h, and that all work ends.
#include <cstdlib>

#include "proto/kad/kad.h"

namespace kad = kith::proto::kad;
using kith::base::Bytes;
using kith::base::ByteView;
using kith::identity::PeerId;

namespace {

struct CountingRng final : kith::ports::Rng {
    kith::base::Status fill(kith::base::MutableByteView out) override {
        for (auto& byte : out) byte = next++;
        return {};
    }
    std::uint8_t next = 1;
};

PeerId peer(std::uint8_t number) {
    kith::base::ByteArray<32> key;
    key.fill(number);
    return PeerId(key);
}

kad::KadOptions options() {
    kad::KadOptions out;
    out.self = {.id = peer(255),
                .addresses = {kith::wire::Multiaddr::tcp("10.0.0.1", 4001).value()}};
    out.domain = "fuzz";
    out.signer.sign = [](ByteView) { return kith::crypto::Ed25519Signature{}; };
    out.namespaces.resize(2);
    out.namespaces[0].name = "own";
    out.namespaces[1].name = "v";
    out.namespaces[1].form = kad::Namespace::Form::plain;
    out.unsigned_providers = kad::UnsignedProviders::allowed;
    out.reach = kad::Reach::loopback;
    return out;
}

// Small times and long ones, so that requests, records and quotas end.
constexpr std::array<std::int64_t, 4> seconds_of_step{1, 10, 61, 3601};

class Bench {
public:
    void step(std::uint8_t what, std::uint8_t who, ByteView bytes) {
        switch (what % 8) {
            case 0:
                return ready(who);
            case 1:
                return kad_.on_peer_gone(peer(who), now_);
            case 2:
                return ask(who, bytes);
            case 3:
                return answer(bytes);
            case 4:
                if (!open_.empty())
                    kad_.on_request_failed(
                        open_.front(), {.code = kith::base::Code::timeout, .message = ""}, now_);
                return;
            case 5:
                return command(who, bytes);
            case 6:
                return pass(seconds_of_step[who % seconds_of_step.size()]);
            default:
                return codec(bytes);
        }
    }

    void check() {
        while (auto output = kad_.poll_output()) {
            auto const* const sent = std::get_if<kad::SendRequest>(&*output);
            if (!sent) continue;
            if (sent->bytes.size() > kad::message_bytes_sent_max) std::abort();
            if (open_.size() < 1000) open_.push_back(sent->id);
        }
        if (kad_.queries_count() > kad::queries_max || kad_.requests_count() > kad::requests_max ||
            kad_.table().size() > kad::table_peers_max || kad_.store().values_count() > 1024)
            std::abort();
    }

    // Nothing is answered any more: all queries end.
    void finish() {
        for (int i = 0; i < 20; ++i) pass(10);
        check();
        if (kad_.queries_count() > 0) std::abort();
    }

private:
    void ready(std::uint8_t who) {
        auto const address =
            kith::wire::Multiaddr::tcp("20.0." + std::to_string(who) + ".1", 1).value();
        kad_.on_peer_ready({.peer = {.id = peer(who), .addresses = {address}},
                            .remote = address,
                            .serves = who % 4 == 0 ? kad::ServesKad::no : kad::ServesKad::yes},
                           now_);
    }
    void ask(std::uint8_t who, ByteView bytes) {
        auto const answer = kad_.on_request(peer(who), bytes, now_);
        if (answer && *answer && !kad::decode(**answer)) std::abort();
    }
    void answer(ByteView bytes) {
        if (open_.empty()) return;
        auto const id = open_.front();
        open_.erase(open_.begin());
        kad_.on_response(id, bytes, now_);
    }
    void command(std::uint8_t who, ByteView bytes) {
        Bytes const key(
            bytes.begin(),
            bytes.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(bytes.size(), 256)));
        switch (who % 6) {
            case 0:
                return ignore(kad_.find_peer(peer(who), now_));
            case 1:
                return ignore(kad_.get_value(key, now_));
            case 2:
                return ignore(kad_.find_providers(key, now_));
            case 3:
                return ignore(kad_.bootstrap(now_));
            case 4:
                return ignore(kad_.import_state(bytes, now_));
            default:
                return kad_.withdraw_value(key);
        }
    }
    template <class T>
    static void ignore(T const&) {}
    void pass(std::int64_t seconds) {
        now_.instant += std::chrono::seconds(seconds);
        now_.wall = kith::base::UnixTime{kith::base::seconds(now_.wall) + seconds};
        kad_.on_deadline(now_);
    }
    static void codec(ByteView bytes) {
        auto const message = kad::decode(bytes);
        if (!message) return;
        auto const again = kad::decode(kad::encode(*message));
        if (!again || again->key != message->key || again->record != message->record) std::abort();
    }

    CountingRng rng_;
    kad::Kad kad_{options(), rng_};
    kad::Now now_{.instant = {}, .wall = kith::base::UnixTime{1'800'000'000}};
    std::vector<kad::RequestId> open_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    ByteView input(data, size);
    Bench bench;
    for (int steps = 0; input.size() >= 4 && steps < 400; ++steps) {
        std::size_t const wanted = input[2] * 256U + input[3];
        auto const bytes = input.subspan(4, std::min(wanted, input.size() - 4));
        bench.step(input[0], input[1], bytes);
        bench.check();
        input = input.subspan(4 + bytes.size());
    }
    bench.finish();
    return 0;
}
