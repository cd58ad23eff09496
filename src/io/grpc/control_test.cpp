#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <future>
#include <mutex>
#include <set>
#include <thread>

#include "base/temporary_folder.h"
#include "io/grpc/control_calls.h"
#include "io/grpc/control_client.h"
#include "io/grpc/control_server.h"
#include "io/grpc/status_map.h"
#include "io/grpc/unix_socket.h"

using namespace kith;
namespace fs = std::filesystem;
namespace pb = api::pb;

namespace {

struct Folder : base::TemporaryFolder {
    [[nodiscard]] fs::path socket() const { return path() / "run" / "control.sock"; }
};

// The loop thread of a daemon, reduced to its queue.
class Loop {
public:
    Loop() : thread_([this] { run(); }) {}
    ~Loop() {
        {
            std::lock_guard const lock(mutex_);
            stopped_ = true;
        }
        changed_.notify_all();
        thread_.join();
    }
    void post(std::function<void()> action) {
        {
            std::lock_guard const lock(mutex_);
            queue_.push_back(std::move(action));
        }
        changed_.notify_all();
    }
    // Runs on the loop thread and waits for it: what was posted before has run then, too.
    void sync(std::function<void()> const& action) {
        std::promise<void> done;
        post([&] {
            action();
            done.set_value();
        });
        done.get_future().wait();
    }

private:
    void run() {
        std::unique_lock lock(mutex_);
        for (;;) {
            changed_.wait(lock, [this] { return stopped_ || !queue_.empty(); });
            if (queue_.empty()) return;
            auto const action = std::move(queue_.front());
            queue_.pop_front();
            lock.unlock();
            action();
            lock.lock();
        }
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::function<void()>> queue_;
    bool stopped_ = false;
    std::thread thread_;
};

template <class Value>
class Once {  // set on one thread, waited for on another
public:
    void set(Value value) {
        if (!set_.exchange(true)) promise_.set_value(std::move(value));
    }
    Value wait() const { return future_.get(); }

private:
    std::atomic<bool> set_ = false;
    std::promise<Value> promise_;
    std::shared_future<Value> future_ = promise_.get_future().share();
};

// Handlers that answer as each test tells them.
class FakeControl final : public api::Control {
public:
    void create(pb::CreateRequest const& request, api::Done<pb::CreateResponse> done) override {
        pb::CreateResponse response;
        response.set_name(request.name());
        done(response);
    }
    void join(pb::JoinRequest const&, api::Done<pb::JoinResponse> done) override {
        done(base::fail(join_code, "the invite is spent"));
    }
    void invite_create(pb::InviteCreateRequest const&,
                       api::Done<pb::InviteCreateResponse>) override {}
    void invite_list(pb::InviteListRequest const&, api::Done<pb::InviteListResponse>) override {}
    void invite_revoke(pb::InviteRevokeRequest const&,
                       api::Done<pb::InviteRevokeResponse>) override {}
    // Never answers by itself.
    void status(pb::StatusRequest const&, api::Done<pb::StatusResponse> done) override {
        kept_status = std::move(done);
        status_called.set(true);
    }
    void peers(pb::PeersRequest const&, api::Done<pb::PeersResponse> done) override { done({}); }
    void pair_peer(pb::PairPeerRequest const&, api::Done<pb::PairPeerResponse> done) override {
        done({});
    }
    void forget_peer(pb::ForgetPeerRequest const&,
                     api::Done<pb::ForgetPeerResponse> done) override {
        done({});
    }
    void set_nickname(pb::SetNicknameRequest const&,
                      api::Done<pb::SetNicknameResponse> done) override {
        done({});
    }
    void kick_peer(pb::KickPeerRequest const&, api::Done<pb::KickPeerResponse> done) override {
        done({});
    }
    void rotate_identity(pb::RotateIdentityRequest const&,
                         api::Done<pb::RotateIdentityResponse> done) override {
        done({});
    }
    void models(pb::ModelsRequest const&, api::Done<pb::ModelsResponse> done) override { done({}); }
    api::Cancel add_model(pb::AddModelRequest const&, api::OnUpdate<pb::Progress> update,
                          api::StreamDone done) override {
        pb::Progress progress;
        for (std::uint64_t i = 0; i < progress_count; ++i) {
            progress.set_done(i);
            update(progress);
        }
        done({});
        return {};
    }
    api::Cancel fetch_model(pb::FetchModelRequest const&, api::OnUpdate<pb::Progress>,
                            api::StreamDone done) override {
        done(base::fail(base::Code::not_found, "no member holds it"));
        return {};
    }
    void drop_shards(pb::DropShardsRequest const&,
                     api::Done<pb::DropShardsResponse> done) override {
        done({});
    }
    void route(pb::RouteRequest const&, api::Done<pb::RouteResponse> done) override { done({}); }
    // Sends one word and goes on until cancelled.
    api::Cancel run(pb::RunRequest const&, api::OnUpdate<pb::RunUpdate> update,
                    api::StreamDone done) override {
        pb::RunUpdate word;
        word.set_text(run_text);
        for (int i = 0; i < run_count; ++i) update(word);
        kept_run = std::move(done);
        return [this] { cancelled.set(true); };
    }
    void shutdown(pb::ShutdownRequest const&, api::Done<pb::ShutdownResponse> done) override {
        done({});
    }

