#include "feature/ask/model_store.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <map>

#include "base/sabotage.h"
#include "engine/cut_process.h"
#include "engine/words_message.h"

namespace kith::ask {

namespace fs = std::filesystem;
using base::Code;
using base::fail;

namespace {

base::Result<base::Bytes> read_small_file(fs::path const& path, std::size_t size_max) {
    std::error_code error;
    auto const size = fs::file_size(path, error);
    if (error) return fail(Code::not_found, path.string() + " cannot be read");
    if (size > size_max) return fail(Code::too_large, path.string() + " is too large");
    base::Bytes bytes(size);
    std::ifstream in(path, std::ios::binary);
    in.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size));
    if (!in) return fail(Code::io, path.string() + " cannot be read");
    return bytes;
}

// Written beside and renamed, so that a crash leaves the old file or the new one.
base::Status write_file(fs::path const& path, std::string const& text) {
    auto const temporary = fs::path(path).concat(".part");
    {
        std::ofstream out(temporary, std::ios::binary | std::ios::trunc);
        out << text;
        out.flush();
        if (!out) return fail(Code::io, temporary.string() + " cannot be written");
    }
    std::error_code error;
    fs::rename(temporary, path, error);
    if (error) return fail(Code::io, path.string() + " cannot be written: " + error.message());
    return {};
}

// A shard whose bytes are those of the manifest.
struct VerifiedShard {
    infer::RegularFile file;
    infer::MappedFile bytes;
};

base::Result<VerifiedShard> verified_shard(fs::path const& path, infer::ShardEntry const& entry) {
    auto file = KITH_TRY(infer::open_regular(path.string()));
    auto bytes = KITH_TRY(infer::MappedFile::map(file.file.get(), file.size));
    KITH_TRY(infer::verify_shard(bytes.bytes(), entry));
    return VerifiedShard{std::move(file), std::move(bytes)};
}

// The shards whose file is there with the right size and hash, by their number; a wrong one is put
// aside. What was hashed is what the worker gets: the descriptor, not the name.
std::map<std::uint32_t, VerifiedShard> verified_shards(fs::path const& folder,
                                                       infer::Manifest const& manifest,
                                                       std::vector<std::string>& warnings) {
    std::map<std::uint32_t, VerifiedShard> shards;
    for (std::uint32_t index = 0; index < manifest.shards.size(); ++index) {
        auto const& entry = manifest.shards[index];
        auto const path = folder / entry.file;
        std::error_code error;
        if (!fs::exists(path, error)) continue;
        auto shard = verified_shard(path, entry);
        if (shard) {
            shards.emplace(index, *std::move(shard));
            continue;
        }
        warnings.push_back(path.string() + " is not used: " + shard.error().message);
        if (shard.error().code == Code::corrupt)
            fs::rename(path, fs::path(path).concat(".corrupt"), error);
    }
    return shards;
}

// What the worker read out of shard 0.
base::Status load_words(base::ByteView message, LoadedModel& out,
                        std::vector<std::string>& warnings) {
    auto const words = KITH_TRY(engine::decode_words(message));
    if (!words) return {};
    out.tokenizer.emplace(KITH_TRY(infer::Tokenizer::create(*words)));
    auto chat = infer::ChatTemplate::create(*words, *out.tokenizer);
    if (!chat) {
        out.chat_objection = chat.error().message;
    } else {
        out.chat = *std::move(chat);
        if (!out.chat->objection().empty()) warnings.push_back(out.chat->objection());
    }
    auto const tokens = static_cast<infer::TokenId>(out.tokenizer->vocabulary_size());
    for (infer::TokenId token = 0; token < tokens; ++token)
        out.token_bytes_max =
            std::max(out.token_bytes_max, out.tokenizer->token_text(token).size());
    return {};
}

