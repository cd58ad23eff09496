#include "feature/ask/shard_exchange.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <utility>

#include "base/encoding.h"
#include "base/sabotage.h"
#include "base/text.h"

namespace kith::ask {

namespace fs = std::filesystem;
using base::Code;
using base::fail;

namespace {

std::string id_bytes(std::string const& hex) {
    return base::to_text(base::from_hex(hex).value_or(base::Bytes{}));
}

constexpr std::size_t name_bytes_max = 128;       // of a model, as a member announces it
constexpr std::size_t candidates_listed_max = 8;  // in the sentence about a name that fits several
constexpr std::size_t who_bytes_max = 200;        // of the members that announce one of them

}  // namespace

struct ShardExchange::Fetch {
    std::string wanted;  // as asked for: id, prefix or name
    std::vector<std::uint32_t> shards_asked;
    OnProgress progress;
    OnDone done;
    LoadedModelPtr model;              // once the manifest is known
    std::string manifest_id;           // what the announcement promised
    std::set<identity::NodeId> tried;  // sources of the current shard that failed
    std::vector<std::uint32_t> todo;
    std::size_t current = 0;
    std::optional<identity::NodeId> source;
    std::ofstream out;
    fs::path part;
    std::uint64_t requested = 0;  // bytes of the current shard asked for
    std::uint64_t received = 0;
    std::uint64_t done_before = 0;  // bytes of finished shards
    std::uint64_t total = 0;
    bool verifying = false;
    base::Instant waiting_since;

