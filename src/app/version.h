// app/version.h: the version of this build, from the project() line of the root CMakeLists.txt.
#pragma once

namespace kith::app {

inline constexpr char const* version = KITH_VERSION;

}  // namespace kith::app
