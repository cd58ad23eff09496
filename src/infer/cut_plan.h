// infer/cut_plan.h: how the shards of a model come out of its file, in two halves: who reads the
// file says what has to be written (plan_cut, which may be confined), and who writes copies the
// parts named without understanding any of them (carry_out).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "infer/regular_file.h"
#include "infer/shard.h"

namespace kith::infer {

// Where to cut; whatever it says, both ends can be shards of their own (default_shard_plan).
struct CutRule {
    std::string cuts = {};  // as parse_cuts takes them; empty: ends apart, the middle in parts
    std::size_t parts = 1;
    std::size_t layers_per_part = 0;  // not 0: as many parts as that takes, instead of `parts`
};

// The next bytes of a shard: some that are here, then some of the model's file.
struct CutPiece {
    base::Bytes bytes;
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
};

struct CutPlan {
    Manifest manifest;                          // without the sizes and hashes of the shards
    std::vector<std::vector<CutPiece>> shards;  // as manifest.shards
};

// Reads nothing of `file` but its head and the divisors of rotary embeddings. Code::invalid when it
// is a shard already or the cuts do not suit it; errors of Model::load_views when it would not run.
base::Result<CutPlan> plan_cut(base::ByteView file, CutRule const& rule);

// Writes shard_000.gguf ... and manifest.json into `folder`, which must exist; each file is written
// under another name and renamed when complete. Existing files of the same names are replaced.
// A plan from a confined process may say anything: Code::corrupt, before anything is written, when
// it is of no possible model or wants bytes that the file has not. Code::io also when the file
// becomes shorter meanwhile.
base::Result<Manifest> carry_out(CutPlan const& plan, RegularFile const& file,
                                 std::string const& folder, Progress const& progress);

}  // namespace kith::infer
