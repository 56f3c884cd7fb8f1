# Adds the fuzz targets to the project; given to cmake as CMAKE_PROJECT_chorus-agent_INCLUDE, by tests/fuzz/run. Where the
# project ends, for the libraries stand there.
if(NOT CMAKE_C_COMPILER_ID STREQUAL "Clang")
  message(FATAL_ERROR "the fuzz targets need clang: libFuzzer is a part of it")
endif()
cmake_language(DEFER CALL include ${PROJECT_SOURCE_DIR}/tests/fuzz/CMakeLists.txt)
