// tests/fuzz/stage_content_fuzz.cpp: what stage messages carry: token ids, vectors, and the fields
// that a seal is bound to. They come from members, and behind a seal from the asker.
//
// First byte: 0 token ids (count u8, then the bytes); 1 a tensor (rows u8, width u8, then the
// bytes); 2 a serialised StageForward, a true one with the edits of the input (fuzz_edits.h).
// Checked: what is read is written again the same, and only in the size it should have; of two
// forwards that differ in a bound field no seal opens for both; who seals with whom is named only
// when every id has its size.
#include "base/check.h"
#include "feature/ask/request_content.h"
#include "feature/ask/sequence.h"
#include "fuzz_edits.h"

using namespace kith;

namespace {

void read_tokens(std::size_t count, base::ByteView bytes) {
    auto const tokens = ask::decode_tokens(bytes, count);
    if (!tokens) return;
    KITH_ASSERT(tokens->size() == count);
    KITH_ASSERT(std::ranges::all_of(*tokens, [](auto token) { return token >= 0; }));
    KITH_ASSERT(base::equal(ask::encode_tokens(*tokens), bytes));
}

void read_tensor(std::size_t rows, std::size_t width, base::ByteView bytes) {
    auto const tensor = ask::decode_tensor(bytes, rows, width);
    bool const fits = rows > 0 && width > 0 && bytes.size() == rows * width * sizeof(float);
    KITH_ASSERT(tensor.has_value() == fits);
    if (tensor) KITH_ASSERT(base::equal(ask::tensor_bytes(*tensor), bytes));
}

wire::v1::StageForward true_forward() {
    wire::v1::StageForward forward;
    forward.set_request_id(std::string(16, 'r'));
    forward.set_asker(std::string(32, 'a'));
    forward.set_model_id(std::string(32, 'm'));
    forward.set_position(7);
    forward.set_rows(2);
    forward.set_hidden(64);
    forward.set_positions_max(512);
    forward.set_last_row_only(true);
    for (char const hop : {'1', '2'}) forward.add_hops()->set_node_id(std::string(32, hop));
    return forward;
}

bool same_fields(wire::v1::StageForward const& a, wire::v1::StageForward const& b) {
    return a.model_id() == b.model_id() && a.position() == b.position() && a.rows() == b.rows() &&
           a.hidden() == b.hidden() && a.positions_max() == b.positions_max() &&
           a.pre_embedded() == b.pre_embedded() && a.last_row_only() == b.last_row_only();
}

void read_forward(fuzz::FuzzInput& input) {
    static auto const honest = true_forward();
    static auto const bytes = honest.SerializeAsString();
    auto const changed = fuzz::edited(input, base::as_bytes(bytes));
    wire::v1::StageForward forward;
    if (!forward.ParseFromArray(changed.data(), static_cast<int>(changed.size()))) return;
    KITH_ASSERT((ask::bound_fields(forward) == ask::bound_fields(honest)) ==
                same_fields(forward, honest));
    for (std::size_t hop = 0; hop < 3; ++hop) {
        auto const subject = ask::seal_subject(forward, hop);
        bool const is_there = hop < static_cast<std::size_t>(forward.hops_size());
        auto const* node = is_there ? &forward.hops(static_cast<int>(hop)).node_id() : nullptr;
        bool const fits = node != nullptr && node->size() == 32 &&
                          forward.request_id().size() == 16 && forward.asker().size() == 32;
        KITH_ASSERT(subject.has_value() == fits);
        if (!subject) continue;
        KITH_ASSERT(base::as_text(subject->request) == forward.request_id());
        KITH_ASSERT(base::as_text(subject->asker.bytes) == forward.asker());
        KITH_ASSERT(base::as_text(subject->stage.bytes) == *node);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    fuzz::FuzzInput input(data, size);
    auto const kind = input.byte() % 3;
    if (kind == 2) {
        read_forward(input);
        return 0;
    }
    std::size_t const rows = input.byte();
    if (kind == 0) read_tokens(rows, base::as_bytes(input.text(size)));
    if (kind != 1) return 0;
    std::size_t const width = input.byte();
    read_tensor(rows, width, base::as_bytes(input.text(size)));
    return 0;
}
