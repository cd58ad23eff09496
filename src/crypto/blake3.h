// crypto/blake3.h: BLAKE3 (the BLAKE3 paper, 2020-01-09, sections 2 and 5): hash, keyed hash, key
// derivation, any output length. Model files and shards are named by it. Eight chunks at once with
// AVX2, sixteen with AVX-512, where the processor has it.
#pragma once

#include <array>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "crypto/secret.h"

namespace kith::crypto {

inline constexpr std::size_t blake3_bytes = 32;
inline constexpr std::size_t blake3_chunk_bytes = 1024;
inline constexpr std::size_t blake3_depth_max = 54;  // chaining values of 2^64 bytes of input

using Blake3Digest = base::ByteArray<blake3_bytes>;

// Which inner loop is used; `detected` asks the processor once per object. The others are for tests
// and benchmarks; one that the processor lacks becomes the next best.
enum class Blake3Kernel { detected, portable, avx2, avx512 };
inline constexpr std::array blake3_kernels = {Blake3Kernel::detected, Blake3Kernel::portable,
                                              Blake3Kernel::avx2, Blake3Kernel::avx512};

class Blake3 {
public:
    explicit Blake3(Blake3Kernel kernel = Blake3Kernel::detected);
    static Blake3 keyed(Secret<32> const& key, Blake3Kernel kernel = Blake3Kernel::detected);
    // `context` is a constant of our code, globally unique ("kith 2026-11 what it is for"), never
    // input.
    static Blake3 derive_key(std::string_view context,
                             Blake3Kernel kernel = Blake3Kernel::detected);

    ~Blake3();
    Blake3(Blake3 const&) = default;
    Blake3& operator=(Blake3 const&) = default;

    // Fastest with pieces of 8 KiB or more.
    Blake3& update(base::ByteView bytes);
    // May be called repeatedly and followed by more updates: it describes everything so far.
    [[nodiscard]] Blake3Digest finish() const;
    void finish(base::MutableByteView out) const;  // any length

private:
    using Words = std::array<std::uint32_t, 8>;
    struct Chunk {
        Words value;
        std::array<std::uint8_t, 64> block{};
        std::size_t block_size = 0;
        std::size_t blocks_done = 0;
    };
    Blake3(Words const& key, std::uint32_t flags, Blake3Kernel kernel);

    [[nodiscard]] std::size_t chunk_size() const {
        return chunk_.blocks_done * 64 + chunk_.block_size;
    }
    base::ByteView fill_chunk(base::ByteView bytes);
    base::ByteView whole_chunks(base::ByteView bytes);
    void push_subtree(Words const& value, std::uint64_t chunks);
    void start_chunk();

    Words key_;
    std::uint32_t flags_;
    Blake3Kernel kernel_;  // never `detected`
    Chunk chunk_;
    std::uint64_t chunks_done_ = 0;
    std::array<Words, blake3_depth_max + 1> stack_;  // one subtree per set bit of chunks_done_
    std::size_t stack_size_ = 0;
};

Blake3Digest blake3(base::ByteView bytes);

}  // namespace kith::crypto
