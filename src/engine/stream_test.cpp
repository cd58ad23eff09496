// What a worker can do to the socket on which it says what it read.
#include "engine/stream.h"

#include <doctest/doctest.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <atomic>
#include <thread>

#include "base/code_of.h"

using namespace kith;
using namespace kith::engine;

TEST_CASE("a message is read whole, also when it comes in a few parts") {
    auto pair = SocketPair::create().value();
    base::Bytes const message(1000, 7);
    REQUIRE(write_message(Writer::node, pair.ours.get(), message));
    CHECK(read_message(pair.theirs.get(), 1000, std::chrono::minutes(1)).value() == message);
    REQUIRE(write_message(Writer::node, pair.ours.get(), message));
    CHECK(base::code_of(read_message(pair.theirs.get(), 999, std::chrono::minutes(1))) ==
          base::Code::too_large);
}

TEST_CASE("S87: a message that trickles byte by byte is given up, however long one may wait") {
    auto pair = SocketPair::create().value();
    std::atomic<bool> is_over = false;
    std::thread worker([&] {
        base::Bytes bytes{0, 0, 0, 200};
        bytes.resize(204, 7);
        for (auto const byte : bytes) {
            int unread = 1;  // bytes that the reader has not taken
            while (unread != 0 && !is_over)
                if (::ioctl(pair.theirs.get(), SIOCOUTQ, &unread) != 0) return;
            if (is_over || !write_all(Writer::node, pair.theirs.get(), base::ByteView(&byte, 1)))
                return;
        }
    });
    auto const read = read_message(pair.ours.get(), 1000, std::chrono::minutes(10));
    is_over = true;
    worker.join();
    CHECK(base::code_of(read) == base::Code::timeout);
}
