// api/control.h: the handlers of the control API, one method per rpc of schema/control.proto.
//
// The handlers translate: request -> call of node or feature -> response. They decide nothing. All
// methods are called on the loop thread and answer through `done` exactly once, on the loop thread,
// now or later. Streaming methods call `update` any number of times before `done`. The same object
// serves gRPC on the Unix socket and the one-shot commands that run without a daemon.
#pragma once

#include <functional>

#include "base/result.h"
#include "schema/control.pb.h"

namespace kith::api {

namespace pb = kith::control::v1;

template <class T>
using Done = std::function<void(base::Result<T>)>;
using StreamDone = std::function<void(base::Status)>;
template <class T>
using OnUpdate = std::function<void(T const&)>;
// Called by the door when its client went away; cancels the work. Empty when there is nothing to
// cancel.
using Cancel = std::function<void()>;

class Control {
public:
    virtual ~Control() = default;
    virtual void create(pb::CreateRequest const& request, Done<pb::CreateResponse> done) = 0;
    virtual void join(pb::JoinRequest const& request, Done<pb::JoinResponse> done) = 0;
    virtual void invite_create(pb::InviteCreateRequest const& request,
                               Done<pb::InviteCreateResponse> done) = 0;
    virtual void invite_list(pb::InviteListRequest const& request,
                             Done<pb::InviteListResponse> done) = 0;
    virtual void invite_revoke(pb::InviteRevokeRequest const& request,
                               Done<pb::InviteRevokeResponse> done) = 0;
    virtual void status(pb::StatusRequest const& request, Done<pb::StatusResponse> done) = 0;
    virtual void peers(pb::PeersRequest const& request, Done<pb::PeersResponse> done) = 0;
    virtual void pair_peer(pb::PairPeerRequest const& request, Done<pb::PairPeerResponse> done) = 0;
    virtual void forget_peer(pb::ForgetPeerRequest const& request,
                             Done<pb::ForgetPeerResponse> done) = 0;
    virtual void set_nickname(pb::SetNicknameRequest const& request,
                              Done<pb::SetNicknameResponse> done) = 0;
    virtual void kick_peer(pb::KickPeerRequest const& request, Done<pb::KickPeerResponse> done) = 0;
    virtual void rotate_identity(pb::RotateIdentityRequest const& request,
                                 Done<pb::RotateIdentityResponse> done) = 0;
    virtual void models(pb::ModelsRequest const& request, Done<pb::ModelsResponse> done) = 0;
    virtual Cancel add_model(pb::AddModelRequest const& request, OnUpdate<pb::Progress> update,
                             StreamDone done) = 0;
    virtual Cancel fetch_model(pb::FetchModelRequest const& request, OnUpdate<pb::Progress> update,
                               StreamDone done) = 0;
    virtual void drop_shards(pb::DropShardsRequest const& request,
                             Done<pb::DropShardsResponse> done) = 0;
    virtual void route(pb::RouteRequest const& request, Done<pb::RouteResponse> done) = 0;
    virtual Cancel run(pb::RunRequest const& request, OnUpdate<pb::RunUpdate> update,
                       StreamDone done) = 0;
    virtual void shutdown(pb::ShutdownRequest const& request, Done<pb::ShutdownResponse> done) = 0;
};

}  // namespace kith::api
