// io/grpc/control_client.h: the control API of a running daemon, reached through its socket.
//
// It is an api::Control, so a command does not know whether it talks to a daemon or to handlers in
// its own process. The methods block the calling thread and call `done` before they return; the
// Cancel they return is empty.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>

#include "api/control.h"
#include "base/result.h"

namespace kith::io {

// For one answer. A join dials the coordinator and back, so it is generous; streams have no limit
// but cancel().
inline constexpr std::chrono::seconds control_answer_timeout{120};

class ControlClient final : public api::Control {
public:
    // Code::unavailable: no daemon answers on this socket. Code::forbidden: it belongs to another
    // user.
    static base::Result<std::unique_ptr<ControlClient>> connect(
        std::filesystem::path const& socket);
    ~ControlClient() override;

    // Ends the call in progress, and every later one, with Code::cancelled. Callable from any
    // thread.
    void cancel();

    void create(api::pb::CreateRequest const& request,
                api::Done<api::pb::CreateResponse> done) override;
    void join(api::pb::JoinRequest const& request, api::Done<api::pb::JoinResponse> done) override;
    void invite_create(api::pb::InviteCreateRequest const& request,
                       api::Done<api::pb::InviteCreateResponse> done) override;
    void invite_list(api::pb::InviteListRequest const& request,
                     api::Done<api::pb::InviteListResponse> done) override;
    void invite_revoke(api::pb::InviteRevokeRequest const& request,
                       api::Done<api::pb::InviteRevokeResponse> done) override;
    void status(api::pb::StatusRequest const& request,
                api::Done<api::pb::StatusResponse> done) override;
    void peers(api::pb::PeersRequest const& request,
               api::Done<api::pb::PeersResponse> done) override;
    void pair_peer(api::pb::PairPeerRequest const& request,
                   api::Done<api::pb::PairPeerResponse> done) override;
    void forget_peer(api::pb::ForgetPeerRequest const& request,
                     api::Done<api::pb::ForgetPeerResponse> done) override;
    void set_nickname(api::pb::SetNicknameRequest const& request,
                      api::Done<api::pb::SetNicknameResponse> done) override;
    void kick_peer(api::pb::KickPeerRequest const& request,
                   api::Done<api::pb::KickPeerResponse> done) override;
    void rotate_identity(api::pb::RotateIdentityRequest const& request,
                         api::Done<api::pb::RotateIdentityResponse> done) override;
    void models(api::pb::ModelsRequest const& request,
                api::Done<api::pb::ModelsResponse> done) override;
    api::Cancel add_model(api::pb::AddModelRequest const& request,
                          api::OnUpdate<api::pb::Progress> update, api::StreamDone done) override;
    api::Cancel fetch_model(api::pb::FetchModelRequest const& request,
                            api::OnUpdate<api::pb::Progress> update, api::StreamDone done) override;
    void drop_shards(api::pb::DropShardsRequest const& request,
                     api::Done<api::pb::DropShardsResponse> done) override;
    void route(api::pb::RouteRequest const& request,
               api::Done<api::pb::RouteResponse> done) override;
    api::Cancel run(api::pb::RunRequest const& request, api::OnUpdate<api::pb::RunUpdate> update,
                    api::StreamDone done) override;
    void shutdown(api::pb::ShutdownRequest const& request,
                  api::Done<api::pb::ShutdownResponse> done) override;

private:
    class Implementation;
    explicit ControlClient(std::unique_ptr<Implementation> implementation);
    std::unique_ptr<Implementation> implementation_;
};

}  // namespace kith::io
