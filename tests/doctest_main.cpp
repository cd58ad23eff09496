// tests/doctest_main.cpp: the main() of every unit test. In sabotage builds it arms the guards
// named in the environment variable KITH_SABOTAGE, which is how a twin run proves that a test can
// fail.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdlib>

#include "base/sabotage.h"

int main(int argc, char** argv) {
#ifdef KITH_SABOTAGE
    if (char const* names = std::getenv("KITH_SABOTAGE")) kith::base::sabotage_arm(names);
#endif
    doctest::Context context(argc, argv);
    return context.run();
}
