// A small model of each architecture, some of its metadata and tensors changed as the bytes say,
// and written as a well-formed file: what random bytes seldom reach, the checks of what a file
// means. Nothing may crash or take memory that the file does not justify.
#include <array>
#include <string>
#include <vector>

#include "fuzz_input.h"
#include "infer/arch/architecture.h"
#include "infer/gguf_writer.h"
#include "infer/synth.h"
#include "model_file_checks.h"

namespace {

using namespace kith::infer;
using kith::fuzz::FuzzInput;

constexpr std::size_t changes_max = 8;
constexpr std::size_t tensor_bytes_max = std::size_t{64} << 10U;  // of one that was changed

// A file that the changes begin from, and what is in it.
struct Base {
    kith::base::Bytes bytes;
    Gguf file;
};

SynthTokenizer tokenizer_of(Architecture architecture) {
    switch (architecture) {
        case Architecture::llama:
            return SynthTokenizer::spm;
        case Architecture::gemma2:
        case Architecture::gemma3:
            return SynthTokenizer::gemma_spm;
        case Architecture::phi3:
            return SynthTokenizer::phi3_spm;
        case Architecture::qwen2:
        case Architecture::qwen3:
        case Architecture::qwen3moe:
            return SynthTokenizer::qwen2_bpe;
    }
    return SynthTokenizer::byte_bpe;
}

std::vector<Base> make_bases() {
    std::vector<Base> out;
    for (auto const* const traits : all_architectures()) {
        for (auto const rope : {SynthRope::plain, SynthRope::yarn}) {
            auto bytes = synthesise(SynthShape{.architecture = traits->architecture,
                                               .type = TensorType::q8_0,
                                               .tokenizer = tokenizer_of(traits->architecture),
                                               .layers_count = 2,
                                               .hidden_size = 32,
                                               .feed_forward_size = 32,
                                               .heads_count = 2,
                                               .kv_heads_count = 1,
                                               .window = 4,
                                               .experts_count = 4,
                                               .expert_size = 32,
                                               .rope = rope,
                                               .context_length = 64});
            if (!bytes) std::abort();
            auto file = Gguf::parse(*bytes).value();
            out.push_back({std::move(*bytes), std::move(file)});
        }
    }
    return out;
}

struct Tensor {
    std::string name;
    TensorType type;
    std::vector<std::size_t> shape;
    kith::base::ByteView data;  // repeated or cut to the size that shape and type imply
};

std::uint32_t number(FuzzInput& input) {
    constexpr std::array<std::uint32_t, 20> odd = {
        0,  1,  2,   3,   4,      7,      8,         16,          31,          32,
        33, 64, 255, 256, 65'535, 65'536, 1U << 20U, 0x7fffffffU, 0x80000000U, 0xffffffffU};
    auto const which = input.byte();
    return which < odd.size() ? odd.at(which) : input.u32();
}

// A value of some kind for `key`.
void add_value(GgufWriter& writer, std::string_view key, FuzzInput& input) {
    constexpr std::size_t items_max = 8;
    switch (input.byte() % 7) {
        case 0:
            return writer.add_unsigned(key, number(input));
        case 1:
            return writer.add_float(key, input.any_float());
        case 2:
            return writer.add_bool(key, input.byte() != 0);
        case 3:
            return writer.add_string(key, input.text(input.byte() % 32));
        case 4: {
            std::vector<std::int32_t> items(input.byte() % items_max);
            for (auto& item : items) item = static_cast<std::int32_t>(number(input));
            return writer.add_integers(key, items);
        }
        case 5: {
            std::vector<float> items(input.byte() % items_max);
            for (auto& item : items) item = input.any_float();
            return writer.add_floats(key, items);
        }
        default: {
            std::vector<std::string> items(input.byte() % items_max);
            for (auto& item : items) item = input.text(input.byte() % 8);
            return writer.add_strings(key, items);
        }
    }
}

void change(Tensor& tensor, std::vector<Tensor> const& all, FuzzInput& input) {
    constexpr std::array<TensorType, 15> types = {
        TensorType::f32,  TensorType::f16,  TensorType::bf16, TensorType::q8_0,   TensorType::q4_0,
        TensorType::q4_1, TensorType::q5_0, TensorType::q5_1, TensorType::q2_k,   TensorType::q3_k,
        TensorType::q4_k, TensorType::q5_k, TensorType::q6_k, TensorType::iq4_nl, TensorType::f32};
    switch (input.byte() % 6) {
        case 0:
            tensor.type = types.at(input.below(types.size()));
            break;
        case 1:
            tensor.shape[input.below(tensor.shape.size())] = number(input) % 4096;
            break;
        case 2:
            std::swap(tensor.shape.front(), tensor.shape.back());
            break;
        case 3:
            tensor.shape.push_back(1 + input.byte() % 3);
            break;
        case 4:
            tensor.name = all[input.below(all.size())].name;
            break;
        default:
            tensor.name = input.text(input.byte() % 24);
            break;
    }
}

// Whether the file can have it at all: Gguf::parse knows shapes that no file of this size has.
bool can_write(Tensor const& tensor) {
    std::size_t elements = 1;
    if (tensor.shape.empty() || tensor.shape.size() > 4 || tensor.name.empty()) return false;
    for (auto const each : tensor.shape) {
        if (each == 0 || each > tensor_bytes_max) return false;
        elements *= each;
        if (elements > 4 * tensor_bytes_max) return false;
    }
    auto const& traits = type_traits(tensor.type);
    if (tensor.shape[0] % traits.block_elements != 0) return false;
    return elements / traits.block_elements * traits.block_bytes <= tensor_bytes_max;
}

kith::base::Bytes data_of(Tensor const& tensor) {
    auto const& traits = type_traits(tensor.type);
    std::size_t elements = 1;
    for (auto const each : tensor.shape) elements *= each;
    kith::base::Bytes out(elements / traits.block_elements * traits.block_bytes);
    for (std::size_t i = 0; i < out.size() && !tensor.data.empty(); ++i)
        out[i] = tensor.data[i % tensor.data.size()];
    return out;
}

kith::base::Bytes changed_file(Base const& base, FuzzInput& input) {
    std::vector<std::string_view> keys;
    for (auto const& [key, value] : base.file.values()) keys.push_back(key);
    std::vector<Tensor> tensors;
    for (auto const& tensor : base.file.tensors())
        tensors.push_back({std::string(tensor.name),
                           tensor.type,
                           {tensor.shape.begin(), tensor.shape.end()},
                           tensor.data});
    GgufWriter writer;
    std::vector<bool> is_replaced(keys.size());
    std::vector<bool> is_dropped(tensors.size());
    for (std::size_t i = 0; i < changes_max && !input.is_empty(); ++i) {
        auto const kind = input.byte() % 5;
        auto const key = input.below(keys.size());
        auto const tensor = input.below(tensors.size());
        if (kind == 0) is_replaced[key] = true;  // by nothing
        if (kind == 1 || kind == 2) {
            if (kind == 1) is_replaced[key] = true;  // else it is there twice, or after the first
            add_value(writer, keys[key], input);
        }
        if (kind == 3) is_dropped[tensor] = true;
        if (kind == 4) change(tensors[tensor], tensors, input);
    }
    for (std::size_t i = 0; i < keys.size(); ++i)
        if (!is_replaced[i]) writer.add_value(keys[i], *base.file.find(keys[i]));
    std::vector<kith::base::Bytes> kept;
    kept.reserve(tensors.size());
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        if (is_dropped[i] || !can_write(tensors[i])) continue;
        kept.push_back(data_of(tensors[i]));
        writer.add_tensor(tensors[i].name, tensors[i].type, tensors[i].shape, kept.back());
    }
    return writer.to_bytes();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    static auto const bases = make_bases();
    FuzzInput input(data, size);
    auto const& base = bases[input.byte() % bases.size()];
    kith::fuzz::check_model_file(changed_file(base, input));
    return 0;
}
