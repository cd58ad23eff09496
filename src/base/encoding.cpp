#include "base/encoding.h"

#include "base/check.h"
#include "base/declassify.h"

namespace kith::base {
namespace {

constexpr std::string_view base58_digits =
    "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

// Hex and base64url carry secrets (API keys, invite tokens), so they are computed without a table
// or a branch that depends on a digit. All ones when low <= c <= high, else zero:
constexpr int in_range(int c, int low, int high) {
    return ((low - 1 - c) & (c - high - 1)) >> 8;
}
// All ones when value > limit.
constexpr int above(int value, int limit) {
    return (limit - value) >> 8;
}

constexpr char hex_digit(int value) {
    return static_cast<char>('0' + value + (above(value, 9) & ('a' - '0' - 10)));
}

// Negative when c is no digit.
constexpr int hex_value(int c) {
    return -1 + (in_range(c, '0', '9') & (c - '0' + 1)) + (in_range(c, 'a', 'f') & (c - 'a' + 11)) +
           (in_range(c, 'A', 'F') & (c - 'A' + 11));
}

constexpr char base64url_digit(int value) {
    return static_cast<char>('A' + value + (above(value, 25) & ('a' - 'A' - 26)) +
                             (above(value, 51) & ('0' - 'a' - 26)) +
                             (above(value, 61) & ('-' - '0' - 10)) +
                             (above(value, 62) & ('_' - '-' - 1)));
}

constexpr int base64url_value(int c) {
    return -1 + (in_range(c, 'A', 'Z') & (c - 'A' + 1)) + (in_range(c, 'a', 'z') & (c - 'a' + 27)) +
           (in_range(c, '0', '9') & (c - '0' + 53)) + (in_range(c, '-', '-') & 63) +
           (in_range(c, '_', '_') & 64);
}

consteval bool digits_are_right() {
    constexpr std::string_view hex = "0123456789abcdef";
    constexpr std::string_view base64 =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (int i = 0; i < 64; ++i)
        if (base64url_digit(i) != base64[static_cast<std::size_t>(i)]) return false;
    for (int i = 0; i < 16; ++i)
        if (hex_digit(i) != hex[static_cast<std::size_t>(i)]) return false;
    for (int c = 0; c < 256; ++c) {
        auto const lower = c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c;
        auto const in_hex = hex.find(static_cast<char>(lower));
        auto const in_base64 = base64.find(static_cast<char>(c));
        if (hex_value(c) != (in_hex == hex.npos ? -1 : static_cast<int>(in_hex))) return false;
        if (base64url_value(c) != (in_base64 == base64.npos ? -1 : static_cast<int>(in_base64)))
            return false;
    }
    return true;
}
static_assert(digits_are_right());

int code_of(char c) {
    return static_cast<unsigned char>(c);
}

}  // namespace

std::string to_hex(ByteView bytes) {
    std::string out;
    out.reserve(bytes.size() * 2);
    for (auto const byte : bytes) {
        out.push_back(hex_digit(byte >> 4));
        out.push_back(hex_digit(byte & 15));
    }
    return out;
}

Result<Bytes> from_hex(std::string_view text) {
    if (text.size() % 2 != 0) return fail(Code::invalid, "hex text has an odd number of digits");
    Bytes out;
    out.reserve(text.size() / 2);
    int all = 0;  // negative once a digit was
    for (std::size_t i = 0; i < text.size(); i += 2) {
        int const high = hex_value(code_of(text[i]));
        int const low = hex_value(code_of(text[i + 1]));
        all |= high | low;
        out.push_back(static_cast<std::uint8_t>((high & 15) << 4 | (low & 15)));
    }
    // Whether a text is well-formed is told to whoever gave it.
    if (declassified(all < 0))
        return fail(Code::invalid, "hex text has a character that is no hex digit");
    return out;
}

std::string to_base64url(ByteView bytes) {
    std::string out;
    std::uint32_t bits = 0;
    int bits_count = 0;
    for (auto const byte : bytes) {
        bits = (bits << 8) | byte;
        bits_count += 8;
        while (bits_count >= 6) {
            bits_count -= 6;
            out.push_back(base64url_digit(static_cast<int>((bits >> bits_count) & 63)));
        }
    }
    if (bits_count > 0)
        out.push_back(base64url_digit(static_cast<int>((bits << (6 - bits_count)) & 63)));
    return out;
}

Result<Bytes> from_base64url(std::string_view text) {
    Bytes out;
    std::uint32_t bits = 0;
    int bits_count = 0;
    int all = 0;  // negative once a digit was
    for (char const c : text) {
        auto const value = base64url_value(code_of(c));
        all |= value;
        bits = (bits << 6) | static_cast<std::uint32_t>(value & 63);
        bits_count += 6;
        if (bits_count >= 8) {
            bits_count -= 8;
            out.push_back(static_cast<std::uint8_t>(bits >> bits_count));
            bits &= (1U << bits_count) - 1;
        }
    }
    // Whether a text is well-formed is told to whoever gave it.
    if (declassified(all < 0))
        return fail(Code::invalid, "base64url text has a character outside its alphabet");
    if (bits_count >= 6 || declassified(bits != 0))
        return fail(Code::invalid, "base64url text ends in stray bits");
    return out;
}

std::string to_base58(ByteView bytes) {
    KITH_ASSERT(bytes.size() <= base58_bytes_max);
    std::string digits;  // little-endian base58 digit values
    for (auto const byte : bytes) {
        unsigned carry = byte;
        for (char& digit : digits) {
            carry += static_cast<unsigned>(static_cast<std::uint8_t>(digit)) << 8;
            digit = static_cast<char>(carry % 58);
            carry /= 58;
        }
        for (; carry > 0; carry /= 58) digits.push_back(static_cast<char>(carry % 58));
    }
    std::string out;
    for (std::size_t i = 0; i < bytes.size() && bytes[i] == 0; ++i) out.push_back('1');
    for (auto it = digits.rbegin(); it != digits.rend(); ++it)
        out.push_back(base58_digits[static_cast<std::uint8_t>(*it)]);
    return out;
}

Result<Bytes> from_base58(std::string_view text) {
    if (text.size() > base58_chars_max) return fail(Code::too_large, "base58 text is too long");
    Bytes bytes;  // little-endian
    for (char const c : text) {
        auto const value = base58_digits.find(c);
        if (value == std::string_view::npos)
            return fail(Code::invalid, "base58 text has a character outside its alphabet");
        auto carry = static_cast<unsigned>(value);
        for (auto& byte : bytes) {
            carry += byte * 58U;
            byte = static_cast<std::uint8_t>(carry);
            carry >>= 8;
        }
        for (; carry > 0; carry >>= 8) bytes.push_back(static_cast<std::uint8_t>(carry));
    }
    Bytes out;
    for (std::size_t i = 0; i < text.size() && text[i] == '1'; ++i) out.push_back(0);
    out.insert(out.end(), bytes.rbegin(), bytes.rend());
    return out;
}

}  // namespace kith::base
