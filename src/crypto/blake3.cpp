#include "crypto/blake3.h"

#include <bit>
#include <cstring>

#include "base/check.h"
#include "crypto/blake3/kernels.h"
#include "crypto/constant_time.h"

namespace kith::crypto {

using namespace blake3_detail;

namespace {

// Whole subtrees of up to this many chunks go to the kernels with many lanes, parents included:
// then only 7 of 256 * 16 + 255 compressions are left to the one-lane code.
constexpr std::size_t batch_chunks = 256;
constexpr std::size_t lanes = 8;
constexpr std::size_t lanes_avx512 = 16;

// `kernel`, or the best one below it that the processor has.
Blake3Kernel usable(Blake3Kernel kernel) {
    bool const any = kernel == Blake3Kernel::detected;
    if ((any || kernel == Blake3Kernel::avx512) && has_avx512()) return Blake3Kernel::avx512;
    if (kernel != Blake3Kernel::portable && has_avx2()) return Blake3Kernel::avx2;
    return Blake3Kernel::portable;
}

// Hashes `count` inputs, a multiple of `lanes`.
void hash_inputs(Blake3Kernel kernel, LaneInputs inputs, std::size_t count, Words const& key,
                 Words* out) {
    for (std::size_t step = 0; count > 0; count -= step, out += step) {
        if (kernel == Blake3Kernel::avx512 && count >= lanes_avx512) {
            step = lanes_avx512;
            hash_sixteen_avx512(inputs, key, out);
        } else {
            step = lanes;
            // A processor with AVX-512 has AVX2.
            auto const hash_eight =
                kernel == Blake3Kernel::portable ? hash_eight_portable : hash_eight_avx2;
            hash_eight(inputs, key, out);
        }
        inputs.in += step * inputs.stride;
        inputs.counter += step * inputs.counter_step;
    }
}

Words words_of(base::ByteView bytes) {
    Words out;
    for (std::size_t i = 0; i < out.size(); ++i)
        out[i] = base::load_le<std::uint32_t>(bytes.subspan(4 * i, 4));
    return out;
}

Words first_half(Block const& full) {
    Words out;
    std::copy_n(full.begin(), out.size(), out.begin());
    return out;
}

Block parent_block(Words const& left, Words const& right) {
    Block out;
    std::ranges::copy(left, out.begin());
    std::ranges::copy(right, out.begin() + 8);
    return out;
}

// Replaces 2 n chaining values, n a power of two, by those of their n parents.
void join_level(Words* values, std::size_t parents, Words const& key, std::uint32_t flags,
                Blake3Kernel kernel) {
    if (parents >= lanes) {
        std::array<Words, batch_chunks / 2> out;
        KITH_ASSERT(parents <= out.size() && parents % lanes == 0);
        hash_inputs(kernel,
                    {.in = reinterpret_cast<std::uint8_t const*>(values),
                     .stride = 64,
                     .blocks = 1,
                     .counter = 0,
                     .counter_step = 0,
                     .flags = flags | flag_parent,
                     .flags_first = 0,
                     .flags_last = 0},
                    parents, key, out.data());
        std::copy_n(out.begin(), parents, values);
        return;
    }
    for (std::size_t i = 0; i < parents; ++i)
        values[i] = first_half(compress(key, parent_block(values[2 * i], values[2 * i + 1]),
                                        {.flags = flags | flag_parent}));
}

}  // namespace

Blake3::Blake3(Words const& key, std::uint32_t flags, Blake3Kernel kernel)
    : key_(key), flags_(flags), kernel_(usable(kernel)) {
    start_chunk();
}

Blake3::Blake3(Blake3Kernel kernel) : Blake3(initial_value, 0, kernel) {}

Blake3 Blake3::keyed(Secret<32> const& key, Blake3Kernel kernel) {
    return Blake3(words_of(key.view()), flag_keyed, kernel);
}

Blake3 Blake3::derive_key(std::string_view context, Blake3Kernel kernel) {
    Blake3 hasher(initial_value, flag_derive_context, kernel);
    return Blake3(words_of(hasher.update(base::as_bytes(context)).finish()), flag_derive_material,
                  kernel);
}

Blake3::~Blake3() {
    wipe({reinterpret_cast<std::uint8_t*>(key_.data()), sizeof key_});
    wipe({reinterpret_cast<std::uint8_t*>(chunk_.value.data()), sizeof chunk_.value});
    wipe(chunk_.block);
}

void Blake3::start_chunk() {
    chunk_.value = key_;
    chunk_.block_size = 0;
    chunk_.blocks_done = 0;
}

// Invariant after every update of at least one byte: the current chunk holds at least one byte.
// What has been pushed to the stack is therefore never the root, and may be joined at once.
Blake3& Blake3::update(base::ByteView bytes) {
    while (!bytes.empty()) {
        if (chunk_size() == 0) bytes = whole_chunks(bytes);
        if (chunk_size() == blake3_chunk_bytes) {
            Block block;
            std::memcpy(block.data(), chunk_.block.data(), 64);
            auto const last = first_half(compress(
                chunk_.value, block, {.counter = chunks_done_, .flags = flags_ | flag_chunk_end}));
            push_subtree(last, 1);
            start_chunk();
            continue;
        }
        bytes = fill_chunk(bytes);
    }
    return *this;
}

// Takes as many bytes as fit into the current chunk; its last block is kept back, full or not.
base::ByteView Blake3::fill_chunk(base::ByteView bytes) {
    while (!bytes.empty()) {
        if (chunk_.block_size == 64) {
            if (chunk_.blocks_done == 15) return bytes;
            Block block;
            std::memcpy(block.data(), chunk_.block.data(), 64);
            auto const start = chunk_.blocks_done == 0 ? flag_chunk_start : 0U;
            chunk_.value = first_half(
                compress(chunk_.value, block, {.counter = chunks_done_, .flags = flags_ | start}));
            ++chunk_.blocks_done;
            chunk_.block_size = 0;
        }
        auto const size = std::min(bytes.size(), 64 - chunk_.block_size);
        std::memcpy(chunk_.block.data() + chunk_.block_size, bytes.data(), size);
        chunk_.block_size += size;
        bytes = bytes.subspan(size);
    }
    return bytes;
}

// Hashes aligned subtrees of chunks straight from the input, each as large as it can be, as long as
// at least one byte stays behind.
base::ByteView Blake3::whole_chunks(base::ByteView bytes) {
    while (bytes.size() > lanes * blake3_chunk_bytes && chunks_done_ % lanes == 0) {
        auto chunks =
            std::bit_floor(std::min(batch_chunks, (bytes.size() - 1) / blake3_chunk_bytes));
        // A power of two; `%` would be a division, which tests/constant_time forbids here.
        while ((chunks_done_ & (chunks - 1)) != 0) chunks /= 2;
        std::array<Words, batch_chunks> values;
        hash_inputs(kernel_,
                    {.in = bytes.data(),
                     .stride = blake3_chunk_bytes,
                     .blocks = blake3_chunk_bytes / 64,
                     .counter = chunks_done_,
                     .counter_step = 1,
                     .flags = flags_,
                     .flags_first = flag_chunk_start,
                     .flags_last = flag_chunk_end},
                    chunks, key_, values.data());
        for (std::size_t parents = chunks / 2; parents > 0; parents /= 2)
            join_level(values.data(), parents, key_, flags_, kernel_);
        push_subtree(values[0], chunks);
        bytes = bytes.subspan(chunks * blake3_chunk_bytes);
    }
    return bytes;
}

// `chunks` is a power of two and divides chunks_done_: the new subtree joins equal ones like a
// binary counter.
void Blake3::push_subtree(Words const& value, std::uint64_t chunks) {
    chunks_done_ += chunks;
    Words joined = value;
    for (auto count = chunks_done_ >> std::countr_zero(chunks); count % 2 == 0; count /= 2) {
        KITH_ASSERT(stack_size_ > 0);
        joined = first_half(compress(key_, parent_block(stack_[--stack_size_], joined),
                                     {.flags = flags_ | flag_parent}));
    }
    KITH_ASSERT(stack_size_ < stack_.size());
    stack_[stack_size_++] = joined;
}

Blake3Digest Blake3::finish() const {
    Blake3Digest out;
    finish(out);
    return out;
}

// The last chunk, then the stack from the top: each is the right child of the next. The root is
// compressed once per 64 bytes of output, with the number of the output block as its counter.
void Blake3::finish(base::MutableByteView out) const {
    Block block{};
    std::memcpy(block.data(), chunk_.block.data(), chunk_.block_size);
    Words value = chunk_.value;
    BlockInfo info{
        .counter = chunks_done_,
        .size = static_cast<std::uint32_t>(chunk_.block_size),
        .flags = flags_ | flag_chunk_end | (chunk_.blocks_done == 0 ? flag_chunk_start : 0)};
    for (auto left = stack_size_; left-- > 0;) {
        block = parent_block(stack_[left], first_half(compress(value, block, info)));
        value = key_;
        info = {.counter = 0, .flags = flags_ | flag_parent};
    }
    info.flags |= flag_root;
    info.counter = 0;
    for (std::size_t done = 0; done < out.size(); ++info.counter) {
        auto const full = compress(value, block, info);
        auto const size = std::min<std::size_t>(64, out.size() - done);
        std::memcpy(out.data() + done, full.data(), size);
        done += size;
    }
}

Blake3Digest blake3(base::ByteView bytes) {
    return Blake3().update(bytes).finish();
}

}  // namespace kith::crypto
