# SPDX-License-Identifier: Apache-2.0
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")

add_compile_options(-Wall -Wextra -Wshadow -Wnon-virtual-dtor -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # With optimization, GCC 12 sees uninitialized members in every moved std::variant.
  add_compile_options($<$<NOT:$<CONFIG:Debug>>:-Wno-maybe-uninitialized>)
endif()
if(TRIVET_WERROR)
  add_compile_options(-Werror)
endif()

if(TRIVET_SANITIZE)
  add_compile_options(-fsanitize=${TRIVET_SANITIZE} -fno-omit-frame-pointer
                      -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${TRIVET_SANITIZE})
else()
  add_compile_options(-fstack-protector-strong -fstack-clash-protection -fcf-protection)
  add_compile_definitions($<$<NOT:$<CONFIG:Debug>>:_FORTIFY_SOURCE=2>)
endif()
add_link_options(-Wl,-z,relro,-z,now)

find_package(Threads REQUIRED)

# What a plugin may include: the public API and the headers shared with the kernel programs.
add_library(trivet_headers INTERFACE)
add_library(trivet::headers ALIAS trivet_headers)
target_compile_features(trivet_headers INTERFACE cxx_std_20)
target_include_directories(
  trivet_headers
  INTERFACE "$<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/core/include;${CMAKE_SOURCE_DIR}/bpf>"
            "$<INSTALL_INTERFACE:include;include/trivet/bpf>")

# The plugin ABI is C++'s: a plugin runs only in the core it was built for. The fingerprint changes
# with the headers of the API, the compiler and whatever alters the layout of types.
file(GLOB_RECURSE api_headers CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/core/include/trivet/*.h"
     "${CMAKE_SOURCE_DIR}/bpf/*.h")
list(FILTER api_headers EXCLUDE REGEX "/vmlinux/|\\.bpf\\.h$")
list(SORT api_headers)
set(abi "${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION} ${TRIVET_SANITIZE}")
foreach(header IN LISTS api_headers)
  file(SHA256 "${header}" hash)
  string(APPEND abi " ${hash}")
  set_property(DIRECTORY "${CMAKE_SOURCE_DIR}" APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${header}")
endforeach()
string(SHA256 TRIVET_FINGERPRINT "${abi}")
string(SUBSTRING "${TRIVET_FINGERPRINT}" 0 16 TRIVET_FINGERPRINT)