    base::Code join_code = base::Code::conflict;
    std::uint64_t progress_count = 3;
    std::string run_text = "word";
    int run_count = 1;
    api::Done<pb::StatusResponse> kept_status;
    api::StreamDone kept_run;
    Once<bool> status_called;
    Once<bool> cancelled;
};

struct Bench {
    Folder folder;
    FakeControl control;
    Loop loop;
    std::unique_ptr<io::ControlServer> server;

    Bench() {
        auto started = start();
        REQUIRE_MESSAGE(started.has_value(), started.error().message);
        server = *std::move(started);
    }
    ~Bench() {
        if (server) stop();
    }
    base::Result<std::unique_ptr<io::ControlServer>> start() {
        return io::ControlServer::start(folder.socket(), control,
                                        [this](auto action) { loop.post(std::move(action)); });
    }
    void stop() {
        loop.sync([this] { server->stop(); });
    }
    std::unique_ptr<io::ControlClient> client() const {
        auto connected = io::ControlClient::connect(folder.socket());
        REQUIRE_MESSAGE(connected.has_value(), connected.error().message);
        return *std::move(connected);
    }
};

mode_t mode_of(fs::path const& path) {
    struct stat info {};
    REQUIRE(::lstat(path.c_str(), &info) == 0);
    return info.st_mode & 0777;
}

template <class Response>
struct Answer {
    std::optional<base::Result<Response>> result;
    api::Done<Response> done() {
        return [this](base::Result<Response> answer) { result = std::move(answer); };
    }
};

}  // namespace

TEST_CASE("a call crosses the socket and its answer comes back") {
    Bench bench;
    Answer<pb::CreateResponse> answer;
    pb::CreateRequest request;
    request.set_name("friends");
    bench.client()->create(request, answer.done());
    REQUIRE(answer.result.has_value());
    REQUIRE(answer.result->has_value());
    CHECK((*answer.result)->name() == "friends");
}

TEST_CASE("every code and its sentence come back as the handler wrote them") {
    Bench bench;
    auto const client = bench.client();
    for (auto const code :
         {base::Code::invalid, base::Code::too_large, base::Code::unauthorized,
          base::Code::forbidden, base::Code::not_found, base::Code::conflict,
          base::Code::unavailable, base::Code::timeout, base::Code::cancelled, base::Code::corrupt,
          base::Code::io, base::Code::unsupported, base::Code::internal}) {
        bench.loop.sync([&] { bench.control.join_code = code; });
        Answer<pb::JoinResponse> answer;
        client->join({}, answer.done());
        REQUIRE(answer.result.has_value());
        REQUIRE_FALSE(answer.result->has_value());
        CHECK(answer.result->error().code == code);
        CHECK(answer.result->error().message == "the invite is spent");
    }
}

TEST_CASE("a sentence that is too long is cut at a whole character") {
    std::string text(io::status_message_bytes_max - 1, 'a');
    text += "\xc3\xa4";  // its second byte would be one too many
    CHECK(io::to_grpc({base::Code::io, text}).error_message().size() ==
          io::status_message_bytes_max - 1);
}

TEST_CASE("a stream arrives whole and in order") {
    Bench bench;
    bench.control.progress_count = 500;
    std::vector<std::uint64_t> seen;
    std::optional<base::Status> ended;
    bench.client()->add_model(
        {}, [&](pb::Progress const& progress) { seen.push_back(progress.done()); },
        [&](base::Status status) { ended = std::move(status); });
    REQUIRE(ended.has_value());
    CHECK(ended->has_value());
    REQUIRE(seen.size() == 500);
    for (std::uint64_t i = 0; i < seen.size(); ++i) CHECK(seen[i] == i);
}

TEST_CASE("a stream that fails carries the error") {
    Bench bench;
    std::optional<base::Status> ended;
    bench.client()->fetch_model(
        {}, [](pb::Progress const&) {}, [&](base::Status status) { ended = std::move(status); });
    REQUIRE(ended.has_value());
    REQUIRE_FALSE(ended->has_value());
    CHECK(ended->error().code == base::Code::not_found);
}

TEST_CASE("a client that goes away cancels its work") {
    Bench bench;
    auto const client = bench.client();
    std::optional<base::Status> ended;
    client->run(
        {}, [&](pb::RunUpdate const&) { client->cancel(); },
        [&](base::Status status) { ended = std::move(status); });
    REQUIRE(ended.has_value());
    CHECK(ended->error().code == base::Code::cancelled);
    CHECK(bench.control.cancelled.wait());
    // A handler that answers after all finds nobody and harms nobody.
    bench.loop.sync([&] { bench.control.kept_run({}); });
}

TEST_CASE("a reader that does not keep up loses its call, and the work is cancelled") {
    Bench bench;
    // More than the queue and every buffer of the transport together hold.
    bench.control.run_text.assign(64 * 1024, 'x');
    bench.control.run_count = static_cast<int>(io::control_stream_messages_max) + 200;
    auto const client = bench.client();
    std::optional<base::Status> ended;
    client->run(
        {},
        [&](pb::RunUpdate const&) {
            (void)bench.control.cancelled.wait();  // reads nothing more until it is too late
        },
        [&](base::Status status) { ended = std::move(status); });
    REQUIRE(ended.has_value());
    REQUIRE_FALSE(ended->has_value());
    CHECK(ended->error().code == base::Code::too_large);
}

TEST_CASE("stop ends waiting calls, cancels streams, and a late answer harms nobody") {
    Bench bench;
    auto const waiting = bench.client();
    auto const streaming = bench.client();
    std::optional<base::Status> ended;
    Answer<pb::StatusResponse> answer;
    Once<bool> streams;
    std::thread asker([&] { waiting->status({}, answer.done()); });
    std::thread reader([&] {
        streaming->run(
            {}, [&](pb::RunUpdate const&) { streams.set(true); },
            [&](base::Status status) { ended = std::move(status); });
    });
    CHECK(bench.control.status_called.wait());
    CHECK(streams.wait());
    bench.stop();
    asker.join();
    reader.join();
    REQUIRE(answer.result.has_value());
    CHECK(answer.result->error().code == base::Code::unavailable);
    REQUIRE(ended.has_value());
    CHECK(ended->error().code == base::Code::unavailable);
    CHECK(bench.control.cancelled.wait());
    bench.loop.sync([&] {
        bench.control.kept_status(pb::StatusResponse{});
        bench.control.kept_run({});
        bench.server->stop();  // a second time
    });
    CHECK_FALSE(fs::exists(bench.folder.socket()));
}

TEST_CASE("calls beyond the limit are refused, one at the limit is not") {
    io::ControlCalls calls(2);
    struct Nothing final : io::OpenCall {
        void abandon(grpc::Status) override {}
    } call;
    auto const first = calls.begin(call);
    REQUIRE(first.has_value());
    REQUIRE(calls.begin(call).has_value());
    CHECK(calls.begin(call).error().code == base::Code::too_large);
    CHECK(calls.claim(*first) == &call);
    CHECK(calls.claim(*first) == nullptr);
    CHECK(calls.begin(call).has_value());
    CHECK(calls.close().size() == 2);
    CHECK(calls.begin(call).error().code == base::Code::unavailable);
}

TEST_CASE("M2: the socket is a file for its user alone, and nothing else listens") {
    // Every listening socket of the kernel, by the inodes of this process's descriptors.
    auto const listeners = [] {
        std::set<std::string> found;
        std::error_code ignored;
        for (auto const& entry : fs::directory_iterator("/proc/self/fd", ignored)) {
            int listening = 0;
            socklen_t size = sizeof(listening);
            int const descriptor = std::atoi(entry.path().filename().c_str());
            if (::getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 &&
                listening != 0)
                found.insert(entry.path().filename().string());
        }
        return found;
    };
    auto const before = listeners();
    Bench bench;
    CHECK(mode_of(bench.folder.socket()) == 0600);
    CHECK(mode_of(bench.folder.socket().parent_path()) == 0700);
    auto const after = listeners();
    REQUIRE(after.size() == before.size() + 1);
    for (auto const& descriptor : after) {
        if (before.contains(descriptor)) continue;
        sockaddr_un name{};
        socklen_t size = sizeof(name);
        REQUIRE(::getsockname(std::atoi(descriptor.c_str()), reinterpret_cast<sockaddr*>(&name),
                              &size) == 0);
        CHECK(name.sun_family == AF_UNIX);
        CHECK(name.sun_path[0] == '/');  // '\0' would be the abstract namespace
        CHECK(bench.folder.socket() == name.sun_path);
    }
}

TEST_CASE("M2: a socket directory that others may enter is refused") {
    Folder folder;
    REQUIRE(::mkdir(folder.socket().parent_path().c_str(), 0700) == 0);
    REQUIRE(::chmod(folder.socket().parent_path().c_str(), 0755) == 0);
    auto const refused = io::listen_unix(folder.socket());
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code == base::Code::forbidden);
}

