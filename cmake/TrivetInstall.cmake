# SPDX-License-Identifier: Apache-2.0
# Where trivet's files go, in two components: runtime, and dev for those who write plugins. Targets are
# installed where they are declared; everything else here.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# Whatever the umask is: the broker refuses folders that others than root may write.
set(CMAKE_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)

# Beside bin: the program finds its plugins from where it is itself.
set(TRIVET_PLUGIN_FOLDER "${CMAKE_INSTALL_LIBDIR}/trivet/plugins")
set(TRIVET_BPF_INCLUDE "${CMAKE_SOURCE_DIR}/bpf")
set(TRIVET_ETC "${CMAKE_INSTALL_FULL_SYSCONFDIR}/trivet")

install(DIRECTORY config/ DESTINATION "${TRIVET_ETC}" COMPONENT runtime)
install(FILES packaging/trivet.service DESTINATION lib/systemd/system COMPONENT runtime)
install(FILES packaging/sysusers.conf DESTINATION lib/sysusers.d RENAME trivet.conf COMPONENT runtime)
install(FILES packaging/completion.bash DESTINATION share/bash-completion/completions RENAME trivet
        COMPONENT runtime)
install(FILES README.md CHANGELOG.md ARCHITECTURE.md DESTINATION share/doc/trivet COMPONENT runtime)
install(DIRECTORY docs DESTINATION share/doc/trivet COMPONENT runtime)
install(FILES LICENSE DESTINATION share/doc/trivet RENAME copyright COMPONENT runtime)

# The program's own --help is the one source of its manual.
find_program(GZIP gzip REQUIRED)
set(manual "${CMAKE_BINARY_DIR}/man")
add_custom_command(
  OUTPUT "${manual}/trivet.1.gz"
  COMMAND "${CMAKE_SOURCE_DIR}/packaging/manual" "$<TARGET_FILE:trivet>" "${PROJECT_VERSION}"
          "${CMAKE_SOURCE_DIR}/config/trivet.toml" "${manual}"
  DEPENDS trivet packaging/manual config/trivet.toml
  COMMENT "Manual pages"
  VERBATIM)
add_custom_target(manual ALL DEPENDS "${manual}/trivet.1.gz")
install(DIRECTORY "${manual}/" DESTINATION "${CMAKE_INSTALL_MANDIR}/man1" COMPONENT runtime
        FILES_MATCHING PATTERN "*.1.gz")
install(FILES "${manual}/trivet.toml.5.gz" DESTINATION "${CMAKE_INSTALL_MANDIR}/man5" COMPONENT runtime)

# find_package(trivet): the headers, and the functions that make a plugin.
set(package "${CMAKE_INSTALL_LIBDIR}/cmake/trivet")
install(DIRECTORY core/include/trivet DESTINATION include COMPONENT dev)
install(DIRECTORY bpf/ DESTINATION include/trivet/bpf COMPONENT dev FILES_MATCHING PATTERN "*.h"
        PATTERN "security" EXCLUDE PATTERN "tracing" EXCLUDE PATTERN "network" EXCLUDE)
configure_package_config_file(
  cmake/trivet-config.cmake.in "${CMAKE_BINARY_DIR}/trivet-config.cmake"
  INSTALL_DESTINATION "${package}" NO_SET_AND_CHECK_MACRO)
# Before 1.0 a minor version may change the API; the fingerprint is what decides at run time.
write_basic_package_version_file("${CMAKE_BINARY_DIR}/trivet-config-version.cmake"
                                 COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_BINARY_DIR}/trivet-config.cmake" "${CMAKE_BINARY_DIR}/trivet-config-version.cmake"
              cmake/TrivetBpf.cmake cmake/TrivetPlugin.cmake
        DESTINATION "${package}" COMPONENT dev)
install(TARGETS trivet_headers EXPORT trivet)
set_target_properties(trivet_headers PROPERTIES EXPORT_NAME headers)
install(EXPORT trivet NAMESPACE trivet:: FILE trivet-targets.cmake DESTINATION "${package}" COMPONENT dev)
install(DIRECTORY examples DESTINATION share/doc/trivet-dev COMPONENT dev PATTERN ".clang-format" EXCLUDE)
install(FILES LICENSE DESTINATION share/doc/trivet-dev RENAME copyright COMPONENT dev)
