// tests/fuzz/request_seal_fuzz.cpp: what belongs to one question, sealed between asker and stage
// (Tier 2), on its way through machines that are neither.
//
// Input: steps. One byte: 0 the asker seals (step u32, content count u8 and bytes); 1 the stage
// gets a sealed message as it is (which u8); 2 the same with edits (fuzz_edits.h); 3 under another
// step (u32); 4 bound to other fields; 5 bytes as they come; 6 the message of another request, or
// for the other direction. Checked: the stage opens exactly the unchanged messages whose step
// rises, and nothing else, and gets what was sealed; a refused message changes nothing.
#include <optional>
#include <vector>

#include "base/check.h"
#include "fuzz_edits.h"
#include "fuzz_identity.h"
#include "proto/seal/request_seal.h"

using namespace kith;
namespace seal = proto::seal;

namespace {

struct Sealed {
    std::uint32_t step;
    base::Bytes content, message;
};

seal::Subject subject(std::uint8_t request) {
    seal::Subject out;
    out.request.fill(request);
    out.asker.bytes.fill(21);
    out.stage.bytes.fill(22);
    return out;
}

struct Pair {
    explicit Pair(std::uint8_t request, seal::Direction direction = seal::Direction::prompt)
        : asker(seal::Channel::at_asker(request_key, crypto::x25519_public_key(stage_key),
                                        subject(request), direction)
                    .value()),
          stage(seal::Channel::at_stage(stage_key, crypto::x25519_public_key(request_key),
                                        subject(request), direction)
                    .value()) {}

    crypto::X25519PrivateKey request_key = fuzz::secret_of<32>(31);
    crypto::X25519PrivateKey stage_key = fuzz::secret_of<32>(32);
    seal::Channel asker, stage;
};

constexpr std::string_view bound = "position 7, rows 1";
constexpr std::size_t messages_max = 32;

class Bench {
public:
    void step(std::uint8_t verb, fuzz::FuzzInput& input) {
        if (verb == 0) return seal_one(input);
        if (verb == 5) return refuse(input.u32(), bound, base::as_bytes(input.text(input.byte())));
        if (messages_.empty()) return;
        auto const& one = messages_[input.below(messages_.size())];
        if (verb == 1) return deliver(one);
        if (verb == 2) {
            auto const changed = fuzz::edited(input, one.message);
            return changed == one.message ? deliver(one) : refuse(one.step, bound, changed);
        }
        if (verb == 3) {
            auto const step = input.u32();
            return step == one.step ? deliver(one) : refuse(step, bound, one.message);
        }
        if (verb == 4) return refuse(one.step, "position 8, rows 1", one.message);
        refuse_sealed_by(other_request_, one);
        refuse_sealed_by(backwards_, one);
    }

private:
    static base::ByteView bytes(std::string_view text) { return base::as_bytes(text); }

    void seal_one(fuzz::FuzzInput& input) {
        auto const step = input.u32();
        auto const content = base::to_bytes(base::as_bytes(input.text(input.byte())));
        bool const rises = !sealed_ || step > *sealed_;
        auto message = pair_.asker.seal(step, bytes(bound), content);
        KITH_ASSERT(message.has_value() == rises);
        if (!message) return;
        KITH_ASSERT(message->size() == content.size() + seal::overhead_bytes);
        sealed_ = step;
        if (messages_.size() < messages_max) messages_.push_back({step, content, *message});
    }
    void deliver(Sealed const& one) {
        bool const rises = !opened_ || one.step > *opened_;
        auto const content = pair_.stage.open(one.step, bytes(bound), one.message);
        KITH_ASSERT(content.has_value() == rises);
        if (!content) return;
        KITH_ASSERT(base::equal(content->bytes(), one.content));
        opened_ = one.step;
    }
    void refuse(std::uint32_t step, std::string_view fields, base::ByteView message) {
        KITH_ASSERT(!pair_.stage.open(step, bytes(fields), message));
    }
    // The same content, sealed where this stage is not the end.
    void refuse_sealed_by(Pair& elsewhere, Sealed const& one) {
        auto const message = elsewhere.asker.seal(++steps_elsewhere_, bytes(bound), one.content);
        KITH_ASSERT(message.has_value());
        refuse(steps_elsewhere_, bound, *message);
    }

    Pair pair_{1}, other_request_{2}, backwards_{1, seal::Direction::answer};
    std::vector<Sealed> messages_;
    std::optional<std::uint32_t> sealed_, opened_;
    std::uint32_t steps_elsewhere_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    fuzz::FuzzInput input(data, size);
    Bench bench;
    for (int steps = 0; !input.is_empty() && steps < 100; ++steps)
        bench.step(input.byte() % 7, input);
    return 0;
}
