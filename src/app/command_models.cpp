// models list|add|fetch|drop.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "app/arguments.h"
#include "app/command_support.h"
#include "app/signals.h"

namespace kith::app {
namespace {

using Need = Session::Need;
namespace pb = api::pb;

// "0-2, 5": ranges of shard numbers for people.
std::string ranges(google::protobuf::RepeatedField<std::uint32_t> const& shards) {
    std::string text;
    for (int i = 0; i < shards.size();) {
        int last = i;
        while (last + 1 < shards.size() && shards[last + 1] == shards[last] + 1) ++last;
        text += fmt::format("{}{}", text.empty() ? "" : ", ", shards[i]);
        if (last > i) text += fmt::format("-{}", shards[last]);
        i = last + 1;
    }
    return text.empty() ? "-" : text;
}

// The beginning of its id: enough to name it, or all of it where a name or a beginning is shared.
std::string shown_id(pb::ModelsResponse const& models, pb::Model const& model) {
    auto const beginning = model.id().substr(0, 12);
    bool const shared = std::ranges::any_of(models.models(), [&](pb::Model const& other) {
        return other.id() != model.id() &&
               (other.name() == model.name() || other.id().starts_with(beginning));
    });
    return shared ? model.id() : beginning;
}

class ModelsList final : public Command {
public:
    explicit ModelsList(CLI::App&) {}

    ExitCode run(Context& context) override {
        ExitCode code{};
        auto const models =
            ask(context, Need::daemon_or_local, &api::Control::models, pb::ModelsRequest{}, code);
        if (!models) return code;
        if (context.output.json()) context.output.document(*models);
        std::vector<std::vector<std::string>> rows{
            {"NAME", "ID", "SIZE", "SHARDS", "HERE", "WITH MEMBERS", "ANSWERS", "PRIVACY"}};
        for (auto const& model : models->models())
            rows.push_back({model.name(), shown_id(*models, model), format_bytes(model.bytes()),
                            std::to_string(model.shards_count()), ranges(model.shards_local()),
                            ranges(model.shards_remote()), model.answerable() ? "yes" : "no",
                            model.encrypted_pipeline() ? "encrypted pipeline" : "-"});
        context.output.table(rows);
        if (models->models().empty())
            context.output.note("No models yet: kith models add FILE.gguf");
        return ExitCode::ok;
    }
};

// Shows progress until the stream ends, then the model it made.
template <class Request>
ExitCode follow_progress(Context const& context,
                         api::Cancel (api::Control::*method)(Request const&,
                                                             api::OnUpdate<pb::Progress>,
                                                             api::StreamDone),
                         Request const& request) {
    auto const& output = context.output;
    Session* session = nullptr;
    std::mutex mutex;  // a signal may come before the session is open or after it is gone
    auto const watcher = SignalWatcher::start([&] {
        std::lock_guard const lock(mutex);
        if (session != nullptr) return session->cancel();
        std::_Exit(static_cast<int>(ExitCode::interrupted));
    });
    if (!watcher) return output.fail(watcher.error());
    auto const opened = open_session(context, Need::daemon_or_local);
    if (!opened.session) return opened.code;
    auto const watch = [&](Session* now) {
        std::lock_guard const lock(mutex);
        session = now;
    };
    watch(opened.session.get());
    pb::Model model;
    auto const status = opened.session->follow<Request, pb::Progress>(
        method, request, [&](pb::Progress const& progress) {
            output.progress(progress.stage(), progress.done(), progress.total());
            if (progress.has_model()) model = progress.model();
        });
    watch(nullptr);
    output.progress_end();
    if (!status) return output.fail(status.error());
    if (output.json()) output.document(model);
    output.line(fmt::format("{}: {} shards, {} here, id {}", terminal_safe(model.name()),
                            model.shards_count(), ranges(model.shards_local()),
                            terminal_safe(model.id().substr(0, 12))));
    return ExitCode::ok;
}

class ModelsAdd final : public Command {
public:
    explicit ModelsAdd(CLI::App& parser) {
        parser.add_option("file", file_, "A GGUF file on this machine")->required();
        parser.add_option("--name", name_, "What it is called (default: from the file)");
        parser.add_option("--layers-per-shard", layers_, "Default: chosen from the model's size")
            ->check(CLI::Range(1U, 1024U));
    }

