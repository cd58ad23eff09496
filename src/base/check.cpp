#include "base/check.h"

#include <cstdio>
#include <cstdlib>

#include "base/result.h"

namespace kith::base {

void assertion_failed(char const* condition, char const* file, int line) {
    std::fprintf(stderr, "kith: bug: %s at %s:%d\n", condition, file, line);
    std::abort();
}

char const* code_name(Code code) {
    switch (code) {
        case Code::invalid:
            return "invalid";
        case Code::too_large:
            return "too_large";
        case Code::unauthorized:
            return "unauthorized";
        case Code::forbidden:
            return "forbidden";
        case Code::not_found:
            return "not_found";
        case Code::conflict:
            return "conflict";
        case Code::unavailable:
            return "unavailable";
        case Code::timeout:
            return "timeout";
        case Code::cancelled:
            return "cancelled";
        case Code::corrupt:
            return "corrupt";
        case Code::io:
            return "io";
        case Code::unsupported:
            return "unsupported";
        case Code::internal:
            return "internal";
    }
    return "internal";
}

}  // namespace kith::base
