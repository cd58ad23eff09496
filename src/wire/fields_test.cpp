#include "wire/fields.h"

#include <doctest/doctest.h>

#include <vector>

#include "base/code_of.h"

using namespace kith;
using base::Bytes;
using base::Code;
using wire::FieldReader;

namespace {

std::vector<std::pair<int, Bytes>> fields_of(Bytes const& message) {
    std::vector<std::pair<int, Bytes>> found;
    FieldReader reader(message);
    while (auto const field = reader.next().value())
        found.emplace_back(field->number, base::to_bytes(field->bytes));
    return found;
}

Code end_of(Bytes const& message) {
    FieldReader reader(message);
    for (;;) {
        auto const field = reader.next();
        if (!field) return field.error().code;
        REQUIRE(field->has_value());
    }
}

}  // namespace

TEST_CASE("fields with a length are found in order, numbers are passed over") {
    CHECK(fields_of({}).empty());
    // 1: "ab", 2: varint 300, 1: "", 3: fixed64, 4: fixed32, 16: "c"
    Bytes const message{0x0a, 2, 'a', 'b', 0x10, 0xac, 0x02, 0x0a, 0, 0x19, 1,    2, 3,  4,
                        5,    6, 7,   8,   0x25, 1,    2,    3,    4, 0x82, 0x01, 1, 'c'};
    using Fields = std::vector<std::pair<int, Bytes>>;
    CHECK(fields_of(message) == Fields{{1, {'a', 'b'}}, {1, {}}, {16, {'c'}}});
}

TEST_CASE(
    "numbers as protobuf writes them, ten bytes long and more than minimal, are passed over") {
    Bytes negative{0x08};
    negative.insert(negative.end(), 9, 0xff);
    negative.push_back(0x01);
    CHECK(fields_of(negative).empty());
    CHECK(fields_of({0x0a, 0x81, 0x00, 'x'}).size() == 1);  // the length 1 in two bytes
}

TEST_CASE("what is cut short, a group, and a tag of field 0 end the walk") {
    CHECK(end_of({0x0a}) == Code::invalid);
    CHECK(end_of({0x0a, 3, 'a', 'b'}) == Code::invalid);
    CHECK(end_of({0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f}) == Code::invalid);
    CHECK(end_of({0x08}) == Code::invalid);
    CHECK(end_of({0x19, 1, 2}) == Code::invalid);
    CHECK(end_of({0x0b, 0x0c}) == Code::invalid);
    CHECK(end_of({0x0c}) == Code::invalid);
    CHECK(end_of({0x02, 0}) == Code::invalid);
    CHECK(end_of({0x80}) == Code::invalid);
}
