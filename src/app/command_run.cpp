// run: ask a model, once or as a conversation; the answer streams to stdout.
#include <fmt/format.h>

#include <cstdlib>
#include <iostream>

#include "app/command_support.h"
#include "app/signals.h"

namespace kith::app {
namespace {

namespace pb = api::pb;

constexpr std::size_t prompt_bytes_max = 4 * 1024 * 1024;
constexpr int chat_messages_max = 1000;

// Ctrl-C ends the answer that is being written; at the prompt of a chat it ends the program.
class Interruptible {
public:
    void attach(Session* session) {
        std::lock_guard const lock(mutex_);
        session_ = session;
    }
    void interrupt() {
        std::lock_guard const lock(mutex_);
        if (session_ != nullptr) return session_->cancel();
        std::_Exit(static_cast<int>(ExitCode::interrupted));
    }

private:
    std::mutex mutex_;
    Session* session_ = nullptr;
};

class Run final : public Command {
public:
    explicit Run(CLI::App& parser) {
        parser.add_option("model", model_, "Name or id (default: the only model there is)");
        parser.add_option("prompt", prompt_,
                          "The question; without it a chat on a terminal, else standard input");
        parser.add_option("--max-tokens", tokens_max_, "Longest answer")
            ->check(CLI::Range(1U, 32768U))
            ->default_str("512");
        parser.add_option("--temperature", temperature_, "0 always takes the likeliest token")
            ->check(CLI::Range(0.0F, 2.0F))
            ->default_str("0.7");
        parser.add_option("--seed", seed_, "Repeat an answer exactly");
    }

    ExitCode run(Context& context) override {
        // One argument with a space in it is a question: names of models have none.
        if (prompt_.empty() && model_.find(' ') != std::string::npos) std::swap(model_, prompt_);
        Interruptible interruptible;
        auto const watcher = SignalWatcher::start([&] { interruptible.interrupt(); });
        if (!watcher) return context.output.fail(watcher.error());
        if (prompt_.empty() && stdin_is_terminal() && stdout_is_terminal() &&
            !context.output.json())
            return chat(context, interruptible);
        if (prompt_.empty() && !read_prompt())
            return usage_error(
                context, {base::Code::invalid, "no question; try: kith run \"What is kith?\""});
        pb::RunRequest request = new_request();
        add_message(request, "user", prompt_);
        auto const opened = open_session(context, Session::Need::daemon);
        if (!opened.session) return opened.code;
        // What keeps a route from being found, the question says as well.
        (void)say_who_sees(*opened.session, context.output);
        std::string answer;
        return answer_one(context, *opened.session, interruptible, request, answer);
    }

private:
    bool read_prompt() {
        std::string text(prompt_bytes_max + 1, '\0');
        std::cin.read(text.data(), static_cast<std::streamsize>(text.size()));
        text.resize(static_cast<std::size_t>(std::cin.gcount()));
        if (text.size() > prompt_bytes_max) return false;
        while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
        prompt_ = std::move(text);
        return !prompt_.empty();
    }

    pb::RunRequest new_request() const {
        pb::RunRequest request;
        request.set_model(model_);
        request.set_max_tokens(tokens_max_);
        request.set_temperature(temperature_);
        request.set_has_seed(seed_.has_value());
        request.set_seed(seed_.value_or(0));
        return request;
    }

    static void add_message(pb::RunRequest& request, char const* role, std::string const& content) {
        auto* const message = request.add_messages();
        message->set_role(role);
        message->set_content(content);
    }

    // Streams one answer into `answer` and, for people, to stdout.
    static ExitCode answer_one(Context const& context, Session& session,
                               Interruptible& interruptible, pb::RunRequest const& request,
                               std::string& answer) {
        auto const& output = context.output;
        interruptible.attach(&session);
        bool const terminal = stdout_is_terminal();
        pb::RunUpdate whole;
        auto const status = session.follow<pb::RunRequest, pb::RunUpdate>(
            &api::Control::run, request, [&](pb::RunUpdate const& update) {
                answer += update.text();
                if (!output.json()) {
                    // Escape sequences in an answer must not reach a terminal; a file gets the
                    // plain bytes.
                    std::cout << (terminal ? terminal_safe(update.text()) : update.text())
                              << std::flush;
                }
                if (!update.finish_reason().empty()) whole = update;
            });
        interruptible.attach(nullptr);
        if (!output.json() && !answer.ends_with('\n')) std::cout << '\n' << std::flush;
        if (!status) return output.fail(status.error());
        whole.set_text(answer);
        if (output.json()) output.document(whole);
        if (whole.finish_reason() == "length")
            output.note("(cut at the limit; a longer answer: --max-tokens)");
        return ExitCode::ok;
    }

    ExitCode chat(Context const& context, Interruptible& interruptible) {
        auto const& output = context.output;
        output.note("Chat: /bye ends it, Ctrl-C stops an answer.");
        {
            auto const opened = open_session(context, Session::Need::daemon);
            if (!opened.session) return opened.code;
            if (auto const said = say_who_sees(*opened.session, output); !said)
                return output.fail(said.error());
        }
        pb::RunRequest request = new_request();
        std::string line;
        while (request.messages_size() + 2 <= chat_messages_max) {
            std::cout << ">>> " << std::flush;
            if (!std::getline(std::cin, line)) break;
            if (line.empty()) continue;
            if (line == "/bye" || line == "/exit") break;
            add_message(request, "user", line);
            std::string answer;
            auto const opened = open_session(context, Session::Need::daemon);
            if (!opened.session) return opened.code;
            auto const code = answer_one(context, *opened.session, interruptible, request, answer);
            if (code == ExitCode::ok)
                add_message(request, "assistant", answer);
            else
                request.mutable_messages()->RemoveLast();  // so that it can be asked again
        }
        output.note("");
        return ExitCode::ok;
    }

    // S65: before a question is sent, who will see it.
    base::Status say_who_sees(Session& session, Output const& output) const {
        pb::RouteRequest request;
        request.set_model(model_);
        // An empty name asks for the last route, which may have been another model's.
        if (model_.empty()) {
            auto const models = session.call(&api::Control::models, pb::ModelsRequest{});
            if (models && models->models_size() == 1) request.set_model(models->models(0).id());
        }
        if (request.model().empty()) return {};
        auto const route = KITH_TRY(session.call(&api::Control::route, request));
        for (auto const& sentence : route.sentences()) output.note(terminal_safe(sentence));
        return {};
    }

    std::string model_;
    std::string prompt_;
    std::uint32_t tokens_max_ = 512;
    float temperature_ = 0.7F;
    std::optional<std::uint64_t> seed_;
};

}  // namespace

void add_run_command(CLI::App& app, Commands& commands) {
    add_command<Run>(commands, add_subcommand(app, "run", "Ask a model, or chat with it",
                                              "kith run guide \"Who can see my prompt?\""));
}

}  // namespace kith::app