// The manifest is what members are told and sizes are taken from; the worker read the files.
base::Status check_same(infer::Manifest const& manifest, std::vector<std::uint32_t> const& shards,
                        ConfinedStage const& stage) {
    auto const& facts = stage.facts();
    bool same = facts.layers_count == manifest.layers_count &&
                facts.hidden_size == manifest.hidden_size &&
                facts.vocabulary_size == manifest.vocabulary_size &&
                facts.context_length == manifest.context_length;
    for (auto const index : shards) {
        auto const& shard = manifest.shards[index];
        bool const has_layers = shard.layers.begin != shard.layers.end;
        same = same && (!has_layers || stage.has_layers(shard.layers)) &&
               (!shard.has_embedding || facts.has_embedding) && (!shard.has_head || facts.has_head);
    }
    if (!KITH_GUARD("S87.manifest", same))
        return fail(Code::corrupt, "the shards are not the model that the manifest describes");
    return {};
}

}  // namespace

base::Result<LoadedModelPtr> load_model(fs::path const& folder, LoadOptions const& options,
                                        std::vector<std::string>& warnings) {
    auto const json =
        KITH_TRY(read_small_file(folder / "manifest.json", infer::manifest_bytes_max));
    auto loaded = std::make_shared<LoadedModel>();
    loaded->manifest = KITH_TRY(infer::parse_manifest(json));
    loaded->id = infer::model_id(loaded->manifest);
    if (loaded->id != folder.filename().string())
        return fail(Code::corrupt,
                    folder.string() + "/manifest.json is not the manifest of this model");
    auto shards = verified_shards(folder, loaded->manifest, warnings);
    if (shards.empty()) return loaded;
    std::vector<infer::RegularFile> files;
    for (auto& [index, shard] : shards) {
        loaded->shards.push_back(index);
        files.push_back(std::move(shard.file));
    }
    loaded->stage =
        KITH_TRY(ConfinedStage::create(options.worker, std::move(files), options.stage));
    KITH_TRY(check_same(loaded->manifest, loaded->shards, *loaded->stage));
    auto const words = loaded->stage->take_words();
    if (loaded->shards.front() == 0) KITH_TRY(load_words(words, *loaded, warnings));
    return loaded;
}

void sweep_later(ports::Pool& pool, LoadedModelPtr model) {
    if (!model->stage) return;
    pool.submit(
        ports::Lane::own, [model = std::move(model)] { model->stage->sweep(); }, [] {});
}

base::Result<fs::path> cut_into(engine::WorkerProgram const& worker, fs::path const& models,
                                fs::path const& file, std::string const& name,
                                std::size_t layers_per_shard, infer::Progress const& progress) {
    if (!name.empty() && !infer::sanitize_path_component(name))  // not after an hour of work
        return fail(Code::invalid, "a model cannot be called \"" + name +
                                       "\": letters, digits, '.', '_' and '-' only");
    constexpr std::size_t parts_default = 8;  // of the middle, at most one for each layer
    auto const building = models / ".building";
    std::error_code error;
    fs::remove_all(building, error);
    fs::create_directories(building, error);
    if (error) return fail(Code::io, building.string() + " cannot be made: " + error.message());
    auto const cut = [&]() -> base::Result<fs::path> {
        // Both ends alone, so that no member who helps with the middle ever needs one of them.
        engine::CutRequest const request{
            .path = file.string(),
            .rule = {.parts = parts_default, .layers_per_part = layers_per_shard}};
        auto manifest =
            KITH_TRY(engine::cut_with_worker(worker, request, building.string(), progress))
                .manifest;
        if (!name.empty() && name != manifest.name) {
            manifest.name = name;
            KITH_TRY(write_file(building / "manifest.json", infer::write_manifest(manifest)));
        }
        auto folder = models / infer::model_id(manifest);
        if (fs::exists(folder))
            fs::remove_all(folder, error);  // the same content: fills up what is missing
        fs::rename(building, folder, error);
        if (error)
            return fail(Code::io, folder.string() + " cannot be put in place: " + error.message());
        return folder;
    }();
    if (!cut) fs::remove_all(building, error);
    return cut;
}

