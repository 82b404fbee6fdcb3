# SPDX-License-Identifier: Apache-2.0
# cpack -G DEB, in the build folder: the packages trivet and trivet-dev, of the components that
# TrivetInstall.cmake fills.
set(CPACK_PACKAGE_NAME trivet)
set(CPACK_PACKAGE_VENDOR trivet)
set(CPACK_PACKAGE_CONTACT "The trivet developers <trivet@localhost>")
set(CPACK_PACKAGE_HOMEPAGE_URL "")
set(CPACK_COMPONENTS_ALL runtime dev)
set(CPACK_STRIP_FILES ON)
# /etc is outside of the prefix.
set(CPACK_SET_DESTDIR ON)
set(CPACK_INSTALL_PREFIX "${CMAKE_INSTALL_PREFIX}")
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS ${CMAKE_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS})

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME trivet)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_RUNTIME_DESCRIPTION
    "eBPF appliance that watches and guards a Linux server
Three plugins share what the kernel tells: security judges events by rules in
Falco's language, tracing turns traffic into requests, network enforces policy
and counts flows. Alerts, requests and flows are queried in SQL, followed live,
and measured for Prometheus.")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SHLIBDEPS ON)
# Whichever of Debian's two knows systemd-sysusers, which makes main's user.
set(CPACK_DEBIAN_RUNTIME_PACKAGE_DEPENDS "systemd | systemd-standalone-sysusers")

# What dpkg must not overwrite: all of config/.
file(GLOB_RECURSE shipped CONFIGURE_DEPENDS RELATIVE "${CMAKE_SOURCE_DIR}/config" "${CMAKE_SOURCE_DIR}/config/*")
list(TRANSFORM shipped PREPEND "${TRIVET_ETC}/")
list(JOIN shipped "\n" conffiles)
file(WRITE "${CMAKE_BINARY_DIR}/debian/conffiles" "${conffiles}\n")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_CONTROL_EXTRA
    "${CMAKE_BINARY_DIR}/debian/conffiles" "${CMAKE_SOURCE_DIR}/packaging/postinst"
    "${CMAKE_SOURCE_DIR}/packaging/prerm" "${CMAKE_SOURCE_DIR}/packaging/postrm")

set(CPACK_DEBIAN_DEV_PACKAGE_NAME trivet-dev)
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION devel)
set(CPACK_DEBIAN_DEV_DESCRIPTION
    "headers and CMake package for plugins of trivet
What a plugin outside of trivet's own tree is built with: the headers of the
API, those of its kernel programs, find_package(trivet), and an example.")
# Exactly this trivet loads what is built with these headers.
set(CPACK_DEBIAN_ENABLE_COMPONENT_DEPENDS ON)
set(CPACK_COMPONENT_DEV_DEPENDS runtime)
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS "clang, llvm, libbpf-dev")

include(CPack)
