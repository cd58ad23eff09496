// The models on this machine and at the members: loading, adding, fetching, dropping, and what
// people are told about them.
#include <algorithm>

#include "base/text.h"
#include "feature/ask/ask.h"

namespace kith::ask {

using base::Code;
using base::fail;

namespace {
constexpr std::size_t names_bytes_max = 256;  // of a model that several members announce
}  // namespace

LoadOptions Ask::load_options(std::string const& model_name) const {
    // Said on the compute thread; the log is the loop's.
    auto log = [&node = node_, &pool = pool_, model_name](std::string const& sentence) {
        pool.post([&node, line = "model " + model_name + ": " + sentence] { node.log(line); });
    };
    return {.worker = options_.worker,
            .stage = {.stage = {.threads = options_.threads},
                      .clock = &node_.clock(),
                      .on_loss = std::move(log)}};
}

// Lets go of a model on another thread than the loop's: to end its worker may take a while.
void Ask::end_later(LoadedModelPtr model) {
    if (model)
        pool_.submit(
            ports::Lane::files, [model = std::move(model)] {}, [] {});
}

// Once: it is the kernel's doing, not the model's.
void Ask::tell_confinement(LoadedModel const& model) {
    if (!model.stage || model.stage->landlock_abi() != 0 || std::exchange(has_no_landlock_, true))
        return;
    node_.log("this kernel has no landlock: models are computed behind seccomp alone");
}

// Hashes a model's folder and starts its worker, off the loop, then tells the members what is
// served now.
void Ask::reload(std::filesystem::path const& folder, std::function<void(base::Status)> done) {
    struct Load {
        base::Result<LoadedModelPtr> model = LoadedModelPtr{};
        std::vector<std::string> warnings;
    };
    auto load = std::make_shared<Load>();
    ++loads_running_;
    pool_.submit(
        ports::Lane::files,
        [load, folder, options = load_options(folder.filename().string())] {
            load->model = load_model(folder, options, load->warnings);
        },
        [this, load, done = std::move(done)] {
            --loads_running_;
            for (auto const& warning : load->warnings) node_.log(warning);
            if (load->model) {
                tell_confinement(**load->model);
                auto old = store_.get((*load->model)->id);
                store_.put(*load->model);
                end_later(std::move(old));
                exchange_.announce_all();
                done({});
            } else {
                done(std::unexpected(load->model.error()));
            }
            if (loading()) return;
            for (auto& then : std::exchange(after_loading_, {})) then();
        });
}

void Ask::when_loaded(std::function<void()> then) {
    if (!loading()) return then();
    after_loading_.push_back(std::move(then));
}

namespace {

std::string serving_text(std::string const& name, std::ranges::input_range auto const& shards) {
    std::string text;
    for (auto const shard : shards) text += (text.empty() ? "" : ",") + std::to_string(shard);
    return name + ": shards " + text;
}

}  // namespace

std::vector<std::string> Ask::serving(identity::NodeId const& node) const {
    std::vector<std::string> texts;
    if (node == node_.identity().node_id()) {
        for (auto const& [id, model] : store_.all())
            if (!model->shards.empty())
                texts.push_back(serving_text(model->manifest.name, model->shards));
    } else if (auto const* models = exchange_.holdings(node)) {
        for (auto const& [id, holding] : *models)
            texts.push_back(serving_text(holding.name, holding.shards));
    }
    return texts;
}

std::set<std::uint32_t> Ask::shards_elsewhere(std::string const& model_id) const {
    std::set<std::uint32_t> shards;
    for (auto const& peer : node_.peers(now())) {
        auto const* models = node_.is_ready(peer.node) ? exchange_.holdings(peer.node) : nullptr;
        if (models == nullptr || !models->contains(model_id)) continue;
        auto const& held = models->at(model_id).shards;
        shards.insert(held.begin(), held.end());
    }
    return shards;
}

ModelCard Ask::card(LoadedModel const& model) const {
    auto const elsewhere = shards_elsewhere(model.id);
    ModelCard card{.id = model.id,
                   .name = model.manifest.name,
                   .architecture = model.manifest.architecture,
                   .layers_count = static_cast<std::uint32_t>(model.manifest.layers_count),
                   .shards_count = static_cast<std::uint32_t>(model.manifest.shards.size()),
                   .shards_local = model.shards,
                   .shards_remote = {elsewhere.begin(), elsewhere.end()},
                   .bytes = model.manifest.total_bytes,
                   .encrypted_pipeline = flags_.encrypted_pipeline};
    card.answerable = model.tokenizer && model.chat && plan_route(model, flags_).has_value();
    return card;
}

std::vector<ModelCard> Ask::models() const {
    std::vector<ModelCard> cards;
    for (auto const& [id, model] : store_.all()) cards.push_back(card(*model));
    for (auto const& [id, names] : exchange_.announced()) {
        if (store_.get(id)) continue;
        std::string name;  // what it is really called only its manifest says
        for (auto const& said : names) name += (name.empty() ? "" : " or ") + said;
        name = base::one_line(name, names_bytes_max);
        auto const shards = shards_elsewhere(id);
        cards.push_back({.id = id, .name = name, .shards_remote = {shards.begin(), shards.end()}});
    }
    return cards;
}

void Ask::add_model(AddRequest const& request, OnProgress const& progress, OnModel done) {
    struct Job {
        base::Result<std::filesystem::path> folder = std::filesystem::path{};
    };
    auto job = std::make_shared<Job>();
    auto tell = [this, progress](std::uint64_t done_bytes, std::uint64_t total_bytes) {
        pool_.post([progress, done_bytes, total_bytes] {
            progress({.stage = "cutting and hashing", .done = done_bytes, .total = total_bytes});
        });
    };
    pool_.submit(
        ports::Lane::files,
        [job, request, worker = options_.worker, directory = store_.directory(), tell] {
            job->folder = cut_into(worker, directory, request.file, request.name,
                                   request.layers_per_shard, tell);
        },
        [this, job, done = std::move(done)] {
            if (!job->folder) return done(std::unexpected(job->folder.error()));
            reload(*job->folder,
                   [this, id = job->folder->filename().string(), done](base::Status status) {
                       if (!status) return done(std::unexpected(status.error()));
                       done(card(*store_.get(id)));
                   });
        });
}

void Ask::fetch_model(std::string model, std::vector<std::uint32_t> shards, OnProgress progress,
                      OnModel done) {
    exchange_.fetch(
        std::move(model), std::move(shards), std::move(progress),
        [this, done = std::move(done)](base::Result<std::string> id) {
            if (!id) return done(std::unexpected(id.error()));
            // Reloads run one after the other on the worker: this one is behind those of the
            // fetched shards.
            reload(store_.folder(*id), [this, id = *id, done](base::Status status) {
                if (!status) return done(std::unexpected(status.error()));
                done(card(*store_.get(id)));
            });
        },
        now());
}

void Ask::drop_shards(std::string const& wanted, std::vector<std::uint32_t> const& shards,
                      Drop drop, OnModel done) {
    auto const model = store_.find(wanted);
    if (!model) return done(std::unexpected(model.error()));
    auto const id = (*model)->id;
    auto const elsewhere = shards_elsewhere(id);
    for (auto const shard : shards.empty() ? (*model)->shards : shards) {
        if (shard >= (*model)->manifest.shards.size())
            return done(fail(Code::invalid, "the model has no shard " + std::to_string(shard)));
        if (drop == Drop::if_held_elsewhere && !elsewhere.contains(shard))
            return done(
                fail(Code::conflict,
                     "no connected member serves shard " + std::to_string(shard) +
                         ", so this may be the last copy; add --force to delete it all the same"));
    }
    if (shards.empty()) return remove_model(*model, std::move(done));
    if (auto const dropped = store_.drop(id, shards); !dropped)
        return done(std::unexpected(dropped.error()));
    reload(store_.folder(id), [this, id, done = std::move(done)](base::Status status) {
        if (!status) return done(std::unexpected(status.error()));
        done(card(*store_.get(id)));
    });
}

// On the worker, behind whatever is being read or written there.
void Ask::remove_model(LoadedModelPtr const& model, OnModel done) {
    auto removed = std::make_shared<base::Status>();
    pool_.submit(
        ports::Lane::files,
        [removed, folder = store_.folder(model->id)] { *removed = delete_folder(folder); },
        [this, removed, model, done = std::move(done)]() mutable {
            if (!*removed) return done(std::unexpected(removed->error()));
            store_.forget(model->id);
            exchange_.announce_all();
            auto gone = card(*model);
            gone.shards_local.clear();
            gone.answerable = false;
            end_later(std::move(model));
            done(std::move(gone));
        });
}

std::uint64_t Ask::weight_bytes() const {
    std::uint64_t bytes = 0;
    for (auto const& [id, model] : store_.all())
        if (model->stage) bytes += model->stage->facts().weight_bytes;
    return bytes;
}

}  // namespace kith::ask