TEST_CASE("M2: another user is turned away even when the modes are loosened") {
    if (::geteuid() != 0) {
        MESSAGE("needs root to become another user; skipped");
        return;
    }
    Bench bench;
    for (auto const& path : {bench.folder.path(), bench.folder.socket().parent_path()})
        REQUIRE(::chmod(path.c_str(), 0755) == 0);
    REQUIRE(::chmod(bench.folder.socket().c_str(), 0666) == 0);
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    std::strcpy(name.sun_path, bench.folder.socket().c_str());
    // The server speaks first (HTTP/2 SETTINGS): a byte means it lets the stranger in. Only system
    // calls after fork, because other threads exist.
    auto const child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        char byte = 0;
        int const socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
        if (::setresuid(65534, 65534, 65534) != 0) ::_exit(10);
        if (::connect(socket, reinterpret_cast<sockaddr*>(&name), sizeof(name)) != 0) ::_exit(11);
        auto const count = ::read(socket, &byte, 1);
        ::_exit(count > 0 ? 12 : 0);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
    // The owner is still served.
    Answer<pb::CreateResponse> answer;
    bench.client()->create({}, answer.done());
    CHECK(answer.result->has_value());
}

TEST_CASE("a second daemon on the same socket is refused, and the first goes on") {
    Bench bench;
    auto const second = bench.start();
    REQUIRE_FALSE(second.has_value());
    CHECK(second.error().code == base::Code::conflict);
    Answer<pb::CreateResponse> answer;
    bench.client()->create({}, answer.done());
    CHECK(answer.result->has_value());
}

