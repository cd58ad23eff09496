// What strftime_now() writes: UTC, English names, the formats that chat templates use.
#include <array>
#include <cstdio>

#include "infer/jinja/builtins.h"

namespace kith::infer::jinja {
namespace {

struct Date {
    std::int64_t year = 0;
    unsigned month = 0;  // from 1
    unsigned day = 0;    // from 1
};

// Howard Hinnant, "chrono-compatible low-level date algorithms", civil_from_days.
Date date_of(std::int64_t days) {
    days += 719468;
    auto const era = (days >= 0 ? days : days - 146096) / 146097;
    auto const day_of_era = static_cast<unsigned>(days - era * 146097);
    auto const year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    auto const day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    auto const shifted = (5 * day_of_year + 2) / 153;
    auto const month = shifted < 10 ? shifted + 3 : shifted - 9;
    return {.year = static_cast<std::int64_t>(year_of_era) + era * 400 + (month <= 2 ? 1 : 0),
            .month = month,
            .day = day_of_year - (153 * shifted + 2) / 5 + 1};
}

constexpr std::array<char const*, 12> months = {"January",   "February", "March",    "April",
                                                "May",       "June",     "July",     "August",
                                                "September", "October",  "November", "December"};
constexpr std::array<char const*, 7> weekdays = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                 "Thursday", "Friday", "Saturday"};

std::string digits(std::int64_t value, int width) {
    std::array<char, 32> buffer{};
    std::snprintf(buffer.data(), buffer.size(), "%0*lld", width, static_cast<long long>(value));
    return buffer.data();
}

std::string part_of(char letter, std::int64_t second, bool& known) {
    auto const days = (second >= 0 ? second : second - 86399) / 86400;
    auto const rest = second - days * 86400;
    auto const date = date_of(days);
    auto const hour = rest / 3600;
    auto const weekday = static_cast<std::size_t>(((days + 4) % 7 + 7) % 7);
    switch (letter) {
        case 'Y':
            return digits(date.year, 4);
        case 'y':
            return digits(date.year % 100, 2);
        case 'm':
            return digits(date.month, 2);
        case 'd':
            return digits(date.day, 2);
        case 'H':
            return digits(hour, 2);
        case 'I':
            return digits(hour % 12 == 0 ? 12 : hour % 12, 2);
        case 'M':
            return digits(rest / 60 % 60, 2);
        case 'S':
            return digits(rest % 60, 2);
        case 'p':
            return hour < 12 ? "AM" : "PM";
        case 'B':
            return months[date.month - 1];
        case 'b':
            return std::string(months[date.month - 1], 3);
        case 'A':
            return weekdays[weekday];
        case 'a':
            return std::string(weekdays[weekday], 3);
        case 'Z':
            return "UTC";
        case '%':
            return "%";
        default:
            known = false;
            return {};
    }
}

}  // namespace

std::string time_text(base::UnixTime now, std::string_view format, bool& known) {
    std::string out;
    for (std::size_t i = 0; i < format.size(); ++i) {
        if (format[i] != '%') {
            out += format[i];
            continue;
        }
        ++i;
        bool const bare = i < format.size() && format[i] == '-';  // without the leading zero
        if (bare) ++i;
        if (i == format.size()) {
            known = false;
            break;
        }
        auto part = part_of(format[i], static_cast<std::int64_t>(base::seconds(now)), known);
        if (bare && part.size() > 1 && part.front() == '0') part.erase(0, 1);
        out += part;
    }
    return out;
}

}  // namespace kith::infer::jinja
