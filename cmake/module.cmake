# add_module(NAME SOURCES ... TESTS ... DEPENDS ... LIBS ... TEST_DEPENDS ...): one folder = one library = one
# namespace. DEPENDS are kith modules (tools/layers compares them with the includes), LIBS are outside libraries.
# TESTS become one executable NAME_test (doctest) and one ctest entry of that name.
find_package(doctest QUIET)

function(add_module name)
  cmake_parse_arguments(M "" "" "SOURCES;TESTS;DEPENDS;LIBS;TEST_DEPENDS" ${ARGN})
  if(M_SOURCES)
    add_library(kith_${name} STATIC ${M_SOURCES})
    set(scope PUBLIC)
  else()
    add_library(kith_${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  list(TRANSFORM M_DEPENDS PREPEND kith_ OUTPUT_VARIABLE depends)
  target_link_libraries(kith_${name} ${scope} kith_options ${depends} ${M_LIBS})
  if(KITH_TESTS AND M_TESTS)
    list(TRANSFORM M_TEST_DEPENDS PREPEND kith_ OUTPUT_VARIABLE test_depends)
    add_executable(${name}_test ${M_TESTS})
    target_link_libraries(${name}_test PRIVATE kith_${name} ${test_depends} kith_doctest_main)
    add_test(NAME ${name} COMMAND ${name}_test WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
    set_tests_properties(${name} PROPERTIES TIMEOUT 600)
  endif()
endfunction()
