#include "io/net/os.h"

#include <sys/random.h>
#include <time.h>

#include <cerrno>

#include "base/check.h"

namespace kith::io {

base::Status OsRng::fill(base::MutableByteView out) {
    while (!out.empty()) {
        auto const got = getrandom(out.data(), out.size(), 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return base::fail(base::Code::io, "the system's random generator failed");
        out = out.subspan(static_cast<std::size_t>(got));
    }
    return {};
}

base::Instant OsClock::now() const {
    timespec time{};
    KITH_ASSERT(clock_gettime(CLOCK_BOOTTIME, &time) == 0);  // cannot fail for a clock that exists
    return base::Instant{std::chrono::seconds(time.tv_sec) +
                         std::chrono::microseconds(time.tv_nsec / 1000)};
}

base::UnixTime OsClock::unix_now() const {
    timespec time{};
    KITH_ASSERT(clock_gettime(CLOCK_REALTIME, &time) == 0);
    return base::UnixTime{time.tv_sec};
}

}  // namespace kith::io
