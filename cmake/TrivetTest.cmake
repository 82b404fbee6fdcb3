# SPDX-License-Identifier: Apache-2.0

if(TRIVET_FUZZ)
  # Coverage feedback from all of our code, not only from the fuzzers.
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# trivet_unit_test(NAME SOURCES <file>... [LIBRARIES <library>...]): a doctest program run by ctest
# under the label unit, without root. tests/unit is on its include path: "fake_host.h".
function(trivet_unit_test name)
  cmake_parse_arguments(TEST "" "" "SOURCES;LIBRARIES" ${ARGN})
  if(NOT TARGET trivet_test_main)
    add_library(trivet_test_main STATIC "${CMAKE_SOURCE_DIR}/tests/unit/main.cpp")
    target_include_directories(trivet_test_main PUBLIC "${CMAKE_SOURCE_DIR}/tests/unit")
  endif()
  add_executable(${name} ${TEST_SOURCES})
  target_link_libraries(${name} PRIVATE trivet_test_main ${TEST_LIBRARIES} trivet_config
                                        trivet_api)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests")
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS unit TIMEOUT 120)
endfunction()

# trivet_fuzzer(NAME SOURCE <file> CORPUS <folder> [LIBRARIES <library>...]): SOURCE defines
# LLVMFuzzerTestOneInput. With TRIVET_FUZZ it is a libFuzzer program; else one that replays the files
# of the corpus. Either way ctest runs the corpus once, under the label fuzz.
function(trivet_fuzzer name)
  cmake_parse_arguments(FUZZER "" "SOURCE;CORPUS" "LIBRARIES" ${ARGN})
  cmake_path(ABSOLUTE_PATH FUZZER_CORPUS)
  add_executable(${name} "${FUZZER_SOURCE}")
  target_link_libraries(${name} PRIVATE ${FUZZER_LIBRARIES} trivet_api)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests")
  if(TRIVET_FUZZ)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    # -runs=0 executes the files of the corpus only.
    add_test(NAME ${name} COMMAND ${name} -runs=0 "${FUZZER_CORPUS}")
  else()
    target_sources(${name} PRIVATE "${CMAKE_SOURCE_DIR}/tests/fuzz/replay.cpp")
    add_test(NAME ${name} COMMAND ${name} "${FUZZER_CORPUS}")
  endif()
  set_tests_properties(${name} PROPERTIES LABELS fuzz TIMEOUT 120)
endfunction()
