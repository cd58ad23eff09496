// feature/ask/model_store.h: the models on this machine: one folder per model id with manifest.json
// and the shards that are held. Nothing is used that has not been hashed against the manifest first
// (S87).
//
// Used on the loop thread, except the functions marked "worker", which only touch what they are
// given.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "feature/ask/confined_stage.h"
#include "infer/chat_template.h"
#include "infer/shard.h"
#include "infer/token_grammar.h"
#include "infer/tokenizer.h"
#include "ports/pool.h"

namespace kith::ask {

inline constexpr std::size_t models_max = 256;

// A model with the shards that were held when it was loaded. Immutable but for `stage` and `trie`,
// which only the compute thread uses. Replaced as a whole when shards come or go; requests under
// way keep the old one.
struct LoadedModel {
    std::string id;
    infer::Manifest manifest;
    std::vector<std::uint32_t> shards;          // held, ascending
    std::unique_ptr<ConfinedStage> stage;       // nullptr when no shard is held; compute thread
    std::optional<infer::Tokenizer> tokenizer;  // with shard 0
    std::optional<infer::ChatTemplate> chat;    // with shard 0; nullopt: see chat_objection
    std::string chat_objection;
    std::unique_ptr<infer::TokenTrie> trie;  // worker thread only; made when it is needed first
    std::size_t token_bytes_max = 0;         // of its longest token; with the tokenizer
};
using LoadedModelPtr = std::shared_ptr<LoadedModel>;

struct LoadOptions {
    engine::WorkerProgram worker = {};
    engine::StageProcessOptions stage = {};
};
// Worker: hashes the shards that are present in `folder` and hands them to a worker process. A
// shard that fails its hash is renamed to *.corrupt, reported through `warnings` and not loaded.
base::Result<LoadedModelPtr> load_model(std::filesystem::path const& folder,
                                        LoadOptions const& options,
                                        std::vector<std::string>& warnings);

// Has the compute thread free the caches of sequences that nobody holds any more.
void sweep_later(ports::Pool& pool, LoadedModelPtr model);

// Worker: has `file` cut into shards, hashes them and puts them under their model id into `models`.
// The file is read by a confined process.
// Built in a folder beside and renamed when complete; takes the place of the same model if it is
// there already. `name` empty: the file's own.
base::Result<std::filesystem::path> cut_into(engine::WorkerProgram const& worker,
                                             std::filesystem::path const& models,
                                             std::filesystem::path const& file,
                                             std::string const& name, std::size_t layers_per_shard,
                                             infer::Progress const& progress);
// Worker: deletes a model's folder with all that is in it.
base::Status delete_folder(std::filesystem::path const& folder);

// Does somebody who says `wanted` mean this model? By its whole id, by a prefix of it of at least
// prefix_chars_min characters, or by name. What looks like a whole id is nothing else, so that no
// name stands in the way of one.
bool is_called(std::string const& id, std::string const& name, std::string const& wanted);
inline constexpr std::size_t prefix_chars_min = 6;

class ModelStore {
public:
    // Makes the directory (0700). Does not load; call load_model for each of folders().
    static base::Result<ModelStore> open(std::filesystem::path directory);

    [[nodiscard]] std::vector<std::filesystem::path> folders() const;
    [[nodiscard]] std::filesystem::path folder(std::string const& id) const {
        return directory_ / id;
    }
    [[nodiscard]] std::filesystem::path const& directory() const { return directory_; }

    void put(LoadedModelPtr model);
    void forget(std::string const& id) { models_.erase(id); }
    [[nodiscard]] LoadedModelPtr get(std::string const& id) const;
    // By id, unique prefix of one, or name, as is_called() has it; empty: the only one there is.
    [[nodiscard]] base::Result<LoadedModelPtr> find(std::string const& model) const;
    [[nodiscard]] std::map<std::string, LoadedModelPtr> const& all() const { return models_; }

    // Saves a manifest received from a peer under its id, so that shards can be fetched into the
    // folder.
    base::Result<LoadedModelPtr> adopt_manifest(infer::Manifest const& manifest);
    // Deletes shard files; the caller reloads. Shards that are not here count as deleted.
    base::Status drop(std::string const& id, std::vector<std::uint32_t> const& shards);

private:
    explicit ModelStore(std::filesystem::path directory) : directory_(std::move(directory)) {}

    std::filesystem::path directory_;
    std::map<std::string, LoadedModelPtr> models_;
};

}  // namespace kith::ask
