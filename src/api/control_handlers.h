// api/control_handlers.h: api::Control on a real node: requests become calls of node and ask,
// results become messages.
#pragma once

#include <functional>
#include <string>

#include "api/control.h"
#include "feature/ask/ask.h"
#include "node/node.h"

namespace kith::api {

class ControlHandlers final : public Control {
public:
    struct Context {  // references outlive the handlers
        node::Node& node;
        ask::Ask& ask;
        std::string version;
        std::string api_url;            // empty: no HTTP door
        std::function<void()> changed;  // lets the driver send what a command produced
        std::function<void()> shut_down;
        std::function<std::uint64_t()> resident_bytes;
    };
    explicit ControlHandlers(Context context) : context_(std::move(context)) {}
    void set_api_url(std::string url) { context_.api_url = std::move(url); }

    void create(pb::CreateRequest const& request, Done<pb::CreateResponse> done) override;
    void join(pb::JoinRequest const& request, Done<pb::JoinResponse> done) override;
    void invite_create(pb::InviteCreateRequest const& request,
                       Done<pb::InviteCreateResponse> done) override;
    void invite_list(pb::InviteListRequest const& request,
                     Done<pb::InviteListResponse> done) override;
    void invite_revoke(pb::InviteRevokeRequest const& request,
                       Done<pb::InviteRevokeResponse> done) override;
    void status(pb::StatusRequest const& request, Done<pb::StatusResponse> done) override;
    void peers(pb::PeersRequest const& request, Done<pb::PeersResponse> done) override;
    void pair_peer(pb::PairPeerRequest const& request, Done<pb::PairPeerResponse> done) override;
    void forget_peer(pb::ForgetPeerRequest const& request,
                     Done<pb::ForgetPeerResponse> done) override;
    void set_nickname(pb::SetNicknameRequest const& request,
                      Done<pb::SetNicknameResponse> done) override;
    void kick_peer(pb::KickPeerRequest const& request, Done<pb::KickPeerResponse> done) override;
    void rotate_identity(pb::RotateIdentityRequest const& request,
                         Done<pb::RotateIdentityResponse> done) override;
    void models(pb::ModelsRequest const& request, Done<pb::ModelsResponse> done) override;
    Cancel add_model(pb::AddModelRequest const& request, OnUpdate<pb::Progress> update,
                     StreamDone done) override;
    Cancel fetch_model(pb::FetchModelRequest const& request, OnUpdate<pb::Progress> update,
                       StreamDone done) override;
    void drop_shards(pb::DropShardsRequest const& request,
                     Done<pb::DropShardsResponse> done) override;
    void route(pb::RouteRequest const& request, Done<pb::RouteResponse> done) override;
    Cancel run(pb::RunRequest const& request, OnUpdate<pb::RunUpdate> update,
               StreamDone done) override;
    void shutdown(pb::ShutdownRequest const& request, Done<pb::ShutdownResponse> done) override;

private:
    Context context_;
};

}  // namespace kith::api
