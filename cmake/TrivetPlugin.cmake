# SPDX-License-Identifier: Apache-2.0

# trivet_plugin(NAME SUMMARY <text> SOURCES <file>... [LIBRARIES <library>...] [OBJECTS <bpf>... [OBJECT_DEPENDS <file>...]]):
# the plugin NAME as lib/trivet/plugins/NAME.so, with its manifest and BPF objects in ELF sections, and
# its installation. Its code is also the static library NAME_code, which unit tests link. OBJECTS are
# names of bpf/NAME/<bpf>.bpf.c, OBJECT_DEPENDS headers that the build makes for them. For trivet's own plugins and, from the package trivet-dev, for all others.
function(trivet_plugin name)
  cmake_parse_arguments(PLUGIN "" "SUMMARY" "SOURCES;LIBRARIES;OBJECTS;OBJECT_DEPENDS" ${ARGN})

  add_library(${name}_code STATIC ${PLUGIN_SOURCES})
  target_include_directories(${name}_code PUBLIC "${CMAKE_CURRENT_SOURCE_DIR}/.."
                                                 "${PROJECT_SOURCE_DIR}/bpf")
  target_link_libraries(${name}_code PUBLIC trivet::headers ${PLUGIN_LIBRARIES})
  set_target_properties(${name}_code PROPERTIES POSITION_INDEPENDENT_CODE ON
                                                CXX_VISIBILITY_PRESET hidden)

  set(manifest "${CMAKE_CURRENT_BINARY_DIR}/${name}.manifest")
  file(WRITE "${manifest}.in" "name=${name}\nversion=${PROJECT_VERSION}\n"
                              "summary=${PLUGIN_SUMMARY}\nfingerprint=${TRIVET_FINGERPRINT}\n")
  file(COPY_FILE "${manifest}.in" "${manifest}" ONLY_IF_DIFFERENT)
  set(embed "${CMAKE_CURRENT_BINARY_DIR}/${name}.manifest.S")
  file(WRITE "${embed}" ".section .trivet.plugin,\"\",@progbits\n.incbin \"${manifest}\"\n"
                        ".section .note.GNU-stack,\"\",@progbits\n")
  set_source_files_properties("${embed}" PROPERTIES OBJECT_DEPENDS "${manifest}")

  # The core's symbols are resolved from the trivet program that loads the library.
  add_library(${name} MODULE "${embed}")
  set_target_properties(
    ${name} PROPERTIES PREFIX "" LINKER_LANGUAGE CXX
                       LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib/trivet/plugins")
  target_link_libraries(${name} PRIVATE -Wl,--whole-archive ${name}_code -Wl,--no-whole-archive)
  trivet_bpf_objects(${name} ${name} ${PLUGIN_OBJECTS} DEPENDS ${PLUGIN_OBJECT_DEPENDS})
  install(TARGETS ${name} LIBRARY DESTINATION "${TRIVET_PLUGIN_FOLDER}" COMPONENT runtime)
endfunction()
