// proto/noise/pattern.h: handshake patterns as data (Noise Protocol Framework revision 34, sections
// 7 and 9).
//
// A pattern is a table of tokens; HandshakeState interprets it. New patterns and modifiers are
// rows, not code.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace kith::proto::noise {

inline constexpr std::size_t messages_max = 3;  // of every pattern in the table
inline constexpr std::size_t tokens_per_message_max = 8;
inline constexpr std::size_t psk_modifiers_max = 2;

// e1 and ekem1: hybrid forward secrecy, a KEM key and a ciphertext for it (noise_hfs_spec).
enum class Token { e, s, ee, es, se, ss, psk, e1, ekem1 };

class MessagePattern {
public:
    [[nodiscard]] std::span<Token const> tokens() const { return {tokens_.data(), count_}; }
    void insert(std::size_t position,
                Token token);  // asserts room, and position <= tokens().size()

private:
    std::array<Token, tokens_per_message_max> tokens_{};
    std::size_t count_ = 0;
};

struct Pattern {
    std::string name;                     // "IKpsk2", as it stands in the protocol name
    bool initiator_static_known = false;  // pre-message "-> s"
    bool responder_static_known = false;  // pre-message "<- s"
    std::array<MessagePattern, messages_max> messages;  // alternating, the initiator first
    std::size_t messages_count = 0;
    bool one_way = false;  // N, K, X: only the initiator may send after Split (section 7.4)

    [[nodiscard]] bool uses(Token token) const;
};

// "XX", "IK", "KK", "NN", "NK", "KN", "NX", "XN", "XK", "KX", "IN", "IX", "N", "K", "X", each with
// at most two of the modifiers psk0..psk3 ("IKpsk2", "XXpsk0+psk3"), after hfs if that is there as
// well ("IKhfs+psk2"). hfs puts e1 behind the first e, or behind the es that follows it, and ekem1
// behind the first ee; a pattern without ee (N, K, X) cannot have it. Code::unsupported for
// everything else.
base::Result<Pattern> find_pattern(std::string_view name);

}  // namespace kith::proto::noise
