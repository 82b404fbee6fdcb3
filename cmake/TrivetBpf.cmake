# SPDX-License-Identifier: Apache-2.0
find_program(BPF_CLANG NAMES clang clang-14 clang-16 clang-19 REQUIRED)
find_program(BPF_STRIP NAMES llvm-strip llvm-strip-14 llvm-strip-16 llvm-strip-19 REQUIRED)

if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
  set(BPF_ARCH x86)
elseif(CMAKE_SYSTEM_PROCESSOR STREQUAL "aarch64")
  set(BPF_ARCH arm64)
else()
  message(FATAL_ERROR "No vmlinux.h for ${CMAKE_SYSTEM_PROCESSOR}: see bpf/vmlinux")
endif()

# trivet_bpf_objects(TARGET ROOM name... [DEPENDS file...]): compiles the project's bpf/ROOM/name.bpf.c and embeds each as
# the ELF section .trivet.bpf.name of TARGET; a ROOM outside bpf/ is written from the root. The section is
# not loaded with the program: the broker reads it from the file. Headers that the build makes are in
# bpf/ of the build folder too; DEPENDS names them. TRIVET_BPF_INCLUDE is the folder of
# trivet's own headers for kernel programs; a vmlinux.h in the project's bpf/ comes before trivet's.
function(trivet_bpf_objects target room)
  cmake_parse_arguments(BPF "" "" "DEPENDS" ${ARGN})
  foreach(name IN LISTS BPF_UNPARSED_ARGUMENTS)
    set(source "${PROJECT_SOURCE_DIR}/bpf/${room}/${name}.bpf.c")
    if(NOT EXISTS "${source}")
      set(source "${PROJECT_SOURCE_DIR}/${room}/${name}.bpf.c")
    endif()
    set(object "${CMAKE_BINARY_DIR}/bpf/${room}/${name}.bpf.o")
    set(embed "${CMAKE_BINARY_DIR}/bpf/${room}/${name}.S")
    add_custom_command(
      OUTPUT "${object}"
      COMMAND "${CMAKE_COMMAND}" -E make_directory "${CMAKE_BINARY_DIR}/bpf/${room}"
      COMMAND
        # -mcpu=v3: kernels before 6.6 know no v4.
        "${BPF_CLANG}" -target bpf -mcpu=v3 -O2 -g -Wall -Werror -D__TARGET_ARCH_${BPF_ARCH}
        -I "${PROJECT_SOURCE_DIR}/bpf" -I "${CMAKE_BINARY_DIR}/bpf" -I "${TRIVET_BPF_INCLUDE}" -I
        "${TRIVET_BPF_INCLUDE}/vmlinux/${CMAKE_SYSTEM_PROCESSOR}" -MD -MF "${object}.d" -MT
        "${object}" -c "${source}" -o "${object}"
      COMMAND "${BPF_STRIP}" -g "${object}"
      DEPENDS "${source}" ${BPF_DEPENDS}
      DEPFILE "${object}.d"
      COMMENT "BPF ${room}/${name}"
      VERBATIM)
    file(WRITE "${embed}.in" ".section .trivet.bpf.${name},\"\",@progbits\n.incbin \"${object}\"\n"
                             ".section .note.GNU-stack,\"\",@progbits\n")
    file(COPY_FILE "${embed}.in" "${embed}" ONLY_IF_DIFFERENT)
    set_source_files_properties("${embed}" PROPERTIES OBJECT_DEPENDS "${object}")
    target_sources(${target} PRIVATE "${embed}")
  endforeach()
endfunction()
