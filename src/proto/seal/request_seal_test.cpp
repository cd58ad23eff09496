#include "proto/seal/request_seal.h"

#include <doctest/doctest.h>

#include "base/code_of.h"

using namespace kith;
using namespace kith::proto::seal;
using base::as_bytes;
using base::Code;

namespace {

crypto::X25519PrivateKey key(std::uint8_t value) {
    base::ByteArray<32> bytes;
    bytes.fill(value);
    return crypto::X25519PrivateKey(bytes);
}

struct Scene {
    crypto::X25519PrivateKey request = key(1), stage = key(2);
    Subject subject{.request = {{3}}, .asker = {{{4}}}, .stage = {{{5}}}};

    [[nodiscard]] Channel asker(Direction direction = Direction::prompt) const {
        return Channel::at_asker(request, crypto::x25519_public_key(stage), subject, direction)
            .value();
    }
    [[nodiscard]] Channel at_stage(Direction direction = Direction::prompt) const {
        return Channel::at_stage(stage, crypto::x25519_public_key(request), subject, direction)
            .value();
    }
};

}  // namespace

TEST_CASE("what one end seals the other opens, in both directions, each step once") {
    Scene const scene;
    for (auto const direction : {Direction::prompt, Direction::answer}) {
        auto from = scene.asker(direction), to = scene.at_stage(direction);
        for (std::uint32_t const step : {0U, 1U, 7U, 0xffffffffU}) {
            auto const sealed = from.seal(step, as_bytes("shape"), as_bytes("words")).value();
            CHECK(sealed.size() == 5 + overhead_bytes);
            CHECK(sealed[0] == 0x10);
            auto const opened = to.open(step, as_bytes("shape"), sealed);
            REQUIRE(opened.has_value());
            CHECK(base::as_text(opened->bytes()) == "words");
            CHECK(base::code_of(from.seal(step, {}, {})) == Code::conflict);
        }
    }
}

TEST_CASE("S7: a step that was opened is not opened again") {
    Scene const scene;
    auto from = scene.asker(), to = scene.at_stage();
    auto const first = from.seal(1, {}, as_bytes("one")).value();
    auto const second = from.seal(2, {}, as_bytes("two")).value();
    CHECK(to.open(2, {}, second).has_value());
    CHECK(base::code_of(to.open(2, {}, second)) == Code::conflict);
    CHECK(base::code_of(to.open(1, {}, first)) == Code::conflict);
}

TEST_CASE("S7: nothing opens for another request, machine, asker, step, direction or shape") {
    Scene const scene;
    auto from = scene.asker();
    auto const sealed = from.seal(3, as_bytes("shape"), as_bytes("words")).value();
    auto const refused = [&](Channel channel, std::uint32_t step, std::string_view bound) {
        return base::code_of(channel.open(step, as_bytes(bound), sealed)) == Code::unauthorized;
    };
    CHECK(refused(scene.at_stage(), 4, "shape"));
    CHECK(refused(scene.at_stage(), 3, "other"));
    CHECK(refused(scene.at_stage(Direction::answer), 3, "shape"));
    Scene other;
    other.subject.request = {{9}};
    CHECK(refused(other.at_stage(), 3, "shape"));
    other = Scene{};
    other.subject.stage = {{{9}}};
    CHECK(refused(other.at_stage(), 3, "shape"));
    other = Scene{};
    other.subject.asker = {{{9}}};
    CHECK(refused(other.at_stage(), 3, "shape"));
    other = Scene{};
    other.stage = key(9);  // another machine on the route
    CHECK(refused(other.at_stage(), 3, "shape"));
    other = Scene{};
    other.request = key(9);
    CHECK(refused(other.at_stage(), 3, "shape"));
    for (std::size_t i = 1; i < sealed.size(); ++i) {
        auto forged = sealed;
        forged[i] ^= 1;
        auto to = scene.at_stage();
        CHECK_FALSE(to.open(3, as_bytes("shape"), forged).has_value());
        CHECK(to.open(3, as_bytes("shape"), sealed).has_value());  // a forgery uses up nothing
    }
}

TEST_CASE("S8: content under the plaintext tag or an unknown one, or too short, is refused") {
    Scene const scene;
    auto from = scene.asker();
    auto sealed = from.seal(0, {}, as_bytes("words")).value();
    for (unsigned tag = 0; tag < 256; ++tag) {
        if (tag == 0x10) continue;
        sealed[0] = static_cast<std::uint8_t>(tag);
        CHECK(base::code_of(scene.at_stage().open(0, {}, sealed)) == Code::invalid);
    }
    for (std::size_t size = 0; size < overhead_bytes; ++size)
        CHECK(base::code_of(scene.at_stage().open(0, {}, base::ByteView(sealed).first(size))) ==
              Code::invalid);
}

TEST_CASE("a request key or a static key of small order is refused") {
    Scene const scene;
    CHECK(base::code_of(Channel::at_stage(scene.stage, {}, scene.subject, Direction::prompt)) ==
          Code::unauthorized);
    CHECK(base::code_of(Channel::at_asker(scene.request, {}, scene.subject, Direction::prompt)) ==
          Code::unauthorized);
}
