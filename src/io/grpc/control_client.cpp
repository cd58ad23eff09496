#include "io/grpc/control_client.h"

#include <fcntl.h>
#include <grpcpp/create_channel_posix.h>

#include <mutex>
#include <utility>

#include "io/grpc/control_server.h"
#include "io/grpc/status_map.h"
#include "io/grpc/unix_socket.h"
#include "schema/control.grpc.pb.h"

namespace kith::io {

namespace pb = api::pb;

class ControlClient::Implementation {
public:
    explicit Implementation(std::shared_ptr<grpc::Channel> const& channel)
        : stub_(pb::Control::NewStub(channel)) {}

    template <class Request, class Response>
    using Unary = grpc::Status (pb::Control::Stub::*)(grpc::ClientContext*, Request const&,
                                                      Response*);
    template <class Request, class Message>
    using Stream = std::unique_ptr<grpc::ClientReader<Message>> (pb::Control::Stub::*)(
        grpc::ClientContext*, Request const&);

    template <class Request, class Response>
    void ask(Unary<Request, Response> method, Request const& request,
             api::Done<Response> const& done) {
        grpc::ClientContext context;
        context.set_deadline(std::chrono::system_clock::now() + control_answer_timeout);
        Response response;
        begin(context);
        auto const status = ((*stub_).*method)(&context, request, &response);
        end();
        if (status.ok()) return done(std::move(response));
        done(std::unexpected(from_grpc(status)));
    }

    template <class Request, class Message>
    api::Cancel follow(Stream<Request, Message> method, Request const& request,
                       api::OnUpdate<Message> const& update, api::StreamDone const& done) {
        grpc::ClientContext context;
        begin(context);
        auto const reader = ((*stub_).*method)(&context, request);
        Message message;
        while (reader->Read(&message)) update(message);
        auto const status = reader->Finish();
        end();
        if (status.ok())
            done({});
        else
            done(std::unexpected(from_grpc(status)));
        return {};
    }

    void cancel() {
        std::lock_guard const lock(mutex_);
        cancelled_ = true;
        if (current_ != nullptr) current_->TryCancel();
    }

private:
    void begin(grpc::ClientContext& context) {
        std::lock_guard const lock(mutex_);
        current_ = &context;
        if (cancelled_) context.TryCancel();
    }
    void end() {
        std::lock_guard const lock(mutex_);
        current_ = nullptr;
    }

    std::unique_ptr<pb::Control::Stub> stub_;
    std::mutex mutex_;  // guards what follows: cancel() comes from another thread
    grpc::ClientContext* current_ = nullptr;
    bool cancelled_ = false;
};

ControlClient::ControlClient(std::unique_ptr<Implementation> implementation)
    : implementation_(std::move(implementation)) {}
ControlClient::~ControlClient() = default;

base::Result<std::unique_ptr<ControlClient>> ControlClient::connect(
    std::filesystem::path const& path) {
    auto socket = KITH_TRY(connect_unix(path));
    if (::fcntl(socket.get(), F_SETFL, O_NONBLOCK) != 0)
        return base::fail(base::Code::io, "cannot prepare the connection to the daemon");
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(control_message_bytes_max);
    // The channel owns the descriptor from here on and never dials again.
    auto const channel =
        grpc::CreateCustomInsecureChannelFromFd("kith", socket.release(), arguments);
    return std::unique_ptr<ControlClient>(
        new ControlClient(std::make_unique<Implementation>(channel)));
}

void ControlClient::cancel() {
    implementation_->cancel();
}

void ControlClient::create(pb::CreateRequest const& request, api::Done<pb::CreateResponse> done) {
    implementation_->ask(&pb::Control::Stub::Create, request, done);
}
void ControlClient::join(pb::JoinRequest const& request, api::Done<pb::JoinResponse> done) {
    implementation_->ask(&pb::Control::Stub::Join, request, done);
}
void ControlClient::invite_create(pb::InviteCreateRequest const& request,
                                  api::Done<pb::InviteCreateResponse> done) {
    implementation_->ask(&pb::Control::Stub::InviteCreate, request, done);
}
void ControlClient::invite_list(pb::InviteListRequest const& request,
                                api::Done<pb::InviteListResponse> done) {
    implementation_->ask(&pb::Control::Stub::InviteList, request, done);
}
void ControlClient::invite_revoke(pb::InviteRevokeRequest const& request,
                                  api::Done<pb::InviteRevokeResponse> done) {
    implementation_->ask(&pb::Control::Stub::InviteRevoke, request, done);
}
void ControlClient::status(pb::StatusRequest const& request, api::Done<pb::StatusResponse> done) {
    implementation_->ask(&pb::Control::Stub::GetStatus, request, done);
}
void ControlClient::peers(pb::PeersRequest const& request, api::Done<pb::PeersResponse> done) {
    implementation_->ask(&pb::Control::Stub::ListPeers, request, done);
}
void ControlClient::pair_peer(pb::PairPeerRequest const& request,
                              api::Done<pb::PairPeerResponse> done) {
    implementation_->ask(&pb::Control::Stub::PairPeer, request, done);
}
void ControlClient::forget_peer(pb::ForgetPeerRequest const& request,
                                api::Done<pb::ForgetPeerResponse> done) {
    implementation_->ask(&pb::Control::Stub::ForgetPeer, request, done);
}
void ControlClient::set_nickname(pb::SetNicknameRequest const& request,
                                 api::Done<pb::SetNicknameResponse> done) {
    implementation_->ask(&pb::Control::Stub::SetNickname, request, done);
}
void ControlClient::kick_peer(pb::KickPeerRequest const& request,
                              api::Done<pb::KickPeerResponse> done) {
    implementation_->ask(&pb::Control::Stub::KickPeer, request, done);
}
void ControlClient::rotate_identity(pb::RotateIdentityRequest const& request,
                                    api::Done<pb::RotateIdentityResponse> done) {
    implementation_->ask(&pb::Control::Stub::RotateIdentity, request, done);
}
void ControlClient::models(pb::ModelsRequest const& request, api::Done<pb::ModelsResponse> done) {
    implementation_->ask(&pb::Control::Stub::ListModels, request, done);
}
api::Cancel ControlClient::add_model(pb::AddModelRequest const& request,
                                     api::OnUpdate<pb::Progress> update, api::StreamDone done) {
    return implementation_->follow(&pb::Control::Stub::AddModel, request, update, done);
}
api::Cancel ControlClient::fetch_model(pb::FetchModelRequest const& request,
                                       api::OnUpdate<pb::Progress> update, api::StreamDone done) {
    return implementation_->follow(&pb::Control::Stub::FetchModel, request, update, done);
}
void ControlClient::drop_shards(pb::DropShardsRequest const& request,
                                api::Done<pb::DropShardsResponse> done) {
    implementation_->ask(&pb::Control::Stub::DropShards, request, done);
}
void ControlClient::route(pb::RouteRequest const& request, api::Done<pb::RouteResponse> done) {
    implementation_->ask(&pb::Control::Stub::GetRoute, request, done);
}
api::Cancel ControlClient::run(pb::RunRequest const& request, api::OnUpdate<pb::RunUpdate> update,
                               api::StreamDone done) {
    return implementation_->follow(&pb::Control::Stub::Run, request, update, done);
}
void ControlClient::shutdown(pb::ShutdownRequest const& request,
                             api::Done<pb::ShutdownResponse> done) {
    implementation_->ask(&pb::Control::Stub::Shutdown, request, done);
}

}  // namespace kith::io
