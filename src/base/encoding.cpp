#include "base/encoding.h"

#include "base/check.h"

namespace kith::base {
namespace {

constexpr std::string_view hex_digits = "0123456789abcdef";
constexpr std::string_view base58_digits =
    "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
constexpr std::string_view base64url_digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

}  // namespace

std::string to_hex(ByteView bytes) {
    std::string out;
    out.reserve(bytes.size() * 2);
    for (auto const byte : bytes) {
        out.push_back(hex_digits[byte >> 4]);
        out.push_back(hex_digits[byte & 15]);
    }
    return out;
}

Result<Bytes> from_hex(std::string_view text) {
    if (text.size() % 2 != 0) return fail(Code::invalid, "hex text has an odd number of digits");
    Bytes out;
    out.reserve(text.size() / 2);
    for (std::size_t i = 0; i < text.size(); i += 2) {
        int const high = hex_value(text[i]);
        int const low = hex_value(text[i + 1]);
        if (high < 0 || low < 0)
            return fail(Code::invalid, "hex text has a character that is no hex digit");
        out.push_back(static_cast<std::uint8_t>(high * 16 + low));
    }
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
            out.push_back(base64url_digits[(bits >> bits_count) & 63]);
        }
    }
    if (bits_count > 0) out.push_back(base64url_digits[(bits << (6 - bits_count)) & 63]);
    return out;
}

Result<Bytes> from_base64url(std::string_view text) {
    Bytes out;
    std::uint32_t bits = 0;
    int bits_count = 0;
    for (char const c : text) {
        auto const value = base64url_digits.find(c);
        if (value == std::string_view::npos)
            return fail(Code::invalid, "base64url text has a character outside its alphabet");
        bits = (bits << 6) | static_cast<std::uint32_t>(value);
        bits_count += 6;
        if (bits_count >= 8) {
            bits_count -= 8;
            out.push_back(static_cast<std::uint8_t>(bits >> bits_count));
            bits &= (1U << bits_count) - 1;
        }
    }
    if (bits_count >= 6 || bits != 0)
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
