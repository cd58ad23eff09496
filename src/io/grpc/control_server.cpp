#include "io/grpc/control_server.h"

#include <grpcpp/server_builder.h>
#include <grpcpp/server_posix.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

#include "io/grpc/control_calls.h"
#include "io/grpc/status_map.h"
#include "io/grpc/unix_acceptor.h"
#include "schema/control.grpc.pb.h"

namespace kith::io {
namespace {

namespace pb = api::pb;
using base::Code;

// How long gRPC may take for connections that do not close by themselves.
constexpr std::chrono::milliseconds shutdown_grace{200};

template <class Response>
class UnaryCall final : public grpc::ServerUnaryReactor, public OpenCall {
public:
    explicit UnaryCall(Response* response) : response_(response) {}

    void answer(base::Result<Response> result) {
        if (!result) return Finish(to_grpc(result.error()));
        *response_ = *std::move(result);
        Finish(grpc::Status::OK);
    }
    void abandon(grpc::Status status) override { Finish(std::move(status)); }
    void OnDone() override { delete this; }

private:
    Response* response_;  // gRPC's, valid until Finish
};

// A stream of messages: the loop thread pushes, gRPC writes one at a time.
template <class Message>
class StreamCall final : public grpc::ServerWriteReactor<Message>, public OpenCall {
public:
    StreamCall(std::shared_ptr<ControlCalls> calls, ControlServer::Post post)
        : calls_(std::move(calls)), post_(std::move(post)) {}

    void set_id(CallId id) { id_ = id; }

    // False: the queue is full and nothing was queued. `first` is set when the caller has to start
    // writing (once it holds no lock): the promised write keeps the call alive, although nobody
    // claimed it.
    bool push(Message const& message, Message const*& first) {
        std::lock_guard const lock(mutex_);
        if (queue_.size() >= control_stream_messages_max) return false;
        queue_.push_back(message);
        if (!std::exchange(writing_, true)) first = &queue_.front();
        return true;
    }

    // Sends what is queued, then the status.
    void conclude(grpc::Status status) { end(std::move(status), Rest::send); }
    void abandon(grpc::Status status) override { end(std::move(status), Rest::drop); }

    void OnWriteDone(bool sent) override {
        Message const* next = nullptr;
        std::optional<grpc::Status> last;
        {
            std::lock_guard const lock(mutex_);
            queue_.pop_front();
            if (!sent) queue_.clear();
            writing_ = !queue_.empty();
            if (writing_)
                next = &queue_.front();
            else
                last = std::exchange(status_, std::nullopt);
        }
        if (next != nullptr) return this->StartWrite(next);
        if (last) this->Finish(*std::move(last));
    }
    // The client went away, or the server stops. Reactions run before OnDone, so `this` is alive.
    void OnCancel() override {
        if (calls_->claim(id_) == nullptr) return;
        post_([calls = calls_, id = id_] { calls->cancel_work(id); });
        abandon(grpc::Status::CANCELLED);
    }
    void OnDone() override { delete this; }

private:
    enum class Rest { send, drop };

    void end(grpc::Status status, Rest rest) {
        {
            std::lock_guard const lock(mutex_);
            if (writing_) {  // OnWriteDone finishes; the front belongs to gRPC until then
                if (rest == Rest::drop) queue_.resize(1);
                status_ = std::move(status);
                return;
            }
        }
        this->Finish(std::move(status));
    }

    std::shared_ptr<ControlCalls> calls_;
    ControlServer::Post post_;
    CallId id_ = 0;
    std::mutex mutex_;  // guards what follows
    std::deque<Message>
        queue_;  // the front is being written while writing_; a deque never moves it
    bool writing_ = false;
    std::optional<grpc::Status> status_;  // set: finish with it when the queue is empty
};

class Service final : public pb::Control::CallbackService {
public:
    Service(api::Control& control, ControlServer::Post post)
        : control_(control),
          post_(std::move(post)),
          calls_(std::make_shared<ControlCalls>(control_calls_max)) {}

    ControlCalls& calls() { return *calls_; }

    using Context = grpc::CallbackServerContext;

