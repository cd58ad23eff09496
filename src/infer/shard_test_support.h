// infer/shard_test_support.h: shards cut and loaded in one process, for tests. The product reads
// model files in confined processes (engine/).
#pragma once

#include "infer/cut_plan.h"
#include "infer/mapped_file.h"
#include "infer/model.h"

namespace kith::infer {

// Both halves of cut_plan.h.
inline base::Result<Manifest> cut_model(std::string const& model_path, std::string const& folder,
                                        CutRule const& rule, Progress const& progress = {}) {
    auto const file = KITH_TRY(open_regular(model_path));
    auto const bytes = KITH_TRY(MappedFile::map(file.file.get(), file.size));
    return carry_out(KITH_TRY(plan_cut(bytes.bytes(), rule)), file, folder, progress);
}

// verify_shard for each entry, and a model of the very same mappings: nothing is read twice by
// name.
inline base::Result<std::shared_ptr<Model const>> load_verified(
    std::string const& folder, std::vector<ShardEntry> const& entries) {
    std::vector<MappedFile> files;
    for (auto const& entry : entries) {
        auto const name = KITH_TRY(sanitize_path_component(entry.file));
        files.push_back(KITH_TRY(MappedFile::open(std::string(folder).append("/").append(name))));
        KITH_TRY(verify_shard(files.back().bytes(), entry));
    }
    return Model::load(std::move(files));
}

}  // namespace kith::infer
