#include <doctest/doctest.h>

#include <boost/json.hpp>

#include "base/code_of.h"
#include "base/temporary_folder.h"
#include "infer/int8_loops.h"
#include "infer/machine_peak.h"
#include "infer/model_tool.h"
#include "infer/model_work.h"

namespace kith::infer {
namespace {

namespace json = boost::json;
using base::Code;
using base::code_of;

// Each look takes so long.
class TickingClock final : public ports::Clock {
public:
    explicit TickingClock(base::Duration step) : step_(step) {}
    base::Instant now() const override { return now_ += step_; }
    base::UnixTime unix_now() const override { return base::UnixTime{0}; }

private:
    base::Duration step_;
    mutable base::Instant now_{};
};

constexpr SynthShape tiny{.type = TensorType::q8_0,
                          .layers_count = 3,
                          .hidden_size = 64,
                          .feed_forward_size = 96,
                          .heads_count = 4,
                          .kv_heads_count = 2};

struct TinyModel {
    explicit TinyModel(SynthShape const& shape) {
        bytes = synthesise(shape).value();
        model = Model::load_views({bytes}).value();
    }
    base::Bytes bytes;
    std::shared_ptr<Model const> model;
};

// Of one layer of `tiny`: q and output, k and v, gate, up and down.
constexpr double layer_elements = 2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 96;
constexpr double q8_0_bytes = 34.0 / 32;  // of an element

TEST_CASE("the work of a model is what its shape says") {
    TinyModel const tiny_model(tiny);
    auto const& model = *tiny_model.model;
    auto const head = static_cast<double>(model.hparams().vocabulary_size) * 64;
    auto const weights = 3 * layer_elements;
    double const position_bytes = 3 * 2 * 32 * 2;  // layers, keys and values, float16

    auto const decode = decode_work(model, {.steps = 2, .sequences = 1, .positions = 10});
    CHECK(decode.operations == 2 * 2 * (weights + head));
    CHECK(decode.bytes == 2 * (weights + head) * q8_0_bytes + (11 + 12) * position_bytes);

    // The weights once for all sequences.
    auto const together = decode_work(model, {.steps = 2, .sequences = 8});
    CHECK(together.operations == 8 * decode.operations);
    CHECK(together.bytes == 2 * (weights + head) * q8_0_bytes + 8 * (1 + 2) * position_bytes);

    // Two micro batches, one row of logits.
    auto const prompt = prompt_work(model, micro_batch_tokens + 1);
    CHECK(prompt.operations == 2 * ((micro_batch_tokens + 1) * weights + head));
    CHECK(prompt.bytes ==
          (2 * weights + head) * q8_0_bytes + (2 * micro_batch_tokens + 1) * position_bytes);
}

TEST_CASE("experts are work as far as a token uses them, and windows bound what it sees") {
    auto shape = tiny;
    shape.architecture = Architecture::qwen3moe;
    shape.tokenizer = SynthTokenizer::qwen2_bpe;
    shape.experts_count = 8;
    shape.experts_used = 2;
    shape.expert_size = 32;
    TinyModel const moe(shape);
    double const experts = 3.0 * 3 * 64 * 32;  // of one in each layer
    auto const one = decode_work(*moe.model, {.steps = 1});
    auto const two = decode_work(*moe.model, {.steps = 1, .sequences = 2});
    auto const many = decode_work(*moe.model, {.steps = 1, .sequences = 64});
    double const seen = 3.0 * 2 * 32 * 2;
    CHECK(two.bytes - one.bytes == 2 * experts * q8_0_bytes + seen);
    CHECK(many.bytes - one.bytes == 6 * experts * q8_0_bytes + 63 * seen);
    CHECK(many.operations == 64 * one.operations);

    shape = tiny;
    shape.architecture = Architecture::gemma3;
    shape.tokenizer = SynthTokenizer::gemma_spm;
    shape.layers_count = 7;  // the sixth has no window
    shape.window = 8;
    TinyModel const windows(shape);
    auto const near = decode_work(*windows.model, {.steps = 1, .positions = 7});
    auto const far = decode_work(*windows.model, {.steps = 1, .positions = 107});
    CHECK(far.bytes - near.bytes == 100.0 * 2 * 32 * 2);
}

std::string bench(BenchOptions options, SynthShape const& shape = tiny) {
    base::TemporaryFolder const folder;
    options.path = (folder.path() / "model.gguf").string();
    REQUIRE(model_synth({.path = options.path, .shape = shape, .progress = {}}).has_value());
    TickingClock const clock(base::Duration{100'000});
    auto const out = model_bench(options, clock);
    REQUIRE(out.has_value());
    return *out;
}

TEST_CASE("a benchmark tells speeds, shares of the machine's peaks and each layer's time") {
    auto const document = bench({.prompt_tokens = 70,
                                 .decode_tokens = 5,
                                 .sequences = 4,
                                 .threads = 2,
                                 .machine = BenchMachine::measured,
                                 .layers = BenchLayers::measured});
    auto const value = json::parse(document);
    auto const& root = value.as_object();
    CHECK(root.at("prompt").at("tokens_per_second").as_double() == doctest::Approx(700));
    CHECK(root.at("decode").at("tokens_per_second").as_double() == doctest::Approx(50));
    CHECK(root.at("together").at("tokens").to_number<int>() == 20);
    CHECK(root.at("together").at("sequences").to_number<int>() == 4);
    auto const& machine = root.at("machine").as_object();
    auto const& bandwidths = machine.at("read_bytes_per_second").as_array();
    REQUIRE(bandwidths.size() == 2);  // with one thread, with two
    for (auto const& each : bandwidths)
        CHECK(each.as_double() == doctest::Approx(static_cast<double>(peak_buffer_bytes) * 10));
    CHECK(machine.at("int8_operations_per_second").as_double() > 0);
    TinyModel const tiny_model(tiny);
    auto const work = decode_work(*tiny_model.model, {.steps = 5, .positions = 70});
    CHECK(root.at("decode").at("bandwidth_share").as_double() ==
          doctest::Approx(work.bytes / 0.1 / bandwidths[1].as_double()));
    CHECK(root.at("decode").at("int8_share").as_double() ==
          doctest::Approx(work.operations / 0.1 /
                          machine.at("int8_operations_per_second").as_double()));
    for (char const* const part : {"prompt", "together"})
        CHECK(root.at(part).at("int8_share").as_double() > 0);
    auto const& layers = root.at("layers").as_array();
    REQUIRE(layers.size() == 3);
    for (auto const& layer : layers) {
        CHECK(layer.at("prompt_ms_per_token").as_double() == doctest::Approx(100.0 / 64));
        CHECK(layer.at("decode_ms_per_token").as_double() == doctest::Approx(100));
    }
}

TEST_CASE("without measuring the machine and the layers a benchmark says nothing of them") {
    auto const document = bench({.prompt_tokens = 3, .decode_tokens = 0});
    auto const value = json::parse(document);
    for (char const* const name : {"machine", "layers", "together"})
        CHECK_FALSE(value.as_object().contains(name));
    CHECK_FALSE(value.at("prompt").as_object().contains("int8_share"));
}

TEST_CASE("a benchmark past its limits is refused") {
    TickingClock const clock(base::Duration{1000});
    CHECK(code_of(model_bench({.path = "x", .prompt_tokens = 0}, clock)) == Code::invalid);
    CHECK(code_of(model_bench({.path = "x", .prompt_tokens = 65537}, clock)) == Code::invalid);
    CHECK(code_of(model_bench({.path = "x", .decode_tokens = 65537}, clock)) == Code::invalid);
    CHECK(code_of(model_bench({.path = "x", .sequences = micro_batch_tokens + 1}, clock)) ==
          Code::invalid);
    TickingClock const still(base::Duration{0});
    CHECK(code_of(read_bandwidth(1, still)) == Code::internal);
}

TEST_CASE("each table of kernels has a loop of its own instructions") {
    for (auto const isa : {Isa::portable, Isa::avx2, Isa::avx512}) {
        auto const* const kernels = find_kernels(isa);
        if (kernels == nullptr) continue;
        auto const loop = find_int8_loop(kernels->name);
        CHECK(loop.operations > 0);
        (void)loop.run(3);
        CHECK((isa == Isa::portable) == (loop.operations == find_int8_loop("portable").operations));
    }
}

}  // namespace
}  // namespace kith::infer
