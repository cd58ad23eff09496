// io/http/http_test_client.h: a raw socket that says what the test wants, for tests only. Blocking,
// with a long time-out that no passing test reaches.
#pragma once

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace kith::io {

class TestClient {
public:
    static constexpr int patience_s = 60;

    explicit TestClient(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
        timeval const patience{patience_s, 0};
        ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(port);
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        connected_ = ::connect(socket_, reinterpret_cast<sockaddr const*>(&to), sizeof to) == 0;
    }
    ~TestClient() { close(); }
    TestClient(TestClient const&) = delete;
    TestClient& operator=(TestClient const&) = delete;

    [[nodiscard]] bool connected() const { return connected_; }

    // False once the server does not take bytes any more.
    bool send(std::string_view bytes) {
        while (!bytes.empty()) {
            auto const count = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (count <= 0) return false;
            bytes.remove_prefix(static_cast<std::size_t>(count));
        }
        return true;
    }

    // Reads until `wanted` appears in what was received so far; false at end of file or error.
    bool receive_until(std::string_view wanted) {
        while (received.find(wanted) == std::string::npos)
            if (!receive_some()) return false;
        return true;
    }

    // One response with a Content-Length, taken out of `received`; empty at end of file.
    std::string receive_response() {
        if (!receive_until("\r\n\r\n")) return {};
        std::size_t size = received.find("\r\n\r\n") + 4;
        auto const field = received.find("content-length: ");
        if (field < size) size += std::stoul(received.substr(field + 16));
        while (received.size() < size)
            if (!receive_some()) return {};
        std::string out = received.substr(0, size);
        received.erase(0, size);
        return out;
    }

    // Everything until the server closes.
    std::string receive_all() {
        while (receive_some()) {
        }
        return received;
    }

    // True when the server has said or closed something within a moment.
    [[nodiscard]] bool has_news(int moment_ms) const {
        pollfd wait{socket_, POLLIN, 0};
        return ::poll(&wait, 1, moment_ms) > 0;
    }

    void close() {
        if (socket_ >= 0) ::close(socket_);
        socket_ = -1;
    }

    std::string received;

private:
    bool receive_some() {
        char buffer[65536];
        auto const count = ::recv(socket_, buffer, sizeof buffer, 0);
        if (count <= 0) return false;
        received.append(buffer, static_cast<std::size_t>(count));
        return true;
    }

    int socket_;
    bool connected_ = false;
};

// "HTTP/1.1 200 OK..." -> 200; 0 for anything else.
inline unsigned status_of(std::string_view response) {
    if (!response.starts_with("HTTP/1.1 ") || response.size() < 12) return 0;
    return static_cast<unsigned>(std::stoul(std::string(response.substr(9, 3))));
}

}  // namespace kith::io