    infer::ShardEntry const& entry() const { return model->manifest.shards[todo[current]]; }
};

ShardExchange::ShardExchange(node::Node& node, ModelStore& store, ports::Pool& pool,
                             OnShard on_shard)
    : node_(node), store_(store), pool_(pool), on_shard_(std::move(on_shard)) {}
ShardExchange::~ShardExchange() = default;

// --- telling and hearing

wire::v1::Control ShardExchange::announcement() const {
    wire::v1::Control control;
    auto* announce = control.mutable_shard_announce();
    announce->set_node_id(base::to_text(node_.identity().node_id().bytes));
    announce->set_time(base::seconds(node_.clock().unix_now()));
    announce->set_takes_embeddings(true);
    for (auto const& [id, model] : store_.all()) {
        if (model->shards.empty()) continue;
        if (std::cmp_equal(announce->models_size(), announced_models_max)) break;
        auto* holding = announce->add_models();
        holding->set_model_id(id_bytes(id));
        holding->set_name(model->manifest.name);
        for (auto const shard : model->shards) holding->add_shards(shard);
    }
    return control;
}

void ShardExchange::announce_to(identity::NodeId const& peer) {
    (void)node_.send(peer, announcement());
}

void ShardExchange::announce_all() {
    if (node_.registry() == nullptr || node_.registry()->list() == nullptr) return;
    for (auto const& member : node_.registry()->list()->members())
        if (node_.is_ready(member.node_id())) announce_to(member.node_id());
    auto control = announcement();
    // When it was said stands on the envelope; with a time of its own it would be news each time.
    control.mutable_shard_announce()->clear_time();
    node_.broadcast(control, node_.clock().now());
    std::erase_if(announced_, [this](auto const& entry) {
        return node_.registry()->list()->find(entry.first) == nullptr;
    });
}

void ShardExchange::on_control(node::AuthenticatedControl const& message, base::Instant now) {
    if (message->has_shard_announce())
        return on_announce(message.sender(), message->shard_announce());
    if (message->has_manifest_request())
        return on_manifest_request(message.sender(), message->manifest_request().model());
    if (message->has_manifest_reply()) return on_manifest_reply(message->manifest_reply(), now);
    if (message->has_chunk_request())
        return on_chunk_request(message.sender(), message->chunk_request());
    if (message->has_chunk_reply())
        return on_chunk_reply(message.sender(), message->chunk_reply(), now);
}

void ShardExchange::on_announce(identity::NodeId const& from,
                                wire::v1::ShardAnnounce const& announce) {
    Announced heard;
    heard.takes_embeddings = announce.takes_embeddings();
    for (auto const& holding : announce.models()) {
        if (heard.models.size() == announced_models_max) break;
        if (holding.model_id().size() != 32 ||
            holding.shards_size() > static_cast<int>(announced_shards_max))
            continue;
        auto& entry = heard.models[base::to_hex(base::as_bytes(holding.model_id()))];
        entry.name = base::one_line(holding.name(), name_bytes_max);
        entry.shards.insert(holding.shards().begin(), holding.shards().end());
    }
    announced_[from] = std::move(heard);  // one entry per member; members are bounded by the list
}

void ShardExchange::on_manifest_request(identity::NodeId const& from, std::string const& model) {
    wire::v1::Control answer;
    auto* reply = answer.mutable_manifest_reply();
    reply->set_model(base::one_line(model, name_bytes_max));
    if (auto const known = store_.get(model))
        reply->set_manifest(infer::write_manifest(known->manifest));
    (void)node_.send(from, answer);
}

void ShardExchange::on_chunk_request(identity::NodeId const& from,
                                     wire::v1::ChunkRequest const& request) {
    wire::v1::Control answer;
    auto* reply = answer.mutable_chunk_reply();
    reply->set_model_id(request.model_id());
    reply->set_shard(request.shard());
    reply->set_offset(request.offset());
    auto const model = store_.get(base::to_hex(base::as_bytes(request.model_id())));
    bool const held =
        model && std::ranges::find(model->shards, request.shard()) != model->shards.end();
    if (held && request.size() > 0 && request.size() <= chunk_bytes) {
        auto const& entry = model->manifest.shards[request.shard()];
        std::string data(request.size(), '\0');
        int const file = open((store_.folder(model->id) / entry.file).c_str(),
                              O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        auto const in_range =
            request.offset() <= entry.size && request.size() <= entry.size - request.offset();
        if (file >= 0 && in_range) {
            auto const got =
                pread(file, data.data(), data.size(), static_cast<off_t>(request.offset()));
            if (got == static_cast<ssize_t>(data.size())) reply->set_data(std::move(data));
        }
        if (file >= 0) close(file);
    }
    (void)node_.send(from, answer);
}

void ShardExchange::on_peer_down(identity::NodeId const& peer, base::Instant now) {
    announced_.erase(peer);
    if (fetch_ && fetch_->source == peer && !fetch_->verifying) choose_source(now);
}

std::map<std::string, Holding> const* ShardExchange::holdings(identity::NodeId const& peer) const {
    auto const found = announced_.find(peer);
    return found == announced_.end() ? nullptr : &found->second.models;
}

bool ShardExchange::takes_embeddings(identity::NodeId const& peer) const {
    auto const found = announced_.find(peer);
    return found != announced_.end() && found->second.takes_embeddings;
}

std::map<std::string, std::set<std::string>> ShardExchange::announced() const {
    std::map<std::string, std::set<std::string>> models;
    for (auto const& [node, heard] : announced_)
        for (auto const& [id, holding] : heard.models) models[id].insert(holding.name);
    return models;
}

// --- fetching

void ShardExchange::fetch(std::string model, std::vector<std::uint32_t> shards, OnProgress progress,
                          OnDone done, base::Instant now) {
    if (fetch_)
        return done(fail(Code::conflict, "another fetch is under way; wait for it or stop it"));
    fetch_ = std::make_shared<Fetch>();
    fetch_->wanted = std::move(model);
    fetch_->shards_asked = std::move(shards);
    fetch_->progress = std::move(progress);
    fetch_->done = std::move(done);
    fetch_->waiting_since = now;
    auto const id = resolve(fetch_->wanted);
    if (!id) return end_fetch(std::unexpected(id.error()));
    if (auto const known = store_.get(*id)) {
        if (auto const begun = begin_shards(known, now); !begun)
            end_fetch(std::unexpected(begun.error()));
        return;
    }
    fetch_->manifest_id = *id;
    wire::v1::Control request;
    request.mutable_manifest_request()->set_model(fetch_->manifest_id);
    std::size_t asked_count = 0;
    for (auto const& [node, heard] : announced_)
        if (heard.models.contains(fetch_->manifest_id) && node_.send(node, request)) ++asked_count;
    if (asked_count == 0)
        end_fetch(fail(Code::unavailable,
                       "no member that holds this model is connected now; see: kith peers"));
}

// The one id that is meant. Every id that fits counts, whoever announces it: the first to announce
// a name must not decide what others get by it.
base::Result<std::string> ShardExchange::resolve(std::string const& wanted) const {
    std::map<std::string, std::string> candidates;  // id -> who has it, for people
    auto const consider = [&](std::string const& id, std::string const& name,
                              std::string const& who) {
        if (!wanted.empty() && !is_called(id, name, wanted)) return;
        auto& text = candidates[id];
        text += (text.empty() ? "" : ", ") + who;
    };
    for (auto const& [id, model] : store_.all()) consider(id, model->manifest.name, "this machine");
    for (auto const& [node, heard] : announced_)
        for (auto const& [id, holding] : heard.models) consider(id, holding.name, node.to_short());
    if (candidates.size() == 1) return candidates.begin()->first;
    if (candidates.empty())
        return fail(Code::not_found,
                    "no connected member offers a model of that name (see: kith models list)");
    std::string sentence = std::to_string(candidates.size()) +
                           " different models are called that; fetch by id the one you mean: ";
    std::size_t listed = 0;
    for (auto const& [id, who] : candidates) {
        if (++listed > candidates_listed_max) {
            sentence += "; ...";
            break;
        }
        sentence += (listed == 1 ? "" : "; ") + id + " (" +
                    std::string(base::utf8_prefix(who, who_bytes_max)) + ")";
    }
    return fail(Code::conflict, sentence);
}

void ShardExchange::on_manifest_reply(wire::v1::ManifestReply const& reply, base::Instant now) {
    if (!fetch_ || fetch_->model || reply.model() != fetch_->manifest_id ||
        reply.manifest().empty())
        return;
    auto const manifest = infer::parse_manifest(base::as_bytes(reply.manifest()));
    // Whoever sent it: it is the right one exactly if it hashes to the name that was asked for.
    bool const right = manifest && infer::model_id(*manifest) == fetch_->manifest_id;
    if (!KITH_GUARD("S87.manifest_hash", right) || !manifest) return;
    auto const& wanted = fetch_->wanted;
    if (!wanted.empty() && !is_called(fetch_->manifest_id, manifest->name, wanted))
        return end_fetch(fail(Code::conflict,
                              "what a member announces under that name is called " +
                                  base::one_line(manifest->name, name_bytes_max) +
                                  "; if you want it, fetch it by its id: " + fetch_->manifest_id));
    auto const model = store_.adopt_manifest(*manifest);
    auto const begun =
        model ? begin_shards(*model, now) : base::Status(std::unexpected(model.error()));
    if (!begun) end_fetch(std::unexpected(begun.error()));
}

base::Status ShardExchange::begin_shards(LoadedModelPtr const& model, base::Instant now) {
    auto const count = static_cast<std::uint32_t>(model->manifest.shards.size());
    auto wanted = fetch_->shards_asked;
    if (wanted.empty())
        for (std::uint32_t shard = 0; shard < count; ++shard) wanted.push_back(shard);
    for (auto const shard : wanted) {
        if (shard >= count)
            return fail(Code::invalid,
                        "the model has the shards 0 to " + std::to_string(count - 1));
        if (std::ranges::find(model->shards, shard) == model->shards.end())
            fetch_->todo.push_back(shard);
    }
    fetch_->model = model;
    for (auto const shard : fetch_->todo) fetch_->total += model->manifest.shards[shard].size;
    next_shard(now);
    return {};
}

void ShardExchange::next_shard(base::Instant now) {
    if (fetch_->current == fetch_->todo.size()) return end_fetch(fetch_->model->id);
    fetch_->tried.clear();
    fetch_->source.reset();
    choose_source(now);
}

// Starts (again) on the current shard with a member that holds it and has not failed yet.
void ShardExchange::choose_source(base::Instant now) {
    if (fetch_->source) fetch_->tried.insert(*fetch_->source);
    fetch_->source.reset();
    auto const shard = fetch_->todo[fetch_->current];
    for (auto const& [node, heard] : announced_) {
        auto const holding = heard.models.find(fetch_->model->id);
        if (holding == heard.models.end() || !holding->second.shards.contains(shard) ||
            fetch_->tried.contains(node) || !node_.is_ready(node))
            continue;
        fetch_->source = node;
        break;
    }
    if (!fetch_->source)
        return end_fetch(fail(Code::unavailable,
                              "no connected member could give shard " + std::to_string(shard) +
                                  "; what was fetched is kept, run the same command again later"));
    fetch_->part = store_.folder(fetch_->model->id) / (fetch_->entry().file + ".part");
    fetch_->out.close();
    fetch_->out.clear();
    fetch_->out.open(fetch_->part, std::ios::binary | std::ios::trunc);
    if (!fetch_->out)
        return end_fetch(
            fail(Code::io, fetch_->part.string() + " cannot be written; is the disk full?"));
    fetch_->requested = fetch_->received = 0;
    fetch_->waiting_since = now;
    request_chunks(now);
}

void ShardExchange::request_chunks(base::Instant now) {
    auto const size = fetch_->entry().size;
    while (fetch_->requested < size &&
           fetch_->requested < fetch_->received + chunks_in_flight * chunk_bytes) {
        wire::v1::Control control;
        auto* request = control.mutable_chunk_request();
        request->set_model_id(id_bytes(fetch_->model->id));
        request->set_shard(fetch_->todo[fetch_->current]);
        request->set_offset(fetch_->requested);
        auto const chunk = std::min<std::uint64_t>(chunk_bytes, size - fetch_->requested);
        request->set_size(static_cast<std::uint32_t>(chunk));
        if (!node_.send(*fetch_->source, control)) return choose_source(now);
        fetch_->requested += chunk;
    }
}

void ShardExchange::on_chunk_reply(identity::NodeId const& from, wire::v1::ChunkReply const& reply,
                                   base::Instant now) {
    if (!fetch_ || !fetch_->model || fetch_->verifying || fetch_->source != from) return;
    if (reply.model_id() != id_bytes(fetch_->model->id) ||
        reply.shard() != fetch_->todo[fetch_->current])
        return;
    auto const expected =
        std::min<std::uint64_t>(chunk_bytes, fetch_->entry().size - fetch_->received);
    // Chunks come in the order they were asked for; anything else is a source that cannot be used.
    if (reply.offset() != fetch_->received || reply.data().size() != expected)
        return choose_source(now);
    fetch_->out.write(reply.data().data(), static_cast<std::streamsize>(reply.data().size()));
    if (!fetch_->out)
        return end_fetch(
            fail(Code::io, fetch_->part.string() + " cannot be written; is the disk full?"));
    fetch_->received += reply.data().size();
    fetch_->waiting_since = now;
    fetch_->progress({.stage = "fetching shard " + std::to_string(reply.shard()) + " of " +
                               fetch_->model->manifest.name,
                      .done = fetch_->done_before + fetch_->received,
                      .total = fetch_->total});
    if (fetch_->received == fetch_->entry().size) return shard_complete(now);
    request_chunks(now);
}

// Hash first, then the name that makes it a shard.
void ShardExchange::shard_complete(base::Instant now) {
    fetch_->out.close();
    fetch_->verifying = true;
    auto verdict = std::make_shared<base::Status>();
    auto const part = fetch_->part;
    auto const entry = fetch_->entry();
    pool_.submit(
        ports::Lane::files,
        [verdict, part, entry] {
            auto const mapped = infer::MappedFile::open(part.string());
            *verdict = mapped ? infer::verify_shard(mapped->bytes(), entry)
                              : base::Status(std::unexpected(mapped.error()));
        },
        [this, verdict, part, entry, now, weak = std::weak_ptr(fetch_)] {
            if (weak.expired() || weak.lock() != fetch_) return;
            fetch_->verifying = false;
            std::error_code error;
            if (!*verdict) {
                node_.log("a fetched shard was refused: " + verdict->error().message);
                fs::remove(part, error);
                return choose_source(now);
            }
            fs::rename(part, store_.folder(fetch_->model->id) / entry.file, error);
            if (error)
                return end_fetch(
                    fail(Code::io, "a shard cannot be put in place: " + error.message()));
            fetch_->done_before += entry.size;
            ++fetch_->current;
            on_shard_(fetch_->model->id);
            next_shard(now);
        });
}

void ShardExchange::end_fetch(base::Result<std::string> outcome) {
    auto const fetch = std::exchange(fetch_, nullptr);
    fetch->out.close();
    std::error_code error;
    if (!fetch->part.empty()) fs::remove(fetch->part, error);
    fetch->done(std::move(outcome));
}

void ShardExchange::cancel_fetch() {
    if (!fetch_) return;
    fetch_->done = [](auto const&) {};
    end_fetch(fail(Code::cancelled, "stopped"));
}

std::optional<base::Instant> ShardExchange::deadline() const {
    if (!fetch_ || fetch_->verifying) return std::nullopt;
    return fetch_->waiting_since + chunk_timeout;
}

void ShardExchange::on_deadline(base::Instant now) {
    if (!fetch_ || fetch_->verifying || now < fetch_->waiting_since + chunk_timeout) return;
    if (!fetch_->model)
        return end_fetch(
            fail(Code::timeout, "no member sent the manifest of that model; try again"));
    choose_source(now);
}

}  // namespace kith::ask
