// crypto/secret.h: bytes that must not be copied by accident, compared, printed or left behind.
//
// No copy, no ==, no <<. Moving wipes the source, destruction wipes the rest. A second copy is made
// only by clone(), so that every duplication can be found by searching for that word.
#pragma once

#include <span>
#include <utility>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/constant_time.h"

namespace kith::crypto {

template <std::size_t N>
class Secret {
public:
    static constexpr std::size_t size = N;

    Secret() = default;  // zeros: a place to write a secret into, not a secret
    explicit Secret(std::span<std::uint8_t const, N> bytes) {
        std::copy(bytes.begin(), bytes.end(), bytes_.begin());
    }
    // Code::invalid unless `bytes` has exactly N bytes.
    static base::Result<Secret> from(base::ByteView bytes) {
        if (bytes.size() != N)
            return base::fail(base::Code::invalid, "a secret has the wrong length");
        return Secret(bytes.template first<N>());
    }

    ~Secret() { wipe(bytes_); }
    Secret(Secret&& other) noexcept : bytes_(other.bytes_) { wipe(other.bytes_); }
    Secret& operator=(Secret&& other) noexcept {
        if (this != &other) {
            bytes_ = other.bytes_;
            wipe(other.bytes_);
        }
        return *this;
    }
    Secret(Secret const&) = delete;
    Secret& operator=(Secret const&) = delete;
    bool operator==(Secret const&) const = delete;  // constant_time_equal on the views

    [[nodiscard]] Secret clone() const { return Secret(view()); }

    // Both views live as long as this object stays where it is.
    [[nodiscard]] std::span<std::uint8_t const, N> view() const { return bytes_; }
    [[nodiscard]] std::span<std::uint8_t, N> mutable_view() { return bytes_; }

private:
    base::ByteArray<N> bytes_{};
};

// The same for a length known at run time only. The length itself is not secret.
class SecretBytes {
public:
    SecretBytes() = default;
    explicit SecretBytes(std::size_t size) : bytes_(size) {}  // zeros
    explicit SecretBytes(base::ByteView bytes) : bytes_(bytes.begin(), bytes.end()) {}
    // Takes over the storage, so that no unwiped copy stays behind.
    explicit SecretBytes(base::Bytes&& bytes) : bytes_(std::move(bytes)) {}

    ~SecretBytes() { wipe(bytes_); }
    SecretBytes(SecretBytes&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
    SecretBytes& operator=(SecretBytes&& other) noexcept {
        if (this != &other) {
            wipe(bytes_);
            bytes_ = std::exchange(other.bytes_, {});
        }
        return *this;
    }
    SecretBytes(SecretBytes const&) = delete;
    SecretBytes& operator=(SecretBytes const&) = delete;
    bool operator==(SecretBytes const&) const = delete;

    [[nodiscard]] SecretBytes clone() const { return SecretBytes(view()); }
    [[nodiscard]] base::ByteView view() const { return bytes_; }
    [[nodiscard]] base::MutableByteView mutable_view() { return bytes_; }
    [[nodiscard]] std::size_t size() const { return bytes_.size(); }

private:
    base::Bytes bytes_;
};

}  // namespace kith::crypto
