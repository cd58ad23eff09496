# Compiler, warnings, sanitizers and hardening: the one interface every target links.
set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

# Dev builds are compiled far more often than they run for long: -O0, with line numbers for the sanitizers' reports
# (-O1 costs 45 % more compile time). Folders whose tests are heavy (crypto, infer) ask for more themselves.
# FORCE, because project() has already put an empty value for an unknown build type into the cache.
set(CMAKE_CXX_FLAGS_DEV "-O0 -g1 -fno-omit-frame-pointer" CACHE STRING "" FORCE)
set(CMAKE_C_FLAGS_DEV "-O0 -g1 -fno-omit-frame-pointer" CACHE STRING "" FORCE)
set(CMAKE_CXX_FLAGS_RELEASE "-O2" CACHE STRING "" FORCE)


find_program(KITH_CCACHE ccache)
if(KITH_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${KITH_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${KITH_CCACHE})
endif()

# kith_flags is what every object is compiled with, the product's included; kith_options adds what the preset asks for
# (sanitizers, sabotage switches) and is what targets link. tests/constant_time takes kith_flags alone.
add_library(kith_flags INTERFACE)
target_compile_options(kith_flags INTERFACE
  -Wall -Wextra -Wpedantic -Werror -Wshadow -Wconversion -Wsign-conversion -Wnon-virtual-dtor
  -Wold-style-cast -Woverloaded-virtual -Wcast-align -Wimplicit-fallthrough -Wswitch-enum
  -Wno-missing-field-initializers  # designated initialisers name what differs from the default
  -fstack-protector-strong -ffunction-sections -fdata-sections
  -ffile-prefix-map=${CMAKE_SOURCE_DIR}=.)
target_compile_definitions(kith_flags INTERFACE _GLIBCXX_ASSERTIONS)
target_include_directories(kith_flags INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_link_options(kith_flags INTERFACE -Wl,--gc-sections -Wl,-z,relro,-z,now)
set(KITH_RELEASE_FLAGS ${CMAKE_CXX_FLAGS_RELEASE} -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)  # for tests/constant_time

add_library(kith_options INTERFACE)
target_link_libraries(kith_options INTERFACE kith_flags)
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_options(kith_options INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 reports false positives of these in inlined std::vector and std::expected code.
  target_compile_options(kith_flags INTERFACE -Wno-maybe-uninitialized -Wno-stringop-overflow
    -Wno-array-bounds -Wno-restrict)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  # stable_sort of libstdc++ 12 uses what C++17 deprecates; clang 19 reports it in the header's own code.
  target_compile_options(kith_flags INTERFACE -Wno-deprecated-declarations)
endif()
if(KITH_SANITIZE)
  target_compile_options(kith_options INTERFACE -fsanitize=${KITH_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(kith_options INTERFACE -fsanitize=${KITH_SANITIZE})
  # UBSan describes each of its checks in writable data full of pointers: 4.5 million of them in kith, which a program
  # at any address has to relocate at each start (0.8 s; the tests start it hundreds of times).
  target_link_options(kith_options INTERFACE -no-pie)
endif()
# Boost.Asio has fences beside the locks that order its handlers; TSan sees the locks, GCC warns of the fences.
if(KITH_SANITIZE MATCHES "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(kith_options INTERFACE -Wno-tsan)
  # protobuf's headers lay out messages differently where they see this; the library from the distribution does not.
  target_compile_options(kith_options INTERFACE -U__SANITIZE_THREAD__)
  target_compile_definitions(kith_options INTERFACE KITH_THREAD_SANITIZER=1)
endif()
if(KITH_LIBFUZZER)
  target_compile_options(kith_options INTERFACE -fsanitize=fuzzer-no-link)
  target_link_options(kith_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(KITH_SABOTAGE)
  target_compile_definitions(kith_options INTERFACE KITH_SABOTAGE=1)
endif()
