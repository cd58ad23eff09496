// route: which machines answer, and who sees what on the way.
#include <fmt/format.h>

#include "app/command_support.h"

namespace kith::app {
namespace {

namespace pb = api::pb;

class Route final : public Command {
public:
    explicit Route(CLI::App& parser) {
        parser.add_option("model", model_,
                          "Show the route a question to it would take now (default: the route "
                          "that the last answer took)");
    }

    ExitCode run(Context& context) override {
        pb::RouteRequest request;
        request.set_model(model_);
        ExitCode code{};
        auto const route = ask(context, Session::Need::daemon, &api::Control::route, request, code);
        if (!route) return code;
        if (context.output.json())
            context.output.document(*route);
        else
            show(context.output, *route);
        return ExitCode::ok;
    }

private:
    static void show(Output const& output, pb::RouteResponse const& route) {
        output.line(fmt::format("{} of {}", route.planned() ? "planned route" : "route",
                                terminal_safe(route.model())));
        output.line(fmt::format("encrypted_pipeline {}, local_embedding_privacy {}\n",
                                route.encrypted_pipeline() ? "on" : "off",
                                route.local_embedding_privacy() ? "on" : "off"));
        std::vector<std::vector<std::string>> hops{{"STEP", "MACHINE", "COMPUTES"}};
        for (auto const& hop : route.hops())
            hops.push_back(
                {std::to_string(hops.size()), machine(hop.node(), hop.is_asker()), work(hop)});
        output.table(hops);
        output.line("\nwho sees what");
        std::vector<std::vector<std::string>> sights{{"MACHINE", "PROMPT TEXT", "TOKEN IDS",
                                                      "ACTIVATIONS IN", "ACTIVATIONS OUT",
                                                      "ANSWER TOKENS", "ANSWER TEXT"}};
        for (auto const& sight : route.sights())
            sights.push_back({machine(sight.node(), sight.is_asker()), sight.prompt_text(),
                              sight.token_ids(), sight.activations_in(), sight.activations_out(),
                              sight.answer_tokens(), sight.answer_text()});
        output.table(sights);
        if (!route.sentences().empty()) output.line("");
        for (auto const& sentence : route.sentences()) output.line(terminal_safe(sentence));
    }

    static std::string machine(std::string const& node, bool is_asker) {
        return is_asker ? "this machine" : node.substr(0, 16);
    }

    static std::string work(pb::Hop const& hop) {
        std::string text = hop.does_embedding() ? "embedding" : "";
        auto const add = [&text](std::string const& part) {
            text += (text.empty() ? "" : ", ") + part;
        };
        if (hop.layers_end() > hop.layers_begin())
            add(fmt::format("layers {}-{}", hop.layers_begin(), hop.layers_end() - 1));
        if (hop.does_head()) add("output head");
        return text;
    }

    std::string model_;
};

}  // namespace

void add_route_command(CLI::App& app, Commands& commands) {
    add_command<Route>(
        commands,
        add_subcommand(app, "route", "Which machines answer, and who sees what", "kith route"));
}

}  // namespace kith::app