    grpc::ServerUnaryReactor* Create(Context*, pb::CreateRequest const* request,
                                     pb::CreateResponse* response) override {
        return answer(&api::Control::create, *request, response);
    }
    grpc::ServerUnaryReactor* Join(Context*, pb::JoinRequest const* request,
                                   pb::JoinResponse* response) override {
        return answer(&api::Control::join, *request, response);
    }
    grpc::ServerUnaryReactor* InviteCreate(Context*, pb::InviteCreateRequest const* request,
                                           pb::InviteCreateResponse* response) override {
        return answer(&api::Control::invite_create, *request, response);
    }
    grpc::ServerUnaryReactor* InviteList(Context*, pb::InviteListRequest const* request,
                                         pb::InviteListResponse* response) override {
        return answer(&api::Control::invite_list, *request, response);
    }
    grpc::ServerUnaryReactor* InviteRevoke(Context*, pb::InviteRevokeRequest const* request,
                                           pb::InviteRevokeResponse* response) override {
        return answer(&api::Control::invite_revoke, *request, response);
    }
    grpc::ServerUnaryReactor* GetStatus(Context*, pb::StatusRequest const* request,
                                        pb::StatusResponse* response) override {
        return answer(&api::Control::status, *request, response);
    }
    grpc::ServerUnaryReactor* ListPeers(Context*, pb::PeersRequest const* request,
                                        pb::PeersResponse* response) override {
        return answer(&api::Control::peers, *request, response);
    }
    grpc::ServerUnaryReactor* PairPeer(Context*, pb::PairPeerRequest const* request,
                                       pb::PairPeerResponse* response) override {
        return answer(&api::Control::pair_peer, *request, response);
    }
    grpc::ServerUnaryReactor* ForgetPeer(Context*, pb::ForgetPeerRequest const* request,
                                         pb::ForgetPeerResponse* response) override {
        return answer(&api::Control::forget_peer, *request, response);
    }
    grpc::ServerUnaryReactor* SetNickname(Context*, pb::SetNicknameRequest const* request,
                                          pb::SetNicknameResponse* response) override {
        return answer(&api::Control::set_nickname, *request, response);
    }
    grpc::ServerUnaryReactor* KickPeer(Context*, pb::KickPeerRequest const* request,
                                       pb::KickPeerResponse* response) override {
        return answer(&api::Control::kick_peer, *request, response);
    }
    grpc::ServerUnaryReactor* RotateIdentity(Context*, pb::RotateIdentityRequest const* request,
                                             pb::RotateIdentityResponse* response) override {
        return answer(&api::Control::rotate_identity, *request, response);
    }
    grpc::ServerUnaryReactor* ListModels(Context*, pb::ModelsRequest const* request,
                                         pb::ModelsResponse* response) override {
        return answer(&api::Control::models, *request, response);
    }
    grpc::ServerWriteReactor<pb::Progress>* AddModel(Context*,
                                                     pb::AddModelRequest const* request) override {
        return stream(&api::Control::add_model, *request);
    }
    grpc::ServerWriteReactor<pb::Progress>* FetchModel(
        Context*, pb::FetchModelRequest const* request) override {
        return stream(&api::Control::fetch_model, *request);
    }
    grpc::ServerUnaryReactor* DropShards(Context*, pb::DropShardsRequest const* request,
                                         pb::DropShardsResponse* response) override {
        return answer(&api::Control::drop_shards, *request, response);
    }
    grpc::ServerUnaryReactor* GetRoute(Context*, pb::RouteRequest const* request,
                                       pb::RouteResponse* response) override {
        return answer(&api::Control::route, *request, response);
    }
    grpc::ServerWriteReactor<pb::RunUpdate>* Run(Context*, pb::RunRequest const* request) override {
        return stream(&api::Control::run, *request);
    }
    grpc::ServerUnaryReactor* Shutdown(Context*, pb::ShutdownRequest const* request,
                                       pb::ShutdownResponse* response) override {
        return answer(&api::Control::shutdown, *request, response);
    }

private:
    template <class Request, class Response>
    using Method = void (api::Control::*)(Request const&, api::Done<Response>);
    template <class Request, class Message>
    using Streaming = api::Cancel (api::Control::*)(Request const&, api::OnUpdate<Message>,
                                                    api::StreamDone);

    template <class Request, class Response>
    grpc::ServerUnaryReactor* answer(Method<Request, Response> method, Request const& request,
                                     Response* response) {
        auto* const call = new UnaryCall<Response>(response);
        auto const id = calls_->begin(*call);
        if (!id) {
            call->abandon(to_grpc(id.error()));
            return call;
        }
        // The request is copied: gRPC takes its own back when stop() ends the call before the loop
        // gets here.
        post_([calls = calls_, control = &control_, method, request, id = *id] {
            if (!calls->is_open(id)) return;
            ((*control).*method)(request, [calls, id](base::Result<Response> result) {
                auto* const open = calls->claim(id);
                if (open != nullptr)
                    static_cast<UnaryCall<Response>*>(open)->answer(std::move(result));
            });
        });
        return call;
    }

