#include "infer/gguf.h"

#include <doctest/doctest.h>

#include <array>
#include <functional>
#include <string>

#include "infer/gguf_writer.h"
#include "infer/sampler.h"
#include "infer/synth.h"

namespace kith::infer {
namespace {

using base::Bytes;
using base::Code;

// Builds a file field by field, so that each field can lie.
struct Forge {
    Bytes bytes;

    Forge& u8(std::uint8_t value) {
        bytes.push_back(value);
        return *this;
    }
    Forge& u32(std::uint32_t value) { return integer(value); }
    Forge& u64(std::uint64_t value) { return integer(value); }
    Forge& text(std::string_view value) {
        u64(value.size());
        base::append(bytes, base::as_bytes(value));
        return *this;
    }
    Forge& header(std::uint64_t tensors, std::uint64_t keys, std::uint32_t version = 3) {
        base::append(bytes, base::as_bytes("GGUF"));
        return u32(version).u64(tensors).u64(keys);
    }
    Forge& tensor(std::string_view name, std::vector<std::uint64_t> const& shape,
                  std::uint32_t type, std::uint64_t offset) {
        text(name).u32(static_cast<std::uint32_t>(shape.size()));
        for (auto const length : shape) u64(length);
        return u32(type).u64(offset);
    }
    Forge& pad(std::size_t data_bytes) {
        bytes.resize((bytes.size() + 31) / 32 * 32 + data_bytes);
        return *this;
    }
    [[nodiscard]] Code refusal() const {
        auto const file = Gguf::parse(bytes);
        REQUIRE_FALSE(file.has_value());
        return file.error().code;
    }

private:
    template <class T>
    Forge& integer(T value) {
        std::array<std::uint8_t, sizeof(T)> out{};
        base::store_le(out, value);
        base::append(bytes, out);
        return *this;
    }
};

constexpr std::uint64_t huge = 0xffffffffffffffffU;

TEST_CASE("what the writer writes the parser reads back") {
    Bytes const data(64, 7);
    GgufWriter writer;
    writer.add_string("general.architecture", "llama");
    writer.add_unsigned("a.number", 42);
    writer.add_float("a.float", 1.5F);
    writer.add_bool("a.flag", true);
    writer.add_strings("a.strings", {"x", "", "\xff"});
    writer.add_integers("a.integers", {-1, 2});
    writer.add_floats("a.floats", {0.25F});
    writer.add_tensor("t", TensorType::f32, {4, 2}, base::ByteView(data).first(32));
    writer.add_tensor("u", TensorType::f32, {2, 2, 4}, data);
    auto const bytes = writer.to_bytes();
    auto const file = Gguf::parse(bytes);
    REQUIRE(file.has_value());
    CHECK(file->version() == 3);
    CHECK(file->require_string("general.architecture").value() == "llama");
    CHECK(file->require_unsigned("a.number").value() == 42);
    CHECK(file->find("a.float")->as_number() == 1.5);
    CHECK(file->find("a.flag")->as_bool() == true);
    CHECK(file->find("a.strings")->as_strings()->at(2) == "\xff");
    CHECK(file->find("a.integers")->as_integers()->at(0) == -1);
    CHECK(file->find("a.floats")->as_floats()->at(0) == 0.25F);
    CHECK_FALSE(file->find("a.flag")->as_string().has_value());
    CHECK_FALSE(file->find("a.strings")->as_integers().has_value());
    REQUIRE(file->find_tensor("u") != nullptr);
    CHECK(file->find_tensor("u")->rows() == 8);
    CHECK(base::equal(file->find_tensor("u")->data, data));
    CHECK(file->find_tensor("v") == nullptr);
    CHECK(file->require_unsigned("a.float").error().code == Code::invalid);
}

TEST_CASE("a file that is cut off anywhere is refused") {
    auto const whole = synthesise(SynthShape{.type = TensorType::q4_0,
                                             .layers_count = 1,
                                             .hidden_size = 32,
                                             .feed_forward_size = 32,
                                             .heads_count = 2,
                                             .kv_heads_count = 1});
    REQUIRE(whole.has_value());
    REQUIRE(Gguf::parse(*whole).has_value());
    // The last tensor's padding may be missing, nothing else.
    for (std::size_t size = 0; size + 32 < whole->size(); size += size < 600 ? 1 : 997) {
        CAPTURE(size);
        CHECK_FALSE(Gguf::parse(base::ByteView(*whole).first(size)).has_value());
    }
}

TEST_CASE("other formats, versions and byte orders are refused") {
    CHECK(Forge{}.text("not a model").refusal() == Code::invalid);
    CHECK(Forge{}.header(0, 0, 1).refusal() == Code::unsupported);
    CHECK(Forge{}.header(0, 0, 4).refusal() == Code::unsupported);
    CHECK(Forge{}.header(0, 0, 0x03000000).refusal() == Code::unsupported);
    CHECK(Gguf::parse(Forge{}.header(0, 0, 2).bytes).has_value());
}

TEST_CASE("counts are limited before anything is believed (CVE-2024-23605)") {
    CHECK(Forge{}.header(0, huge).refusal() == Code::too_large);
    CHECK(Forge{}.header(huge, 0).refusal() == Code::too_large);
    CHECK(Forge{}.header(0, gguf_keys_max + 1).refusal() == Code::too_large);
    CHECK(Forge{}.header(0, gguf_keys_max).refusal() == Code::invalid);  // but they are not there
    CHECK(Forge{}.header(gguf_tensors_max + 1, 0).refusal() == Code::too_large);
    CHECK(Forge{}.header(gguf_tensors_max, 0).refusal() == Code::invalid);
}

TEST_CASE("lengths of strings and arrays are limited before anything is believed") {
    auto const key_of_length = [](std::uint64_t length) {
        return Forge{}.header(0, 1).u64(length);
    };
    CHECK(key_of_length(huge).refusal() == Code::too_large);
    CHECK(key_of_length(gguf_key_bytes_max + 1).refusal() == Code::too_large);
    CHECK(key_of_length(gguf_key_bytes_max).refusal() == Code::invalid);
    CHECK(key_of_length(0).u32(4).u32(0).refusal() == Code::invalid);
    auto const string_of_length = [](std::uint64_t length) {
        return Forge{}.header(0, 1).text("k").u32(8).u64(length);
    };
    CHECK(string_of_length(huge).refusal() == Code::too_large);
    CHECK(string_of_length(gguf_string_bytes_max + 1).refusal() == Code::too_large);
    CHECK(string_of_length(gguf_string_bytes_max).refusal() == Code::invalid);
    auto const array = [](std::uint32_t type, std::uint64_t count) {
        return Forge{}.header(0, 1).text("k").u32(9).u32(type).u64(count);
    };
    CHECK(array(10, huge / 8 + 1).refusal() == Code::too_large);  // count * 8 would wrap to 0
    CHECK(array(4, gguf_array_items_max + 1).refusal() == Code::too_large);
    CHECK(array(4, gguf_array_items_max).refusal() == Code::invalid);
    CHECK(array(8, 2).text("one").refusal() == Code::invalid);
    CHECK(array(8, 1).u64(huge).refusal() == Code::too_large);
    CHECK(Gguf::parse(array(0, 2).u8(1).u8(2).bytes).has_value());
}

TEST_CASE("arrays in arrays are refused, so nothing recurses") {
    auto const nested = Forge{}.header(0, 1).text("k").u32(9).u32(9).u64(1).u32(4).u64(0);
    CHECK(nested.refusal() == Code::unsupported);
}

TEST_CASE("unknown value types, odd booleans and repeated keys are refused") {
    CHECK(Forge{}.header(0, 1).text("k").u32(13).u64(0).refusal() == Code::invalid);
    CHECK(Forge{}.header(0, 1).text("k").u32(9).u32(13).u64(0).refusal() == Code::invalid);
    CHECK(Forge{}.header(0, 1).text("k").u32(7).u8(2).refusal() == Code::invalid);
    auto const twice = Forge{}.header(0, 2).text("k").u32(4).u32(1).text("k").u32(4).u32(2);
    CHECK(twice.refusal() == Code::invalid);
}

TEST_CASE("alignment is a power of two within limits (alignment 0x80000000, GGML_PAD wrap)") {
    for (std::uint32_t const bad : {0U, 1U, 7U, 33U, 0x80000000U, 0xffffffffU, 131072U}) {
        CAPTURE(bad);
        auto const file = Forge{}.header(0, 1).text("general.alignment").u32(4).u32(bad);
        CHECK(file.refusal() == Code::invalid);
    }
    CHECK(Forge{}.header(0, 1).text("general.alignment").u32(8).text("x").refusal() ==
          Code::invalid);
    for (std::uint32_t const good : {8U, 32U, 65536U}) {
        CAPTURE(good);
        auto const file = Forge{}.header(0, 1).text("general.alignment").u32(4).u32(good);
        CHECK(Gguf::parse(file.bytes).has_value());
    }
}

TEST_CASE(
    "shapes whose size overflows are refused (CVE-2025-53630, CVE-2026-27940, CVE-2026-33298)") {
    auto const shape = [](std::vector<std::uint64_t> const& lengths, std::uint32_t type = 0) {
        return Forge{}.header(1, 0).tensor("t", lengths, type, 0).pad(64).refusal();
    };
    CHECK(shape({0}) == Code::invalid);  // division by ne = 0
    CHECK(shape({8, 0}) == Code::invalid);
    CHECK(shape({huge}) == Code::invalid);
    CHECK(shape({1U << 31U, 1U << 31U, 4}) == Code::invalid);     // wraps to 2^64
    CHECK(shape({std::uint64_t{1} << 62U, 4}) == Code::invalid);  // elements wrap
    CHECK(shape({std::uint64_t{1} << 61U, 2}) == Code::invalid);  // bytes wrap
    CHECK(shape({std::uint64_t{1} << 62U}) == Code::invalid);     // 4 * 2^62 wraps to 0
    CHECK(shape({(std::uint64_t{1} << 63U) + 32}, 8) ==
          Code::invalid);                    // negative for int64 readers
    CHECK(shape({33}, 8) == Code::invalid);  // not a whole block
    CHECK(shape({}) == Code::invalid);
    CHECK(shape({1, 1, 1, 1, 1}) == Code::invalid);
    CHECK(shape({4}, 4) == Code::unsupported);  // removed type
    CHECK(shape({4}, 4000) == Code::unsupported);
}

TEST_CASE("tensors lie inside the file, aligned and apart (CVE-2026-7482)") {
    auto const place = [](std::uint64_t offset, std::size_t data) {
        return Forge{}.header(1, 0).tensor("t", {8}, 0, offset).pad(data);
    };
    CHECK(Gguf::parse(place(0, 32).bytes).has_value());
    CHECK(place(0, 31).refusal() == Code::invalid);
    CHECK(place(32, 32).refusal() == Code::invalid);
    CHECK(place(4, 64).refusal() == Code::invalid);
    CHECK(place(huge - 31, 64).refusal() == Code::invalid);  // offset + size wraps to 0
    CHECK(Forge{}.header(1, 0).tensor("t", {8}, 0, 0).refusal() == Code::invalid);

    auto const two = [](std::uint64_t second) {
        return Forge{}.header(2, 0).tensor("t", {16}, 0, 0).tensor("u", {8}, 0, second).pad(128);
    };
    CHECK(Gguf::parse(two(64).bytes).has_value());
    CHECK(two(32).refusal() == Code::invalid);
    CHECK(two(0).refusal() == Code::invalid);
    auto const same = Forge{}.header(2, 0).tensor("t", {8}, 0, 0).tensor("t", {8}, 0, 32).pad(64);
    CHECK(same.refusal() == Code::invalid);
    auto const long_name = std::string(gguf_tensor_name_bytes_max + 1, 'n');
    CHECK(Forge{}.header(1, 0).tensor(long_name, {8}, 0, 0).pad(32).refusal() == Code::too_large);
}

TEST_CASE("a start, an offset or an order that hides an overlap is refused") {
    // An alignment above the file's size: the data would begin past its end.
    auto const far = Forge{}.header(1, 1).text("general.alignment").u32(4).u32(65536);
    auto with_tensor = far;
    with_tensor.tensor("t", {8}, 0, 0).pad(64);
    CHECK(with_tensor.refusal() == Code::invalid);
    // Half of all numbers: negative for those who read int64.
    auto const half = Forge{}.header(1, 0).tensor("t", {8}, 0, std::uint64_t{1} << 63U).pad(64);
    CHECK(half.refusal() == Code::invalid);
    // The second begins before the first, in any order of the list.
    auto const three = [](std::uint64_t a, std::uint64_t b, std::uint64_t c) {
        return Forge{}
            .header(3, 0)
            .tensor("t", {16}, 0, a)
            .tensor("u", {16}, 0, b)
            .tensor("v", {16}, 0, c)
            .pad(256);
    };
    CHECK(Gguf::parse(three(128, 0, 64).bytes).has_value());
    CHECK(three(128, 0, 96).refusal() == Code::invalid);
    CHECK(three(32, 64, 0).refusal() == Code::invalid);
    CHECK(three(64, 64, 0).refusal() == Code::invalid);
}

TEST_CASE("fewer entries than the header says, and a key twice with two types, are refused") {
    auto const one_key = Forge{}.header(0, 1).text("k").u32(4).u32(1);
    CHECK(Gguf::parse(one_key.bytes).has_value());
    auto const two_keys = Forge{}.header(0, 2).text("k").u32(4).u32(1);
    CHECK(two_keys.refusal() == Code::invalid);
    // Repeated with another type: which one counts would depend on the reader.
    auto const retyped = Forge{}.header(0, 2).text("k").u32(4).u32(1).text("k").u32(8).text("x");
    CHECK(retyped.refusal() == Code::invalid);
}

TEST_CASE("random damage never gets past the parser's promises") {
    std::uint64_t const seed = 20261121;
    CAPTURE(seed);
    Xoshiro256 random(seed);
    auto const whole = synthesise(SynthShape{.type = TensorType::f32,
                                             .layers_count = 1,
                                             .hidden_size = 8,
                                             .feed_forward_size = 8,
                                             .heads_count = 2,
                                             .kv_heads_count = 1});
    REQUIRE(whole.has_value());
    for (int round = 0; round < 2000; ++round) {
        auto damaged = *whole;
        for (int i = 0; i < 3; ++i)
            damaged[random.next() % 16000] = static_cast<std::uint8_t>(random.next());
        auto const file = Gguf::parse(damaged);
        if (!file) continue;
        for (auto const& tensor : file->tensors()) {
            auto const offset = tensor.data.data() - damaged.data();
            REQUIRE(offset >= 0);
            REQUIRE(static_cast<std::size_t>(offset) + tensor.data.size() <= damaged.size());
        }
    }
}

}  // namespace
}  // namespace kith::infer
