// Noise transcripts in cacophony's format: both sides are played, every message is compared, the
// handshake hash and the transport messages included.
#include <memory>

#include "crypto/x25519.h"
#include "proto/noise/handshake.h"
#include "runner.h"

namespace kith::vectors {

using namespace proto::noise;

namespace {

struct Protocol {
    Pattern pattern;
    Cipher cipher = Cipher::chacha_poly;
};

// "Noise_XXpsk3_25519_AESGCM_SHA256"; the error says what kith lacks.
base::Result<Protocol> protocol_of(std::string_view name) {
    auto const unsupported = [](char const* what) {
        return base::fail(base::Code::unsupported, what);
    };
    std::vector<std::string_view> parts;
    for (std::size_t start = 0; start <= name.size();) {
        auto const end = std::min(name.find('_', start), name.size());
        parts.push_back(name.substr(start, end - start));
        start = end + 1;
    }
    if (parts.size() != 5 || parts[0] != "Noise") return unsupported("not a protocol name");
    if (parts[2] != "25519") return unsupported("Diffie-Hellman other than 25519");
    if (parts[4] != "SHA256") return unsupported("hash other than SHA256");
    if (parts[3] != "ChaChaPoly" && parts[3] != "AESGCM") return unsupported("another cipher");
    auto pattern = find_pattern(parts[1]);
    if (!pattern) return unsupported("a pattern that kith does not have");
    return Protocol{*std::move(pattern),
                    parts[3] == "AESGCM" ? Cipher::aes_gcm : Cipher::chacha_poly};
}

class Transcript {
public:
    Transcript(Value const& vector, Protocol const& protocol)
        : vector_(vector), pattern_(protocol.pattern), cipher_(protocol.cipher) {}

    Verdict run() {
        auto initiator = side(Role::initiator);
        auto responder = side(Role::responder);
        auto const& messages = vector_.at("messages").as_array();
        if (messages.size() < pattern_.messages_count) return failed("too few messages");
        std::size_t index = 0;
        for (; index < pattern_.messages_count; ++index) {
            auto& writer = index % 2 == 0 ? initiator : responder;
            auto& reader = index % 2 == 0 ? responder : initiator;
            base::Bytes message, payload;
            if (!writer.write_message(hex(messages[index], "payload"), message) ||
                message != hex(messages[index], "ciphertext"))
                return failed("message " + std::to_string(index) + " is written otherwise");
            if (!reader.read_message(message, payload) ||
                payload != hex(messages[index], "payload"))
                return failed("message " + std::to_string(index) + " is read otherwise");
        }
        if (!initiator.is_finished() || !responder.is_finished()) return failed("not finished");
        return transport(initiator.split(), responder.split(), index);
    }

private:
    Verdict transport(Channel first, Channel second, std::size_t index) {
        if (first.handshake_hash != second.handshake_hash) return failed("two handshake hashes");
        if (has(vector_, "handshake_hash") &&
            !base::equal(first.handshake_hash, hex(vector_, "handshake_hash")))
            return failed("another handshake hash");
        auto const& messages = vector_.at("messages").as_array();
        for (; index < messages.size(); ++index) {
            bool const by_initiator = pattern_.one_way || index % 2 == 0;
            auto& from = by_initiator ? first : second;
            auto& to = by_initiator ? second : first;
            auto const payload = hex(messages[index], "payload");
            base::Bytes message, opened;
            if (!from.send.seal({}, payload, message) ||
                message != hex(messages[index], "ciphertext"))
                return failed("message " + std::to_string(index) + " is sealed otherwise");
            if (!to.receive.open({}, message, opened) || opened != payload)
                return failed("message " + std::to_string(index) + " is opened otherwise");
        }
        return passed();
    }

    HandshakeState side(Role role) {
        std::string const own = role == Role::initiator ? "init_" : "resp_";
        std::string const other = role == Role::initiator ? "resp_" : "init_";
        auto const static_key = optional_key(own + "static");
        auto const ephemeral_key = optional_key(own + "ephemeral");
        HandshakeKeys keys;
        if (static_key) keys.static_key = &*static_key;
        if (ephemeral_key) keys.ephemeral_key = &*ephemeral_key;
        bool const knows_other = role == Role::initiator ? pattern_.responder_static_known
                                                         : pattern_.initiator_static_known;
        auto const remote = own + "remote_static";
        if (has(vector_, remote.c_str()))
            keys.remote_static = array<32>(vector_, remote.c_str());
        else if (knows_other)
            keys.remote_static = crypto::x25519_public_key(optional_key(other + "static").value());
        std::vector<PrivateKey> psks;
        auto const name = own + "psks";
        if (has(vector_, name.c_str()))
            for (auto const& psk : vector_.at(name).as_array())
                psks.push_back(PrivateKey::from(from_hex(psk.as_string())).value());
        if (psks.size() > keys.psks.size()) throw std::length_error("too many psks");
        for (std::size_t i = 0; i < psks.size(); ++i) keys.psks[i] = &psks[i];
        return {role, pattern_, cipher_, hex(vector_, (own + "prologue").c_str()), keys};
    }

    std::optional<PrivateKey> optional_key(std::string const& name) {
        if (!has(vector_, name.c_str())) return std::nullopt;
        return PrivateKey(array<32>(vector_, name.c_str()));
    }

    Value const& vector_;
    Pattern pattern_;
    Cipher cipher_;
};

Verdict run_transcript(std::string const& name, Value const& vector) {
    auto const protocol = protocol_of(name);
    if (!protocol) return skipped("Noise: " + protocol.error().message);
    for (char const* const flag : {"fallback", "fail"})
        if (has(vector, flag) && vector.at(flag).is_bool() && vector.at(flag).as_bool())
            return skipped("Noise: compound protocols and failing transcripts");
    return Transcript(vector, *protocol).run();
}

}  // namespace

bool run_noise(Value const& file, Report& report) {
    if (!file.is_object() || !has(file, "vectors") || !file.at("vectors").is_array()) return false;
    report.kind = "Noise";
    std::size_t place = 0;
    for (auto const& vector : file.at("vectors").as_array()) {
        auto const name = text(vector, has(vector, "protocol_name") ? "protocol_name" : "name");
        report.add("#" + std::to_string(place++) + " " + name,
                   guarded([&] { return run_transcript(name, vector); }));
    }
    return true;
}

}  // namespace kith::vectors