TEST_CASE("the socket file of a dead daemon is replaced, another file never") {
    Folder folder;
    {
        auto const dead = io::listen_unix(folder.socket());
        REQUIRE(dead.has_value());
    }  // closed, but the file stays
    REQUIRE(fs::exists(folder.socket()));
    CHECK(io::connect_unix(folder.socket()).error().code == base::Code::unavailable);
    CHECK(io::listen_unix(folder.socket()).has_value());

    fs::remove(folder.socket());
    REQUIRE(::symlink("/etc/hostname", folder.socket().c_str()) == 0);
    CHECK(io::listen_unix(folder.socket()).error().code == base::Code::conflict);
    CHECK(fs::is_symlink(folder.socket()));
}

TEST_CASE("without a daemon a client is told so") {
    Folder folder;
    auto const client = io::ControlClient::connect(folder.socket());
    REQUIRE_FALSE(client.has_value());
    CHECK(client.error().code == base::Code::unavailable);
}

TEST_CASE("a path longer than a socket address still works") {
    Folder folder;
    auto const deep = folder.path() / std::string(120, 'd') / "run" / "control.sock";
    fs::create_directories(deep.parent_path().parent_path());
    auto const listener = io::listen_unix(deep);
    REQUIRE_MESSAGE(listener.has_value(), listener.error().message);
    CHECK(io::connect_unix(deep).has_value());
    CHECK(mode_of(deep) == 0600);
}