    template <class Request, class Message>
    grpc::ServerWriteReactor<Message>* stream(Streaming<Request, Message> method,
                                              Request const& request) {
        auto* const call = new StreamCall<Message>(calls_, post_);
        auto const id = calls_->begin(*call);
        if (!id) {
            call->abandon(to_grpc(id.error()));
            return call;
        }
        call->set_id(*id);
        post_([calls = calls_, post = post_, control = &control_, method, request, id = *id] {
            if (!calls->is_open(id)) return;
            calls->work_started(id);
            auto cancel = ((*control).*method)(
                request,
                [calls, post, id](Message const& message) { push(calls, post, id, message); },
                [calls, id](base::Status const& status) {
                    calls->work_done(id);
                    if (auto* const open = calls->claim(id))
                        static_cast<StreamCall<Message>*>(open)->conclude(
                            status ? grpc::Status::OK : to_grpc(status.error()));
                });
            calls->set_cancel(id, std::move(cancel));
        });
        return call;
    }

    // Loop thread. A reader that lets the queue fill up loses the call; its work is cancelled.
    template <class Message>
    static void push(std::shared_ptr<ControlCalls> const& calls, ControlServer::Post const& post,
                     CallId id, Message const& message) {
        Message const* first = nullptr;
        StreamCall<Message>* writer = nullptr;
        bool queued = true;
        calls->with(id, [&](OpenCall& open) {
            writer = static_cast<StreamCall<Message>*>(&open);
            queued = writer->push(message, first);
        });
        if (first != nullptr) return writer->StartWrite(first);
        if (queued) return;
        // Not from here: the handler is in the middle of its own update.
        post([calls, id] { calls->cancel_work(id); });
        if (auto* const open = calls->claim(id))
            open->abandon({grpc::StatusCode::RESOURCE_EXHAUSTED,
                           "the client reads too slowly; its call was ended"});
    }

    api::Control& control_;
    ControlServer::Post post_;
    std::shared_ptr<ControlCalls> calls_;
};

// The file a server made, so that it never removes the file of a successor.
struct SocketFile {
    std::filesystem::path path;
    ::dev_t device = 0;
    ::ino_t inode = 0;
};

SocketFile identify(std::filesystem::path const& path) {
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0) return {path, 0, 0};
    return {path, info.st_dev, info.st_ino};
}

void remove(SocketFile const& file) {
    auto const now = identify(file.path);
    if (now.inode == file.inode && now.device == file.device) ::unlink(file.path.c_str());
}

}  // namespace

class ControlServer::Implementation {
public:
    Implementation(api::Control& control, Post post) : service_(control, std::move(post)) {}

    base::Status start(std::filesystem::path const& path) {
        auto listener = KITH_TRY(listen_unix(path));
        file_ = identify(path);
        grpc::ServerBuilder builder;
        builder.RegisterService(&service_);
        builder.SetMaxReceiveMessageSize(control_message_bytes_max);
        server_ = builder.BuildAndStart();  // without a listening port: connections are handed in
        if (server_ == nullptr) {
            remove(file_);
            return base::fail(Code::internal, "gRPC does not start");
        }
        acceptor_ = KITH_TRY(
            UnixAcceptor::start(std::move(listener), [server = server_.get()](FileDescriptor peer) {
                grpc::AddInsecureChannelFromFd(server, peer.release());
            }));
        return {};
    }

    void stop() {
        if (server_ == nullptr) return;
        acceptor_.reset();
        remove(file_);
        auto& calls = service_.calls();
        for (auto* const call : calls.close())
            call->abandon({grpc::StatusCode::UNAVAILABLE, "kith is stopping"});
        calls.cancel_all_work();
        server_->Shutdown(std::chrono::system_clock::now() + shutdown_grace);
        server_.reset();
    }

private:
    Service service_;
    SocketFile file_;
    std::unique_ptr<grpc::Server> server_;
    std::unique_ptr<UnixAcceptor> acceptor_;
};

ControlServer::ControlServer(std::unique_ptr<Implementation> implementation)
    : implementation_(std::move(implementation)) {}

ControlServer::~ControlServer() {
    stop();
}

void ControlServer::stop() {
    implementation_->stop();
}

base::Result<std::unique_ptr<ControlServer>> ControlServer::start(
    std::filesystem::path const& socket, api::Control& control, Post post) {
    auto implementation = std::make_unique<Implementation>(control, std::move(post));
    std::unique_ptr<ControlServer> server(new ControlServer(std::move(implementation)));
    KITH_TRY(server->implementation_->start(socket));
    return server;
}

}  // namespace kith::io
