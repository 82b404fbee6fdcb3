// SPDX-License-Identifier: Apache-2.0
#include "tracing/tls_library.h"

#include <dlfcn.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <string_view>

#include "tracing/tls_calls.h"

using namespace trivet;
using namespace trivet::tracing;

TEST_CASE("OpenSSL's functions are where the loader finds them") {
  void* library = ::dlopen("libssl.so.3", RTLD_NOW);
  REQUIRE(library);
  link_map* map = nullptr;
  REQUIRE(::dlinfo(library, RTLD_DI_LINKMAP, &map) == 0);
  const int file = ::open(map->l_name, O_RDONLY | O_CLOEXEC);
  REQUIRE(file >= 0);
  auto places = find_tls_functions(file);
  REQUIRE(places);
  constexpr std::array<std::pair<tls_function, const char*>, 8> names = {
      {{TLS_READ, "SSL_read"},
       {TLS_WRITE, "SSL_write"},
       {TLS_READ_EX, "SSL_read_ex"},
       {TLS_WRITE_EX, "SSL_write_ex"},
       {TLS_HANDSHAKE, "SSL_do_handshake"},
       {TLS_SHUTDOWN, "SSL_shutdown"},
       {TLS_FREE, "SSL_free"},
       {TLS_NEW, "SSL_new"}}};
  unsigned entries = 0;
  for (const ProbePlace& place : *places) {
    if (place.at_return) continue;
    ++entries;
    std::array<char, 8> in_file{};
    REQUIRE(::pread(file, in_file.data(), in_file.size(), static_cast<off_t>(place.offset)) == 8);
    for (const auto& [kind, name] : names) {
      if (place.cookie != kind) continue;
      CAPTURE(name);
      const void* loaded = ::dlsym(library, name);
      CHECK(std::memcmp(loaded, in_file.data(), in_file.size()) == 0);
      // The distance in memory is that in the file: both lie in the one segment with code.
      CHECK(reinterpret_cast<std::uint64_t>(loaded) - place.offset ==
            reinterpret_cast<std::uint64_t>(::dlsym(library, "SSL_read")) - places->front().offset);
    }
  }
  CHECK(entries == names.size());
  CHECK(places->size() == 14);  // two of them tell nothing when they return
  ::close(file);
  ::dlclose(library);
}

TEST_CASE("a file without TLS has no places, and what is no program is an error") {
  const int libc = ::open("/lib/x86_64-linux-gnu/libc.so.6", O_RDONLY | O_CLOEXEC);
  REQUIRE(libc >= 0);
  auto none = find_tls_functions(libc);
  REQUIRE(none);
  CHECK(none->empty());
  ::close(libc);

  const int text = ::memfd_create("text", MFD_CLOEXEC);
  constexpr std::string_view bytes = "#!/bin/sh\nexit 0\n";
  REQUIRE(::write(text, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
  CHECK_FALSE(find_tls_functions(text));
  ::close(text);
}
