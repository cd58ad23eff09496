// wire/fields.h: walks over the fields of a serialised protobuf message without building it, so
// that what repeats can be counted before memory is asked for: two bytes of an empty entry become
// fifty or more in the parsed message.
#pragma once

#include <optional>

#include "base/bytes.h"
#include "base/result.h"

namespace kith::wire {

// One field with a length: bytes, string, message or packed numbers. Single numbers are passed
// over: they hold nothing that repeats into memory, unless a field of numbers is left unpacked, and
// then the parsed message is no more than four times as large.
struct Field {
    int number = 0;
    base::ByteView bytes;
};

class FieldReader {
public:
    // Borrows the bytes; fields live as long as they do.
    explicit FieldReader(base::ByteView message) : rest_(message) {}

    // nullopt: the message is at its end. Code::invalid: malformed, or a group (nobody sends them);
    // do not call again.
    base::Result<std::optional<Field>> next();

private:
    base::ByteView rest_;
};

}  // namespace kith::wire