    ExitCode run(Context& context) override {
        std::error_code error;
        auto const path = std::filesystem::absolute(file_, error).lexically_normal();
        if (error || !std::filesystem::is_regular_file(path, error))
            return usage_error(context, {base::Code::not_found, "there is no file " + file_});
        pb::AddModelRequest request;
        request.set_path(path.native());
        request.set_name(name_);
        request.set_layers_per_shard(layers_);
        return follow_progress(context, &api::Control::add_model, request);
    }

private:
    std::string file_;
    std::string name_;
    std::uint32_t layers_ = 0;
};

class ModelsFetch final : public Command {
public:
    explicit ModelsFetch(CLI::App& parser) {
        parser.add_option("model", model_, "Its name or id (kith models list)")->required();
        parser.add_option("--shards", shards_, "Which ones: 1, 1-2 or 0,3-5 (default: all)");
    }

    ExitCode run(Context& context) override {
        pb::FetchModelRequest request;
        request.set_model(model_);
        if (shards_) {
            auto const shards = parse_shards(*shards_);
            if (!shards) return usage_error(context, shards.error());
            for (auto const shard : *shards) request.add_shards(shard);
        }
        return follow_progress(context, &api::Control::fetch_model, request);
    }

private:
    std::string model_;
    std::optional<std::string> shards_;
};

class ModelsDrop final : public Command {
public:
    explicit ModelsDrop(CLI::App& parser) {
        parser.add_option("model", model_, "Its name or id (kith models list)")->required();
        parser.add_option("--shards", shards_,
                          "Which ones: 1, 1-2 or 0,3-5 (default: the whole model)");
        parser.add_flag("--force", force_, "Also when nobody else serves them");
    }

    ExitCode run(Context& context) override {
        pb::DropShardsRequest request;
        request.set_model(model_);
        request.set_last_copy_too(force_);
        if (shards_) {
            auto const shards = parse_shards(*shards_);
            if (!shards) return usage_error(context, shards.error());
            for (auto const shard : *shards) request.add_shards(shard);
        }
        auto const& output = context.output;
        auto const opened = open_session(context, Need::daemon);
        if (!opened.session) return opened.code;
        auto const dropped = opened.session->call(&api::Control::drop_shards, request);
        if (!dropped) return output.fail(dropped.error());
        if (output.json()) output.document(*dropped);
        auto const& model = dropped->model();
        if (!shards_) {
            output.line(terminal_safe(model.name()) + " is removed from this machine");
            return ExitCode::ok;
        }
        output.line(fmt::format("{}: {} shards, {} here", terminal_safe(model.name()),
                                model.shards_count(), ranges(model.shards_local())));
        return ExitCode::ok;
    }

private:
    std::string model_;
    std::optional<std::string> shards_;
    bool force_ = false;
};

}  // namespace

void add_models_commands(CLI::App& app, Commands& commands) {
    auto* const models = add_subcommand(
        app, "models", "Models of the group: list, add, fetch, drop", "kith models list");
    models->require_subcommand(1);
    add_command<ModelsList>(commands,
                            add_subcommand(*models, "list", "What there is and who holds it",
                                           "kith models list --json"));
    add_command<ModelsAdd>(
        commands, add_subcommand(*models, "add", "Cut a GGUF file into shards and serve them",
                                 "kith models add ~/Downloads/qwen2.5-7b-q4_k_m.gguf"));
    add_command<ModelsFetch>(
        commands, add_subcommand(*models, "fetch", "Fetch shards from members and serve them",
                                 "kith models fetch qwen2.5-7b --shards 1-2"));
    add_command<ModelsDrop>(
        commands, add_subcommand(*models, "drop", "Delete a model or shards of it on this machine",
                                 "kith models drop qwen2.5-7b --shards 1-2"));
}

}  // namespace kith::app