base::Status delete_folder(fs::path const& folder) {
    // The manifest first: without it what is left is no model any more, should the rest fail.
    std::error_code error;
    fs::remove(folder / "manifest.json", error);
    if (!error) fs::remove_all(folder, error);
    if (error) return fail(Code::io, folder.string() + " cannot be removed: " + error.message());
    return {};
}

bool is_called(std::string const& id, std::string const& name, std::string const& wanted) {
    constexpr std::size_t id_chars = 64;  // BLAKE3, hex
    bool const is_id = wanted.size() == id_chars &&
                       wanted.find_first_not_of("0123456789abcdef") == std::string::npos;
    if (is_id) return id == wanted;
    return name == wanted || (wanted.size() >= prefix_chars_min && id.starts_with(wanted));
}

base::Result<ModelStore> ModelStore::open(fs::path directory) {
    std::error_code error;
    bool const is_new = fs::create_directories(directory, error);
    if (error)
        return fail(Code::io, "the model folder " + directory.string() +
                                  " cannot be made: " + error.message());
    if (is_new) fs::permissions(directory, fs::perms::owner_all, error);
    // Shards are checked once and used for as long as the node runs: whoever may write here could
    // exchange them in between. A folder that the user chose otherwise stays as it is.
    struct stat info {};
    bool const is_ours = ::stat(directory.c_str(), &info) == 0 && info.st_uid == ::geteuid() &&
                         (info.st_mode & 022) == 0;
    if (!KITH_GUARD("S87.folder", is_ours))
        return fail(Code::forbidden, "the model folder " + directory.string() +
                                         " must belong to you and be writable by nobody else");
    return ModelStore(std::move(directory));
}

std::vector<fs::path> ModelStore::folders() const {
    std::vector<fs::path> found;
    std::error_code error;
    for (auto const& entry : fs::directory_iterator(directory_, error)) {
        if (found.size() == models_max) break;
        if (fs::exists(entry.path() / "manifest.json", error)) found.push_back(entry.path());
    }
    return found;
}

void ModelStore::put(LoadedModelPtr model) {
    models_[model->id] = std::move(model);
}

LoadedModelPtr ModelStore::get(std::string const& id) const {
    auto const found = models_.find(id);
    return found == models_.end() ? nullptr : found->second;
}

base::Result<LoadedModelPtr> ModelStore::find(std::string const& wanted) const {
    if (wanted.empty()) {
        if (models_.size() == 1) return models_.begin()->second;
        return fail(Code::invalid,
                    models_.empty()
                        ? "this machine knows no model yet; begin with: kith models add FILE"
                        : "several models are known; name one of: kith models list");
    }
    LoadedModelPtr match;
    for (auto const& [id, model] : models_) {
        if (!is_called(id, model->manifest.name, wanted)) continue;
        if (match)
            return fail(Code::conflict, "several models are called that; use an id instead: " +
                                            match->id + " or " + id);
        match = model;
    }
    if (!match)
        return fail(Code::not_found, "no model of that name is known here (see: kith models list)");
    return match;
}

base::Result<LoadedModelPtr> ModelStore::adopt_manifest(infer::Manifest const& manifest) {
    auto const id = infer::model_id(manifest);
    if (auto known = get(id)) return known;
    if (models_.size() >= models_max)
        return fail(Code::too_large, "too many models are known here; remove some");
    std::error_code error;
    fs::create_directories(folder(id), error);
    if (error) return fail(Code::io, "the folder of the model cannot be made: " + error.message());
    KITH_TRY(write_file(folder(id) / "manifest.json", infer::write_manifest(manifest)));
    auto model = std::make_shared<LoadedModel>();
    model->id = id;
    model->manifest = manifest;
    put(model);
    return model;
}

base::Status ModelStore::drop(std::string const& id, std::vector<std::uint32_t> const& shards) {
    auto const model = get(id);
    if (!model) return fail(Code::not_found, "no such model");
    for (auto const index : shards) {
        std::error_code error;
        fs::remove(folder(id) / model->manifest.shards.at(index).file, error);
        if (error) return fail(Code::io, "a shard cannot be removed: " + error.message());
    }
    return {};
}

}  // namespace kith::ask
